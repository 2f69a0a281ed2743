//! What is in memory and on disk, and for how long.

use std::os::unix::fs::MetadataExt as _;

use er_testkit::until;
use fjall::AbstractTree as _;

use super::*;

const FREED_WITHIN: Duration = Duration::from_secs(60);

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
