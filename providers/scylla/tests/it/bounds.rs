//! Nothing is unbounded: what is under way, what a page looks at.

use std::time::Duration;

use er_event::Runs;
use er_provider_scylla::store::{Error, Filter, ROWS_MAX};
use futures::future::join_all;

use crate::common::{batch, event, fresh, open, options};

#[tokio::test]
async fn a_rare_type_costs_a_page_no_more_than_its_share() {
    let store = open(options()).await;
    let tenant = fresh("rare-");
    let rare = event(0).replace("common", "rare");
    store.put(&tenant, None, &Runs::of(1, 1), &format!("[{rare}]")).await.unwrap();
    for start in (1..=ROWS_MAX as u64).step_by(1000) {
        store.put(&tenant, None, &Runs::of(1000, 1), &batch(start..start + 1000)).await.unwrap();
    }
    let filter = Filter { event_type: Some("rare".into()), ..Filter::default() };
    let page = store.query(&tenant, filter.clone(), None, 10).await.unwrap();
    assert_eq!((page.events.as_str(), page.rows), ("[]", ROWS_MAX));
    let page = store.query(&tenant, filter, page.cursor, 10).await.unwrap();
    assert_eq!((page.events, page.cursor), (format!("[{rare}]"), None));
}

#[tokio::test]
async fn more_puts_than_there_is_room_for_are_answered_at_once() {
    let store = open(options()).await;
    let tenant = fresh("busy-");
    let pad = "x".repeat(250 * 1024);
    let big = |number: u64| format!("[{}]", event(number).replace("common", &format!(r#"t","pad":"{pad}"#)));
    let batches: Vec<_> = (0..100).map(big).collect();
    let one = Runs::of(1, 1);
    let put = |batch| tokio::time::timeout(Duration::from_secs(30), store.put(&tenant, None, &one, batch));
    let results = join_all(batches.iter().map(|batch| put(batch))).await;
    let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    let refused = results.iter().filter(|result| **result == Err(Error::Busy)).count();
    assert!((1..100).contains(&refused), "{refused} of 100 were refused");
    // What was refused can be sent again.
    for (number, (result, batch)) in results.iter().zip(&batches).enumerate() {
        if *result == Err(Error::Busy) {
            assert_eq!(store.put(&tenant, None, &one, batch).await, Ok(vec![]));
        }
        assert!(store.get(&tenant, "/s", &number.to_string()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_is_too_long_for_a_key_is_refused_and_not_found() {
    let store = open(options()).await;
    let tenant = fresh("long-");
    let long = "x".repeat(9000);
    for (field, name) in [("\"0\"", "id"), ("\"/s\"", "source"), ("\"common\"", "type")] {
        let text = event(0).replacen(field, &format!("\"{long}\""), 1);
        let refused = store.put(&tenant, None, &Runs::of(1, 1), &format!("[{text}]")).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Invalid(text) if text.contains(&format!("`{name}` of 9000 bytes"))),
            "{refused}"
        );
    }
    assert_eq!(store.get(&tenant, &long, "0").await, Ok(None));
    let kept = store.put(&tenant, Some(87_601), &Runs::of(1, 1), &batch([1])).await.unwrap_err();
    assert!(kept.to_string().contains("use 1 to 87600"), "{kept}");
    assert_eq!(store.put(&tenant, Some(87_600), &Runs::of(1, 1), &batch([1])).await, Ok(vec![]));
}

#[tokio::test]
async fn many_quiet_days_are_walked_through_in_pages() {
    let store = open(options()).await;
    let tenant = fresh("quiet-");
    // One event a day for four years, which is more than one page may look for.
    let days = 1500_u64;
    for start in (0..days).step_by(500) {
        let events = batch((start..start + 500).map(|day| day * 86_400));
        store.put(&tenant, None, &Runs::of(500, 1), &events).await.unwrap();
    }
    let (mut seen, mut pages, mut cursor) = (Vec::new(), 0, None);
    loop {
        let page = store.query(&tenant, Filter::default(), cursor, 1000).await.unwrap();
        let events = er_event::event::parse_batch(&page.events).unwrap();
        seen.extend(events.iter().map(|event| event.id.parse::<u64>().unwrap() / 86_400));
        pages += 1;
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..days).rev().collect::<Vec<_>>());
    assert!(pages > 2, "{pages} pages");
}
