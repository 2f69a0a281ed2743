//! The store holds to the contract of all event stores.

// These are tests.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use er_event::Runs;
use er_provider_local::store::{system_clock, Error, Options, Store};
use er_testkit::store_contract::{EventStore, Filter, Page};

/// [`Store`] behind the contract's trait, in a directory of its own.
struct Tried {
    store: Store,
    _dir: tempfile::TempDir,
}

impl EventStore for Tried {
    async fn put(&self, tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str) -> Result<Vec<u32>, String> {
        self.store.put(tenant, keep_h, claims, events).await.map_err(text)
    }

    async fn get(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, String> {
        self.store.get(tenant, source, id).await.map_err(text)
    }

    async fn query(&self, tenant: &str, filter: &Filter, cursor: Option<String>, limit: u32) -> Result<Page, String> {
        let (event_type, source) = (filter.event_type.clone(), filter.source.clone());
        let filter = er_provider_local::store::Filter::new(
            event_type,
            source,
            filter.since.as_deref(),
            filter.until.as_deref(),
        )?;
        let page = self.store.query(tenant, filter, cursor, limit).await.map_err(text)?;
        Ok(Page { events: page.events, cursor: page.cursor })
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

async fn open() -> Tried {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        dir: dir.path().join("events"),
        retention: Duration::from_secs(3600),
        cache_bytes: 1 << 20,
        clock: system_clock(),
    };
    let store = tokio::task::spawn_blocking(move || Store::open(options)).await.unwrap().unwrap();
    Tried { store, _dir: dir }
}

er_testkit::store_contract!(open);
