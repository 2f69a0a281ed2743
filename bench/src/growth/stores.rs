//! The stores under test, in process: what the providers serve, without the lattice in between.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use er_analytics::Analytics;
use er_event::Runs;
use er_provider_local::embedded::Embedded;
use er_provider_local::store as local;
use er_provider_scylla::store as scylla;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::events::Events;
use crate::{Args, Kind};

const CHDB_BYTES_MAX: u64 = 512 << 20;
/// Lines of one call to the analytics, and calls under way: what the collector sends.
const RECORDS: usize = 2_000;
const CALLS: usize = 8;
const PAUSE: Duration = Duration::from_millis(2);
const READY_WITHIN: Duration = Duration::from_secs(60);
const KEEP_H: u32 = 24;

pub struct Stores {
    events: EventStore,
    pub analytics: Analytics<Embedded>,
}

enum EventStore {
    Embedded(local::Store),
    Scylla(scylla::Store),
}

// === impl Stores ===

impl Stores {
    pub async fn open(args: &Args) -> anyhow::Result<Self> {
        let _ = std::fs::remove_dir_all(&args.dir);
        std::fs::create_dir_all(&args.dir)?;
        let events = match args.store {
            Kind::Embedded => {
                let options = local::Options {
                    dir: args.dir.join("events"),
                    retention: Duration::from_secs(u64::from(KEEP_H) * 3_600),
                    cache_bytes: 16 << 20,
                    clock: local::system_clock(),
                };
                EventStore::Embedded(tokio::task::spawn_blocking(move || local::Store::open(options)).await??)
            }
            Kind::Scylla => {
                let keyspace = format!("growth_{}", std::process::id());
                let options = scylla::Options {
                    nodes: args.nodes.clone(),
                    keyspace,
                    retention_h: KEEP_H,
                    statement_timeout: Duration::from_secs(10),
                    ..scylla::Options::default()
                };
                let store = scylla::Store::open(options);
                let ready = tokio::time::timeout(READY_WITHIN, store.ready()).await;
                ready.context("no CQL server; mend it with: make services")??;
                EventStore::Scylla(store)
            }
        };
        let engine = Embedded::new(Some(args.chdb_lib.clone()), args.dir.join("analytics"), CHDB_BYTES_MAX);
        let analytics = Analytics::start(engine, er_analytics::Options::default());
        analytics.prepare().await?;
        Ok(Self { events, analytics })
    }

    pub async fn put(&self, tenant: &str, claim: u64, events: u64, batch: &str) -> anyhow::Result<()> {
        let claims = Runs::of(usize::try_from(events)?, claim);
        loop {
            match &self.events {
                EventStore::Embedded(store) => match store.put(tenant, None, &claims, batch).await {
                    Ok(known) => anyhow::ensure!(known.is_empty(), "{tenant} had {known:?} of claim {claim} already"),
                    // As callers do: the queue is emptied in milliseconds.
                    Err(local::Error::Busy) => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                },
                EventStore::Scylla(store) => {
                    let known = store.put(tenant, None, &claims, batch).await?;
                    anyhow::ensure!(known.is_empty(), "{tenant} had {known:?} of claim {claim} already");
                }
            }
            return Ok(());
        }
    }

    pub async fn get(&self, tenant: &str, source: &str, id: &str) -> anyhow::Result<Option<String>> {
        Ok(match &self.events {
            EventStore::Embedded(store) => store.get(tenant, source, id).await?,
            EventStore::Scylla(store) => store.get(tenant, source, id).await?,
        })
    }

    /// The newest hundred, of a type or of all.
    pub async fn page(&self, tenant: &str, event_type: Option<String>) -> anyhow::Result<String> {
        Ok(match &self.events {
            EventStore::Embedded(store) => {
                store.query(tenant, local::Filter { event_type, ..local::Filter::default() }, None, 100).await?.events
            }
            EventStore::Scylla(store) => {
                store.query(tenant, scylla::Filter { event_type, ..scylla::Filter::default() }, None, 100).await?.events
            }
        })
    }

    pub async fn insert_usage(&self, events: &Events, first: u64, last: u64) -> anyhow::Result<()> {
        let mut texts = Vec::new();
        let mut text = String::new();
        let mut lines = 0;
        for record in events.records(first, last) {
            text.push_str(&record?.to_line()?);
            text.push('\n');
            lines += 1;
            if lines == RECORDS {
                texts.push(std::mem::take(&mut text));
                lines = 0;
            }
        }
        texts.push(text);
        let calls = texts
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| async move { self.analytics.insert(&text).await.map_err(anyhow::Error::from) });
        futures::stream::iter(calls).buffer_unordered(CALLS).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    pub async fn close(self, args: &Args) -> anyhow::Result<()> {
        match self.events {
            EventStore::Embedded(store) => store.close().await,
            EventStore::Scylla(store) => store.close(),
        }
        self.analytics.close().await;
        let engine = self.analytics.engine().clone();
        tokio::task::spawn_blocking(move || engine.close()).await?;
        std::fs::remove_dir_all(&args.dir).with_context(|| format!("{}", args.dir.display()))
    }
}

/// What lies below a folder.
pub fn disk_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => disk_bytes(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}
