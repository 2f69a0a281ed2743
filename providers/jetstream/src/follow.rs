//! A bucket's records in memory, followed as they change: what is looked up for every batch.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_nats::jetstream::kv::{Entry, Operation, Store};
use futures::StreamExt as _;
use tokio::sync::{oneshot, watch};
use tracing::warn;

use crate::kv::entries;

const REOPEN_WAIT: Duration = Duration::from_millis(250);

/// What a record says of whom.
pub trait Record: Clone + Send + Sync + 'static {
    /// Which keys are followed.
    const FILTER: &'static str;
    /// Whom the record is of; none for a key that is not ours.
    fn owner(key: &str) -> Option<&str>;
    fn parse(owner: &str, value: &[u8]) -> anyhow::Result<Self>;
}

/// A clone is a handle to the same.
#[derive(Debug)]
pub struct Followed<R>(Arc<Inner<R>>);

#[derive(Debug)]
struct Inner<R> {
    /// With the revision of their keys.
    records: RwLock<HashMap<String, (u64, R)>>,
    changed: watch::Sender<()>,
}

// === impl Followed ===

impl<R> Clone for Followed<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Record> Followed<R> {
    pub fn of(&self, owner: &str) -> Option<R> {
        self.at(owner).map(|(_, record)| record)
    }

    /// The record with the revision of its key.
    pub fn at(&self, owner: &str) -> Option<(u64, R)> {
        self.0.records.read().unwrap_or_else(PoisonError::into_inner).get(owner).cloned()
    }

    /// Every record with whom it is of.
    pub fn all(&self) -> Vec<(String, R)> {
        let records = self.0.records.read().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|(owner, (_, record))| (owner.clone(), record.clone())).collect()
    }

    /// Told whenever any of the records changed.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Reads the bucket once, and waits until that worked: nothing may be decided by a record that was not read yet.
    /// Goes on following in a task of its own, for as long as the process runs.
    pub async fn follow(bucket: Store) -> Self {
        let (ready, read) = oneshot::channel();
        let all = Self(Arc::new(Inner { records: RwLock::default(), changed: watch::Sender::new(()) }));
        let followed = all.clone();
        tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                if let Err(error) = followed.watch(&bucket, &mut ready).await {
                    warn!(bucket = bucket.name, error = format!("{error:#}"), "can't be followed, trying again");
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
        let mut changes = bucket.watch(R::FILTER).await?;
        for entry in entries(bucket, R::FILTER, None, usize::MAX).await? {
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
        let Some(owner) = R::owner(&entry.key) else {
            return Ok(());
        };
        let record = match entry.operation {
            Operation::Put => Some(R::parse(owner, &entry.value)?),
            Operation::Delete | Operation::Purge => None,
        };
        let mut records = self.0.records.write().unwrap_or_else(PoisonError::into_inner);
        match record {
            None => {
                records.remove(owner);
            }
            Some(record) => {
                // What was read may be newer than what the watch still has to tell.
                if records.get(owner).is_none_or(|(revision, _)| *revision < entry.revision) {
                    records.insert(owner.to_owned(), (entry.revision, record));
                }
            }
        }
        drop(records);
        self.0.changed.send_replace(());
        Ok(())
    }
}
