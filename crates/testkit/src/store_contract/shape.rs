//! What an event may look like, and whose it is.

use super::*;

pub async fn an_event_is_stored_as_it_came(store: &impl EventStore) {
    let own = Own::new(store);
    let texts = [
        r#"{"specversion":"1.0", "id":"1" ,"source":"/s","type":"t","time":"2024-05-06T07:08:09Z","data":{"é":"\u0041"}}"#,
        r#"{"id":"2","source":"/s","type":"t","time":"2024-05-06T07:08:08+00:00","data_base64":"","data":null}"#,
        "{\n\t\"type\":\"\",\"source\":\"/s\",\"time\":\"2024-05-06t07:08:07.1234567Z\",\"id\":\"3\",\"data\":\"'\\\"\\\\ 😀 ; -- $$\"}",
    ];
    assert_eq!(own.put(1, &texts.map(str::to_string)).await, Vec::<u32>::new());
    for (id, text) in ["1", "2", "3"].iter().zip(texts) {
        assert_eq!(own.get("/s", id).await.as_deref(), Some(text));
    }
    assert_eq!(own.get("/s", "4").await, None);
    assert_eq!(own.get("/t", "1").await, None);
    assert_eq!(own.page(&Filter::default(), None, 10).await.events, format!("[{}]", texts.join(",")));
}

pub async fn tenants_see_only_their_own(store: &impl EventStore) {
    let all = [Own::new(store), Own::new(store), Own::new(store)];
    for (n, own) in all.iter().enumerate() {
        // The same event, under the same claim, with a content for each.
        own.put(1, &[event("/s", "1", &format!("t{n}"), 1), event("/s", &format!("of-{n}"), "t", 2)]).await;
    }
    for (n, own) in all.iter().enumerate() {
        assert_eq!(own.all().await, [format!("of-{n}"), "1".into()]);
        assert!(own.get("/s", "1").await.unwrap().contains(&format!(r#""type":"t{n}""#)));
        assert_eq!(own.get("/s", &format!("of-{}", n + 1)).await, None);
    }
    // Nor with another's cursor. Where it stands among events of the same moment is the store's affair.
    let page = all[0].page(&Filter::default(), None, 1).await;
    let ids = ids_of(&all[1].page(&Filter::default(), page.cursor, 9).await.events);
    assert!(ids == ["1"] || ids == ["of-1", "1"], "{ids:?}");
}

pub async fn sources_and_ids_of_any_characters_stay_apart(store: &impl EventStore) {
    let own = Own::new(store);
    let long = "x".repeat(4096);
    let pairs = [
        ("/a", "b/c"),
        ("/a/b", "c"),
        ("/a\0", "b"),
        ("/a", "\0b"),
        ("", "/a"),
        ("/a", ""),
        ("", ""),
        ("ä", "😀\n\"\\"),
        ("a'; DROP TABLE events_by_key; --", "$$ ' \u{feff}\u{202e}"),
        (&long, "1"),
        ("1", &long),
    ];
    let events: Vec<_> = pairs.iter().map(|(source, id)| event(source, id, "t", 1)).collect();
    assert_eq!(own.put(7, &events).await, Vec::<u32>::new());
    for ((source, id), text) in pairs.iter().zip(&events) {
        assert_eq!(own.get(source, id).await.as_ref(), Some(text), "{source:?} {id:?}");
        let filter = Filter { source: Some((*source).to_string()), ..Filter::default() };
        assert!(own.texts(&filter, 9).await.contains(text), "{source:?}");
    }
    let mut listed = own.texts(&Filter::default(), 2).await;
    listed.sort();
    let mut want = events;
    want.sort();
    assert_eq!(listed, want);
}

pub async fn events_without_a_time_lie_where_they_came_in(store: &impl EventStore) {
    let own = Own::new(store);
    let timed =
        |id: &str, year: u32| format!(r#"{{"id":"{id}","source":"/s","type":"t","time":"{year}-01-01T00:00:00Z"}}"#);
    let timeless = |data: u32| format!(r#"{{"id":"now","source":"/s","type":"t","data":{data}}}"#);
    own.put(1, &[timed("before", 2000), timeless(1), timed("after", 2200)]).await;
    assert_eq!(own.all().await, ["after", "now", "before"]);
    // Where a repeat lies is the store's choice, but it is there once.
    assert_eq!(own.put(1, &[timeless(2)]).await, Vec::<u32>::new());
    assert_eq!(own.all().await, ["after", "now", "before"]);
    assert_eq!(own.get("/s", "now").await, Some(timeless(2)));
}

pub async fn a_full_batch_is_taken(store: &impl EventStore) {
    let own = Own::new(store);
    assert_eq!(own.put(1, &[]).await, Vec::<u32>::new());
    assert_eq!(own.all().await, Vec::<String>::new());
    let events: Vec<_> = (0..1024).map(|n| event("/s", &n.to_string(), "t", n * 1000)).collect();
    assert_eq!(own.put(1, &events).await, Vec::<u32>::new());
    let want: Vec<_> = (0..1024).rev().map(|n| n.to_string()).collect();
    assert_eq!(ids_of(&batch(&own.texts(&Filter::default(), 1000).await)), want);
}
