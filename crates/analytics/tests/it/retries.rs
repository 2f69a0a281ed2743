//! What becomes of a block that is not done at once.

use std::time::Duration;

use er_analytics::{Analytics, Code, Error, Options, VERSION};
use tokio::time::Instant;

use crate::twin::{lines, Fate, Twin};

const UNKNOWN_TABLE: i32 = 60;
const SYNTAX_ERROR: i32 = 62;
const MEMORY_LIMIT: i32 = 241;

#[tokio::test(start_paused = true)]
async fn a_block_in_doubt_is_tried_again_under_the_same_token() {
    for fate in [Fate::DoneInSilence, Fate::Hangs, Fate::Refused(MEMORY_LIMIT)] {
        let twin = Twin::new([fate.clone(), fate]);
        let analytics = Analytics::start(twin.clone(), Options::default());
        assert_eq!(analytics.insert(&lines("a", 3)).await, Ok(()));
        let inserts = twin.inserts();
        assert_eq!(inserts.len(), 3);
        assert!(inserts[0].contains("insert_deduplication_token = '"));
        assert!(inserts.iter().all(|insert| *insert == inserts[0]), "{inserts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn tries_are_counted_and_then_the_callers_are_told() {
    let twin = Twin::new([Fate::Hangs, Fate::DoneInSilence, Fate::Hangs, Fate::Hangs]);
    let options = Options { try_timeout: Duration::from_secs(2), tries_max: 3, ..Options::default() };
    let analytics = Analytics::start(twin.clone(), options);
    let started = Instant::now();
    let error = analytics.insert(&lines("a", 3)).await.unwrap_err();
    assert_eq!((error.code(), error.retry_after_ms()), (Code::Unavailable, Some(2_000)), "{error}");
    assert_eq!(twin.blocks(), [3, 3, 3]);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_done_is_not_tried_again() {
    let twin = Twin::new([Fate::Refused(SYNTAX_ERROR)]);
    let analytics = Analytics::start(twin.clone(), Options::default());
    let error = analytics.insert(&lines("a", 1)).await.unwrap_err();
    assert_eq!((error.code(), error.retry_after_ms(), twin.blocks().len()), (Code::Internal, None, 1), "{error}");
    assert_eq!(analytics.insert(&lines("b", 1)).await, Ok(()), "the next one is not held up");
}

#[tokio::test(start_paused = true)]
async fn tables_that_went_are_made_again() {
    let twin = Twin::new([Fate::Refused(UNKNOWN_TABLE)]);
    let analytics = Analytics::start(twin.clone(), Options::default());
    analytics.prepare().await.unwrap();
    let once = twin.creates();
    assert_eq!(analytics.insert(&lines("a", 1)).await, Ok(()));
    assert_eq!(twin.creates(), 2 * once);
    assert_eq!(analytics.insert(&lines("b", 1)).await, Ok(()));
    assert_eq!(twin.creates(), 2 * once, "and only then");
}

#[tokio::test(start_paused = true)]
async fn a_newer_schema_gets_nothing() {
    let twin = Twin::new([]).with_version(VERSION + 1);
    let analytics = Analytics::start(twin.clone(), Options::default());
    let newer = Error::Newer { database: "twin".into(), found: VERSION + 1, known: VERSION };
    assert_eq!(analytics.insert(&lines("a", 1)).await, Err(newer));
    assert!(twin.blocks().is_empty());
}
