//! Pages and their cursors.

use super::super::query::ROWS_MAX;
use super::*;

#[tokio::test]
async fn pages_follow_each_other_while_new_events_come_in() {
    let world = World::new();
    let events: Vec<_> = (0..50).map(|n| event("/s", &n.to_string(), "t", n)).collect();
    world.put("acme", &events).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    for round in 0.. {
        let page = world.store.query("acme", Filter::default(), cursor, 7).await.unwrap();
        seen.extend(ids_of(&page.events));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
        world.put("acme", &[event("/new", &format!("new-{round}"), "t", 100 + round)]).await;
    }
    let want: Vec<_> = (0..50).rev().map(|n| n.to_string()).collect();
    assert_eq!(seen, want);
}

#[tokio::test]
async fn events_of_the_same_moment_are_all_paged_through() {
    let world = World::new();
    let events: Vec<_> = (0..20).map(|n| event("/s", &n.to_string(), "t", 0)).collect();
    world.put("acme", &events).await;
    let mut ids = world.ids("acme", Filter::default()).await;
    ids.sort_by_key(|id| id.parse::<u32>().unwrap());
    assert_eq!(ids, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_last_page_has_no_cursor_even_when_it_is_full() {
    let world = World::new();
    world.put("acme", &[event("/s", "1", "t", 1), event("/s", "2", "t", 2)]).await;
    let page = world.store.query("acme", Filter::default(), None, 2).await.unwrap();
    assert_eq!((ids_of(&page.events).len(), page.cursor), (2, None));
}

#[tokio::test]
async fn a_page_keeps_to_the_bytes_of_a_batch() {
    let world = World::new();
    let pad = "x".repeat(200 * 1024);
    for n in 0..4 {
        let big = event("/s", &n.to_string(), "t", n).replace("\"t\"", &format!("\"t\",\"pad\":\"{pad}\""));
        world.put("acme", &[big]).await;
    }
    let first = world.store.query("acme", Filter::default(), None, 1000).await.unwrap();
    assert_eq!(ids_of(&first.events), ["3", "2"]);
    assert!(first.events.len() <= er_event::limits::BATCH_BYTES_MAX);
    let rest = world.store.query("acme", Filter::default(), first.cursor, 1000).await.unwrap();
    assert_eq!((ids_of(&rest.events), rest.cursor), (vec!["1".to_string(), "0".to_string()], None));
}

#[tokio::test]
async fn a_rare_type_costs_a_page_no_more_than_its_share() {
    let world = World::new();
    world.put("acme", &[event("/s", "rare", "rare", -1)]).await;
    for start in (0..ROWS_MAX + 500).step_by(1000) {
        let events: Vec<_> = (start..start + 1000).map(|n| event("/s", &n.to_string(), "common", n as i64)).collect();
        world.put("acme", &events).await;
    }
    let filter = Filter { event_type: Some("rare".into()), ..Filter::default() };
    let page = world.store.query("acme", filter.clone(), None, 10).await.unwrap();
    assert_eq!((page.events.as_str(), page.rows), ("[]", ROWS_MAX));
    let page = world.store.query("acme", filter, page.cursor, 10).await.unwrap();
    assert_eq!((ids_of(&page.events), page.cursor), (vec!["rare".to_string()], None));
}

#[tokio::test]
async fn limits_and_cursors_that_are_wrong_are_refused_with_their_mend() {
    let world = World::new();
    let query =
        |cursor: Option<&str>, limit| world.store.query("acme", Filter::default(), cursor.map(str::to_string), limit);
    assert!(query(None, 1).await.is_ok() && query(None, 1000).await.is_ok());
    assert!(is_invalid(&query(None, 0).await, "use 1 to 1000"));
    assert!(is_invalid(&query(None, 1001).await, "use 1 to 1000"));
    assert!(is_invalid(&query(Some("next"), 1).await, "leave it out"));
}
