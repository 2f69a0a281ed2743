//! Pages and their cursors.

use super::*;

pub async fn pages_of_any_size_visit_each_event_once(store: &impl EventStore) {
    let own = Own::new(store);
    // Some at the same moment, some days apart.
    let events: Vec<_> =
        (0..23).map(|n| event("/s", &n.to_string(), "t", (n / 3) * (n % 2) * 40_000 + n / 4)).collect();
    own.put(1, &events).await;
    let once = own.texts(&Filter::default(), 1000).await;
    assert_eq!(once.len(), events.len());
    for limit in 1..=events.len() as u32 + 1 {
        assert_eq!(own.texts(&Filter::default(), limit).await, once, "{limit} a page");
    }
    let page = own.page(&Filter::default(), None, events.len() as u32).await;
    assert_eq!(page.cursor, None, "a full last page has no cursor");
}

pub async fn pages_stand_still_while_new_events_come_in(store: &impl EventStore) {
    let own = Own::new(store);
    let events: Vec<_> = (0..50).map(|n| event("/s", &n.to_string(), "t", n * 5000)).collect();
    own.put(1, &events).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    for round in 0.. {
        let page = own.page(&Filter::default(), cursor, 7).await;
        seen.extend(ids_of(&page.events));
        let Some(next) = page.cursor else { break };
        cursor = Some(next);
        own.put(2, &[event("/new", &format!("new-{round}"), "t", 50 * 5000 + round)]).await;
    }
    assert_eq!(seen, (0..50).rev().map(|n| n.to_string()).collect::<Vec<_>>());
}

pub async fn events_of_the_same_moment_are_all_paged_through(store: &impl EventStore) {
    let own = Own::new(store);
    let events: Vec<_> = (0..300).map(|n| event("/s", &n.to_string(), "t", 0)).collect();
    own.put(1, &events).await;
    for limit in [7, 100] {
        let mut ids = ids_of(&batch(&own.texts(&Filter::default(), limit).await));
        ids.sort_by_key(|id| id.parse::<u32>().unwrap());
        assert_eq!(ids, (0..300).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

pub async fn a_page_keeps_to_the_bytes_of_a_batch(store: &impl EventStore) {
    let own = Own::new(store);
    let pad = "x".repeat(200 * 1024);
    for n in 0..4 {
        let big = event("/s", &n.to_string(), "t", n).replace("\"t\"", &format!("\"t\",\"pad\":\"{pad}\""));
        own.put(1, &[big]).await;
    }
    let first = own.page(&Filter::default(), None, 1000).await;
    assert_eq!(ids_of(&first.events), ["3", "2"]);
    assert!(first.events.len() <= er_event::limits::BATCH_BYTES_MAX);
    let rest = own.page(&Filter::default(), first.cursor, 1000).await;
    assert_eq!((ids_of(&rest.events), rest.cursor), (vec!["1".to_string(), "0".to_string()], None));
}

pub async fn wrong_limits_and_cursors_are_refused(store: &impl EventStore) {
    let own = Own::new(store);
    let query = |cursor: Option<&str>, limit| {
        let cursor = cursor.map(str::to_string);
        let tenant = own.tenant.clone();
        async move { store.query(&tenant, &Filter::default(), cursor, limit).await.map(|page| page.events) }
    };
    for limit in [1, 1000] {
        assert_eq!(query(None, limit).await, Ok("[]".into()));
    }
    for limit in [0, 1001, u32::MAX] {
        assert!(query(None, limit).await.unwrap_err().contains("use 1 to 1000"), "{limit}");
    }
    for cursor in ["", "next", "AAAA", "?", "\0", &"A".repeat(100_000)] {
        assert!(query(Some(cursor), 1).await.unwrap_err().contains("leave it out"), "{}", cursor.len());
    }
}
