//! What is in memory and on disk, and for how long.

use std::os::unix::fs::MetadataExt as _;

use er_testkit::until;
use fjall::AbstractTree as _;

use super::*;
use crate::store::engine::EVENTS_MEMTABLE_BYTES;

const FREED_WITHIN: Duration = Duration::from_secs(60);
const LARGE_BYTES: usize = 64 << 10;

#[tokio::test]
async fn a_memtable_that_is_on_disk_is_freed() {
    let world = World::new();
    let engine = world.store.inner.open().unwrap().engine;
    let memtable = Arc::downgrade(&engine.events.tree.active_memtable());
    // Until it is full, and until those after it are.
    let events = put_until(&world, || memtable.strong_count() == 0).await;
    assert!(events > 16, "it was freed before it was full");
}

#[tokio::test]
async fn a_journal_whose_rows_are_in_tables_goes_in_steps() {
    let world = World::new();
    goes_in_steps(&world, &world.dir.path().join("events/0.jnl")).await;
}

#[tokio::test]
async fn a_table_that_was_merged_goes_in_steps() {
    let world = World::new();
    let tree = &world.store.inner.open().unwrap().engine.events.tree;
    put_until(&world, || tree.table_count() > 0).await;
    let first = tree.current_version().iter_tables().next().unwrap().path.to_path_buf();
    goes_in_steps(&world, &first).await;
}

#[tokio::test]
async fn what_expires_while_the_disk_is_full_is_flushed() {
    let disk_keep_bytes = Arc::new(AtomicU64::new(0));
    let world = World::keeping(&disk_keep_bytes);
    let tree = &world.store.inner.open().unwrap().engine.events.tree;
    for put in 0..6 {
        let small: Vec<_> = (0..500).map(|n| event("/s", &format!("{put}-{n}"), "t", n)).collect();
        world.put("acme", &small).await;
    }
    // Not full, but there is less room in it than the tombstones of all these will take.
    let large = "x".repeat(LARGE_BYTES);
    let mut events = 0;
    while tree.active_memtable().size() < EVENTS_MEMTABLE_BYTES - 2 * LARGE_BYTES as u64 {
        events += 1;
        let event = format!(r#"{{"specversion":"1.0","id":"{events}","source":"/s","type":"t","data":"{large}"}}"#);
        world.put("acme", &[event]).await;
    }

    disk_keep_bytes.store(u64::MAX, Ordering::Relaxed);
    let late = [event("/s", "late", "t", 1)];
    let is_full = || async { matches!(put_all(&world.store, "acme", &late).await, Err(Error::DiskFull { .. })) };
    until("the disk to be full", FREED_WITHIN, || async { Ok(is_full().await.then_some(())) }).await.unwrap();
    assert_eq!(tree.table_count(), 0);
    world.pass(25 * HOUR_US);
    let flushed = until("a flush", FREED_WITHIN, || async { Ok((tree.table_count() > 0).then_some(())) });
    flushed.await.unwrap();
    assert!(is_full().await, "it was flushed because there was room again");
}

/// Whether the file is shortened before its last name goes.
async fn goes_in_steps(world: &World, path: &std::path::Path) {
    let file = std::fs::File::open(path).unwrap();
    let names = || file.metadata().unwrap().nlink();
    put_until(world, || names() == 2).await;
    put_until(world, || !path.exists()).await;
    let gone = until("its last name to go", FREED_WITHIN, || async { Ok((names() == 0).then_some(())) });
    gone.await.unwrap();
    assert_eq!(file.metadata().unwrap().len(), 0);
}

/// Puts large events, and gives how many it took.
async fn put_until(world: &World, holds: impl Fn() -> bool) -> usize {
    let large = "x".repeat(1 << 19);
    let started = std::time::Instant::now();
    let mut events = 0;
    while !holds() {
        assert!(started.elapsed() < FREED_WITHIN, "not after {events} events");
        events += 1;
        let event = format!(r#"{{"specversion":"1.0","id":"{events}","source":"/s","type":"t","data":"{large}"}}"#);
        world.put("acme", &[event]).await;
    }
    events
}
