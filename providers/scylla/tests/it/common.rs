//! A store on the server that tests share, and one as the contract sees it.

use std::time::Duration;

use er_event::Runs;
use er_provider_scylla::store::{Error, Options, Store};
use er_testkit::cassandra;
use er_testkit::store_contract::{EventStore, Filter, Page};

/// Long for a server on this machine, short for whoever waits.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
pub const KEYSPACE: &str = "eventrunner_test";

/// On the shared server, in the keyspace that all tests share: each uses tenants of its own, and nothing stays longer
/// than an hour.
pub fn options() -> Options {
    let nodes = cassandra::shared().unwrap_or_else(|error| panic!("{error:#}"));
    Options { nodes, keyspace: KEYSPACE.into(), retention_h: 1, ..Options::default() }
}

pub async fn open(options: Options) -> Store {
    let store = Store::open(options);
    ready(&store).await;
    store
}

pub async fn ready(store: &Store) {
    if tokio::time::timeout(READY_WITHIN, store.ready()).await.is_err() {
        let error = store.check().await.unwrap_err();
        panic!("{error}; mend it with: scripts/services up, or set ER_SCYLLA_NODES=host:port");
    }
}

/// [`Store`] behind the contract's trait.
pub struct Tried(pub Store);

impl EventStore for Tried {
    async fn put(&self, tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str) -> Result<Vec<u32>, String> {
        self.0.put(tenant, keep_h, claims, events).await.map_err(text)
    }

    async fn get(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, String> {
        self.0.get(tenant, source, id).await.map_err(text)
    }

    async fn query(&self, tenant: &str, filter: &Filter, cursor: Option<String>, limit: u32) -> Result<Page, String> {
        let (event_type, source) = (filter.event_type.clone(), filter.source.clone());
        let filter = er_provider_scylla::store::Filter::new(
            event_type,
            source,
            filter.since.as_deref(),
            filter.until.as_deref(),
        )?;
        let page = self.0.query(tenant, filter, cursor, limit).await.map_err(text)?;
        Ok(Page { events: page.events, cursor: page.cursor })
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// A name that no other test, nor an earlier run, has.
pub fn fresh(prefix: &str) -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros();
    format!("{prefix}{now:x}{:x}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// Numbered events a second apart, in a batch.
pub fn batch(numbers: impl IntoIterator<Item = u64>) -> String {
    let texts: Vec<_> = numbers.into_iter().map(event).collect();
    format!("[{}]", texts.join(","))
}

pub fn event(number: u64) -> String {
    let time = er_event::event::rfc3339_us(1_714_979_289_000_000 + number as i64 * 1_000_000);
    format!(r#"{{"specversion":"1.0","id":"{number}","source":"/s","type":"common","time":"{time}","data":{number}}}"#)
}
