//! The server is killed, stands still, or is not there yet. Each test has a node of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use er_event::Runs;
use er_provider_scylla::store::{Error, Filter, Options, Store};
use er_testkit::{until, Cassandra};

use crate::common::{batch, event, open, ready};

const HEALED_WITHIN: Duration = Duration::from_secs(60);
const BATCH: u64 = 20;
const WRITERS: u64 = 4;

fn on(node: &Cassandra) -> Options {
    Options { nodes: vec![node.address()], ..Options::default() }
}

/// Puts a batch, named by its number, until it is acknowledged; a failure has to be one that says «send it again».
async fn acknowledged(store: &Store, number: u64) -> Vec<u32> {
    let events = batch(number * BATCH..(number + 1) * BATCH);
    let claims = Runs::of(BATCH as usize, number);
    let put = until("an acknowledgement", HEALED_WITHIN, || async {
        match store.put("acme", None, &claims, &events).await {
            Ok(left) => Ok(Some(left)),
            Err(error) => {
                assert!(error.passes(), "{error}");
                Err(error.into())
            }
        }
    });
    put.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills_and_claims_hold() {
    let mut node = Cassandra::run().await.unwrap();
    let store = open(on(&node)).await;
    let (next, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stop = Arc::new(AtomicU64::new(u64::MAX));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (store, next, done, stop) = (store.clone(), Arc::clone(&next), Arc::clone(&done), Arc::clone(&stop));
            tokio::spawn(async move {
                while done.load(Ordering::SeqCst) < stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    // A batch that was cut off is finished by its repeat, and stays the first.
                    assert_eq!(acknowledged(&store, number).await, Vec::<u32>::new());
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for _ in 0..2 {
        let aim = done.load(Ordering::SeqCst) + 40;
        let reached = || async { Ok((done.load(Ordering::SeqCst) >= aim).then_some(())) };
        until("puts under way", HEALED_WITHIN, reached).await.unwrap();
        node.kill9().unwrap();
        node.start().await.unwrap();
    }
    stop.store(done.load(Ordering::SeqCst) + 40, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let batches = done.load(Ordering::SeqCst);
    assert!(batches >= 120);
    for number in 0..batches {
        let events = batch(number * BATCH..(number + 1) * BATCH);
        let others = Runs::of(BATCH as usize, u64::MAX);
        let left = store.put("acme", None, &others, &events).await.unwrap();
        assert_eq!(left, (0..BATCH as u32).collect::<Vec<_>>(), "batch {number}");
        assert_eq!(store.get("acme", "/s", &(number * BATCH).to_string()).await, Ok(Some(event(number * BATCH))));
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.query("acme", Filter::default(), cursor, 1000).await.unwrap();
        seen.extend(er_event::event::split(&page.events).unwrap().into_iter().map(str::to_string));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..batches * BATCH).rev().map(event).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_not_there_yet_or_stands_still_is_told_in_time_and_found_again() {
    let mut node = Cassandra::reserve().unwrap();
    let store = Store::open(on(&node));
    let one = Runs::of(1, 1);
    let early = store.put("acme", None, &one, &batch([1])).await.unwrap_err();
    assert!(matches!(early, Error::Away(_)), "{early}");
    assert!(store.check().await.is_err());
    node.start().await.unwrap();
    ready(&store).await;
    assert_eq!(store.put("acme", None, &one, &batch([1])).await, Ok(vec![]));

    let paused = node.pause().unwrap();
    let started = Instant::now();
    let refused = store.put("acme", None, &one, &batch([2])).await.unwrap_err();
    assert!(refused.passes(), "{refused}");
    assert!(store.get("acme", "/s", "1").await.is_err_and(|error| error.passes()));
    assert!(store.check().await.is_err());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    paused.resume();
    let put = until("the node to be found again", HEALED_WITHIN, || async {
        Ok(Some(store.put("acme", None, &one, &batch([2])).await?))
    });
    assert_eq!(put.await.unwrap(), Vec::<u32>::new());
    assert_eq!(store.get("acme", "/s", "1").await, Ok(Some(event(1))));
    assert_eq!(store.check().await, Ok(()));
}
