//! The store through its interface, on real files.

mod bounds;
mod claims;
mod crash;
mod kept;
mod memory;
mod model;
mod paging;
mod upsert;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use er_event::event::{parse_batch, rfc3339_us};
use er_event::Runs;

use super::{Error, Filter, OpenError, Options, Store};

/// 2024-05-06T07:08:09Z
const NOW_US: i64 = 1_714_979_289_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// A store in a directory of its own, with a clock that only tests move.
struct World {
    dir: tempfile::TempDir,
    now_us: Arc<AtomicI64>,
    store: Store,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now_us = Arc::new(AtomicI64::new(NOW_US));
        let store = open(dir.path(), &now_us).unwrap();
        Self { dir, now_us, store }
    }

    /// On a disk that is full whenever less than this is free.
    fn keeping(disk_keep_bytes: &Arc<AtomicU64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now_us = Arc::new(AtomicI64::new(NOW_US));
        let store = Store::open_keeping(options(dir.path(), &now_us), Arc::clone(disk_keep_bytes)).unwrap();
        Self { dir, now_us, store }
    }

    fn pass(&self, us: i64) {
        self.now_us.fetch_add(us, Ordering::Relaxed);
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = open(self.dir.path(), &self.now_us).unwrap();
    }

    /// All under the same claim.
    async fn put(&self, tenant: &str, events: &[String]) {
        put_all(&self.store, tenant, events).await.unwrap();
    }

    /// Under a claim of its own. Gives the places of events that were there.
    async fn claim(&self, claim: u64, events: &[String]) -> Vec<u32> {
        self.store.put("acme", None, &Runs::of(events.len(), claim), &batch(events)).await.unwrap()
    }

    async fn get(&self, tenant: &str, source: &str, id: &str) -> Option<String> {
        self.store.get(tenant, source, id).await.unwrap()
    }

    /// The ids of all pages.
    async fn ids(&self, tenant: &str, filter: Filter) -> Vec<String> {
        let mut ids = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.store.query(tenant, filter.clone(), cursor, 3).await.unwrap();
            ids.extend(ids_of(&page.events));
            match page.cursor {
                Some(next) => cursor = Some(next),
                None => return ids,
            }
        }
    }
}

async fn put_all(store: &Store, tenant: &str, events: &[String]) -> Result<Vec<u32>, Error> {
    store.put(tenant, None, &Runs::of(events.len(), 7), &batch(events)).await
}

fn open(dir: &std::path::Path, now_us: &Arc<AtomicI64>) -> Result<Store, OpenError> {
    Store::open(options(dir, now_us))
}

fn options(dir: &std::path::Path, now_us: &Arc<AtomicI64>) -> Options {
    let now_us = Arc::clone(now_us);
    Options {
        dir: dir.join("events"),
        retention: Duration::from_secs(24 * 3600),
        cache_bytes: 1 << 20,
        clock: Arc::new(move || now_us.load(Ordering::Relaxed)),
    }
}

/// Seconds after [`NOW_US`].
fn event(source: &str, id: &str, ty: &str, second: i64) -> String {
    let time = rfc3339_us(NOW_US + second * 1_000_000);
    format!(r#"{{"specversion":"1.0","id":{},"source":{},"type":"{ty}","time":"{time}"}}"#, quoted(id), quoted(source))
}

fn timeless(source: &str, id: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"t"}}"#)
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    er_event::json::write_string(&mut out, text);
    out
}

fn batch(events: &[String]) -> String {
    format!("[{}]", events.join(","))
}

fn ids_of(batch: &str) -> Vec<String> {
    parse_batch(batch).unwrap().iter().map(|event| event.id.to_string()).collect()
}

fn at(second: i64) -> Option<i64> {
    Some(NOW_US + second * 1_000_000)
}

fn is_invalid<T>(result: &Result<T, Error>, word: &str) -> bool {
    matches!(result, Err(Error::Invalid(detail)) if detail.contains(word))
}
