//! What is in memory, and for how long.

use fjall::AbstractTree as _;

use super::*;

const FREED_WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_memtable_that_is_on_disk_is_freed() {
    let world = World::new();
    let engine = world.store.inner.open().unwrap().engine;
    let memtable = Arc::downgrade(&engine.events.tree.active_memtable());
    let large = "x".repeat(1 << 19);
    let started = std::time::Instant::now();
    let mut events = 0;
    // Until it is full, and until those after it are.
    while memtable.strong_count() > 0 {
        assert!(started.elapsed() < FREED_WITHIN, "still there after {events} events");
        events += 1;
        let event = format!(r#"{{"specversion":"1.0","id":"{events}","source":"/s","type":"t","data":"{large}"}}"#);
        world.put("acme", &[event]).await;
    }
    assert!(events > 16, "it was freed before it was full");
}
