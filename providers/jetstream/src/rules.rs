//! Which version of its rules each tenant's events run through: the bucket `ER_RULES`, followed as it changes.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::kv::{Entry, Operation, Store};
use er_tenant::rules::{tenant_of_current, Current, EVERY_CURRENT};
use futures::StreamExt as _;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::kv::entries;

const REOPEN_WAIT: Duration = Duration::from_millis(250);

/// A clone is a handle to the same.
#[derive(Debug, Clone, Default)]
pub struct Versions(Arc<RwLock<HashMap<String, Current>>>);

// === impl Versions ===

impl Versions {
    /// The version that counts for a tenant; none where no rule would run.
    pub fn of(&self, tenant: &str) -> Option<u64> {
        let versions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        versions.get(tenant).filter(|current| current.rules > 0).map(|current| current.version)
    }

    /// Reads the bucket once, and waits until that worked: an event must not pass its tenant's rules by because
    /// they were not read yet. Goes on following in a task of its own, for as long as the process runs.
    pub async fn follow(bucket: Store) -> Self {
        let (ready, read) = oneshot::channel();
        let all = Self::default();
        let versions = all.clone();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                if let Err(error) = versions.watch(&bucket, &mut ready).await {
                    warn!(error = format!("{error:#}"), "rules can't be followed, trying again");
                }
                tokio::time::sleep(REOPEN_WAIT).await;
            }
        });
        // The task holds the other end until it was used.
        let _ = read.await;
        all
    }

    async fn watch(&self, bucket: &Store, ready: &mut Option<oneshot::Sender<()>>) -> anyhow::Result<()> {
        // Before the bucket is read: what changes meanwhile is in the watch.
        let mut changes = bucket.watch(EVERY_CURRENT).await?;
        for entry in entries(bucket, EVERY_CURRENT, usize::MAX).await? {
            self.note(&entry)?;
        }
        if let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
        while let Some(entry) = changes.next().await {
            self.note(&entry?)?;
        }
        anyhow::bail!("the watch ended")
    }

    fn note(&self, entry: &Entry) -> anyhow::Result<()> {
        let Some(tenant) = tenant_of_current(&entry.key) else {
            return Ok(());
        };
        let mut versions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entry.operation != Operation::Put {
            versions.remove(tenant);
            return Ok(());
        }
        let current: Current =
            serde_json::from_slice(&entry.value).with_context(|| format!("the rules of {tenant}"))?;
        let known = versions.entry(tenant.to_owned()).or_default();
        // What was read may be newer than what the watch still has to tell.
        if current.version > known.version {
            info!(tenant, version = current.version, rules = current.rules, "rules changed");
            *known = current;
        }
        Ok(())
    }
}
