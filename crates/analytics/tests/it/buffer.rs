//! What becomes of calls in the buffer. The clock is paused: it jumps to whatever is waited for.

use std::sync::Arc;
use std::time::Duration;

use er_analytics::{Analytics, Code, Error, Options};
use futures::future::join_all;
use tokio::time::Instant;

use crate::twin::{lines, Twin};

#[tokio::test(start_paused = true)]
async fn a_block_is_due_a_second_after_its_first_record() {
    let twin = Twin::new([]);
    let analytics = Analytics::start(twin.clone(), Options::default());
    let started = Instant::now();
    let (a, b) = (lines("a", 3), lines("b", 4));
    let second = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        analytics.insert(&b).await
    };
    let (first, second) = tokio::join!(analytics.insert(&a), second);
    assert_eq!((first, second, twin.blocks()), (Ok(()), Ok(()), vec![7]));
    let took = started.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_millis(1_100)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_block_is_due_at_ten_thousand_rows() {
    let twin = Twin::new([]);
    let analytics = Analytics::start(twin.clone(), Options { linger: Duration::from_secs(1), ..Options::default() });
    let started = Instant::now();
    let calls: Vec<String> = (0..4).map(|call| lines(&call.to_string(), 2_500)).collect();
    for answer in join_all(calls.iter().map(|call| analytics.insert(call))).await {
        answer.unwrap();
    }
    assert_eq!(twin.blocks(), [10_000]);
    assert!(started.elapsed() < Duration::from_millis(100), "nobody waited for the second to pass");
}

#[tokio::test(start_paused = true)]
async fn a_call_is_never_cut_in_two() {
    let twin = Twin::new([]);
    let analytics = Analytics::start(twin.clone(), Options::default());
    let calls = [lines("a", 4_000), lines("b", 4_000), lines("c", 4_000), lines("d", 100)];
    for answer in join_all(calls.iter().map(|call| analytics.insert(call))).await {
        answer.unwrap();
    }
    assert_eq!(twin.blocks(), [8_000, 4_100]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_answered_before_the_block_is_in() {
    let twin = Twin::shut();
    let analytics = Arc::new(Analytics::start(twin.clone(), Options::default()));
    let inserting = Arc::clone(&analytics);
    let call = tokio::spawn(async move { inserting.insert(&lines("a", 1)).await });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!call.is_finished());
    twin.open();
    assert_eq!(call.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_refuses_until_there_is_room() {
    let by_rows = Options { buffer_rows_max: 10_000, ..Options::default() };
    let by_bytes = Options { buffer_bytes_max: 6_000 * 90, ..Options::default() };
    for options in [by_rows, by_bytes] {
        let twin = Twin::shut();
        let analytics = Arc::new(Analytics::start(twin.clone(), options));
        let inserting = Arc::clone(&analytics);
        let first = tokio::spawn(async move { inserting.insert(&lines("a", 5_000)).await });
        tokio::time::sleep(Duration::from_millis(10)).await;
        let refused = analytics.insert(&lines("b", 5_001)).await.unwrap_err();
        assert_eq!((refused.code(), refused.retry_after_ms()), (Code::Exhausted, Some(1_000)));
        twin.open();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(analytics.insert(&lines("b", 5_001)).await, Ok(()));
        assert_eq!(twin.blocks(), [5_000, 5_001], "what was refused left nothing behind");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_is_not_inserted() {
    let twin = Twin::shut();
    let options = Options { insert_timeout: Duration::from_secs(2), tries_max: 1, ..Options::default() };
    let analytics = Analytics::start(twin.clone(), options);
    let (a, b) = (lines("a", 5_000), lines("b", 5_001));
    // The second does not fit into the block of the first, and its time is over before its turn comes.
    let (first, second) = tokio::join!(analytics.insert(&a), analytics.insert(&b));
    assert_eq!((first, second), (Err(Error::Slow(2_000)), Err(Error::Slow(2_000))));
    twin.open();
    assert_eq!(analytics.insert(&lines("c", 2)).await, Ok(()));
    assert!(!twin.blocks().contains(&5_001), "{:?}", twin.blocks());
}

#[tokio::test(start_paused = true)]
async fn a_close_lets_what_waits_be_done_and_takes_no_more() {
    let twin = Twin::new([]);
    let analytics = Arc::new(Analytics::start(twin.clone(), Options::default()));
    let inserting = Arc::clone(&analytics);
    let call = tokio::spawn(async move { inserting.insert(&lines("a", 3)).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let started = Instant::now();
    analytics.close().await;
    assert!(started.elapsed() < Duration::from_millis(500), "it does not wait for more to come");
    assert_eq!(call.await.unwrap(), Ok(()));
    assert_eq!(analytics.insert(&lines("b", 1)).await, Err(Error::Closed));
    assert_eq!(twin.blocks(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_call_is_refused_whole_and_alone() {
    let twin = Twin::new([]);
    let analytics = Analytics::start(twin.clone(), Options::default());
    let bad = format!("{}\n{{}}", lines("a", 1));
    let long = lines("x", 7_000);
    let good = lines("b", 2);
    let (bad, long, good) = tokio::join!(analytics.insert(&bad), analytics.insert(&long), analytics.insert(&good));
    assert!(matches!(&bad, Err(Error::Invalid(text)) if text.starts_with("line 2")), "{bad:?}");
    assert!(matches!(&long, Err(Error::Invalid(text)) if text.contains("524288")), "{long:?}");
    assert_eq!((good, analytics.insert("\n").await, twin.blocks()), (Ok(()), Ok(()), vec![2]));
}
