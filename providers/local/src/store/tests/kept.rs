//! What stays, what goes, and who may open it.

use super::*;
use crate::store::QUEUE_BYTES;

async fn settled(world: &World, want: &[&str]) {
    for _ in 0..500 {
        if world.ids("acme", Filter::default()).await == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} instead of {want:?}", world.ids("acme", Filter::default()).await);
}

#[tokio::test]
async fn everything_is_there_after_opening_again() {
    let mut world = World::new();
    world.put("acme", &[event("/s", "1", "t", 1)]).await;
    world.reopen().await;
    world.put("acme", &[event("/s", "2", "t", 2)]).await;
    world.reopen().await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["2", "1"]);
    assert!(world.get("acme", "/s", "1").await.is_some());
}

#[tokio::test]
async fn events_go_when_their_time_since_arrival_is_over() {
    let mut world = World::new();
    // Event times of any age: they don't matter here.
    world
        .put("acme", &[event("/s", "last-year", "t", -365 * 86_400), event("/s", "next-year", "t", 365 * 86_400)])
        .await;
    world.put("acme", &[event("/s", "again", "t", 1), event("/s", "moved", "t", 2)]).await;
    // Somebody else's claim does not keep it longer.
    assert_eq!(world.claim(8, &[event("/s", "last-year", "t", -1)]).await, [0]);
    world.pass(12 * HOUR_US);
    world.put("acme", &[event("/s", "again", "t", 1), event("/s", "moved", "t", 3)]).await;
    settled(&world, &["next-year", "moved", "again", "last-year"]).await;
    // A little over, since dues of one moment are a microsecond apart.
    world.pass(12 * HOUR_US + 100);
    settled(&world, &["moved", "again"]).await;
    // The two rows left behind by `again` and `moved` are gone too: one was written over, the other taken away.
    swept(&world, [2, 2, 1]).await;
    world.reopen().await;
    settled(&world, &["moved", "again"]).await;
    assert!(world.get("acme", "/s", "last-year").await.is_none());
    world.pass(12 * HOUR_US);
    settled(&world, &[]).await;
    swept(&world, [0, 0, 0]).await;
}

async fn swept(world: &World, want: [usize; 3]) {
    for _ in 0..500 {
        if rows(&world.store) == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} instead of {want:?}", rows(&world.store));
}

/// Rows of each keyspace, those out of sight included.
fn rows(store: &Store) -> [usize; 3] {
    let engine = store.inner.open().unwrap().engine;
    engine.keyspaces().map(|keyspace| keyspace.len().unwrap())
}

#[tokio::test]
async fn a_put_may_say_how_long_its_events_are_kept() {
    let world = World::new();
    let put = |id: &'static str, keep_h| {
        let store = world.store.clone();
        let events = batch(&[event("/s", id, "t", 1)]);
        async move { store.put("acme", keep_h, &Runs::of(1, 7), &events).await }
    };
    for (id, keep_h) in [("week", Some(168)), ("hour", Some(1)), ("default", None), ("hours", Some(2))] {
        put(id, keep_h).await.unwrap();
        world.pass(1);
    }
    assert!(is_invalid(&put("never", Some(0)).await, "keep-h"));
    swept(&world, [4, 4, 4]).await;
    for (left, pass_h) in [(3, 1), (2, 1), (1, 22), (0, 144)] {
        world.pass(pass_h * HOUR_US);
        swept(&world, [left, left, left]).await;
    }
}

#[tokio::test]
async fn a_clock_set_back_loses_nothing() {
    let mut world = World::new();
    world.put("acme", &[event("/s", "1", "t", 1)]).await;
    world.pass(-HOUR_US);
    world.put("acme", &[event("/s", "2", "t", 2)]).await;
    world.reopen().await;
    world.put("acme", &[event("/s", "3", "t", 3)]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["3", "2", "1"]);
    assert_eq!(rows(&world.store), [3, 3, 3]);
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let world = World::new();
    let error = open(world.dir.path(), &world.now_us).err().unwrap();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked { .. }), "{text}");
    assert!(
        text.contains(&world.dir.path().join("events").display().to_string()) && text.contains("`data_dir`"),
        "{text}"
    );
}

#[tokio::test]
async fn a_broken_store_is_refused_by_name_and_mend() {
    let world = World::new();
    world.put("acme", &[event("/s", "1", "t", 1)]).await;
    world.store.close().await;
    std::fs::write(world.dir.path().join("events/version"), "nonsense").unwrap();
    let text = open(world.dir.path(), &world.now_us).err().unwrap().to_string();
    assert!(text.contains("not a readable event store") && text.contains("backup"), "{text}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("events"), "a file").unwrap();
    let text = open(dir.path(), &Arc::default()).err().unwrap().to_string();
    assert!(text.contains("can't be created") && text.contains("events"), "{text}");
}

#[tokio::test]
async fn a_closed_store_answers_so_and_keeps_what_waited() {
    let mut world = World::new();
    let puts = futures::future::join_all((0..20).map(|n| {
        let store = world.store.clone();
        async move { put_all(&store, "acme", &[event("/s", &n.to_string(), "t", n)]).await }
    }));
    let (results, ()) = tokio::join!(puts, async {
        tokio::task::yield_now().await;
        world.store.close().await;
    });
    assert_eq!(put_all(&world.store, "acme", &[]).await, Err(Error::Closed));
    assert_eq!(world.store.get("acme", "/s", "1").await, Err(Error::Closed));
    assert!(!world.store.is_open() && !world.store.has_failed());
    world.reopen().await;
    let ids = world.ids("acme", Filter::default()).await;
    for (n, result) in results.iter().enumerate().filter(|(_, result)| result.is_ok()) {
        assert!(ids.contains(&n.to_string()), "{result:?}");
    }
}

#[tokio::test]
async fn what_would_wait_too_long_is_refused_at_once() {
    let world = World::new();
    let one = [event("/s", "1", "t", 1)];
    let room = Arc::clone(&world.store.inner.room);
    // As if so much waited for the writer already.
    let waiting = room.try_acquire_many(u32::try_from(QUEUE_BYTES).unwrap()).unwrap();
    assert_eq!(put_all(&world.store, "acme", &one).await, Err(Error::Busy));
    drop(waiting);
    assert!(put_all(&world.store, "acme", &one).await.is_ok());
}
