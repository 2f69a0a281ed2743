//! One event a (tenant, source, id), and no tenant sees another's.

use super::*;

#[tokio::test]
async fn an_event_is_stored_as_it_came() {
    let world = World::new();
    let text = r#"{"specversion":"1.0", "id":"1" ,"source":"/s","type":"t","time":"2024-05-06T07:08:09Z","data":{"é":"\u0041"}}"#;
    world.put("acme", &[text.to_string()]).await;
    assert_eq!(world.get("acme", "/s", "1").await.as_deref(), Some(text));
    assert_eq!(world.get("acme", "/s", "2").await, None);
    assert_eq!(world.store.query("acme", Filter::default(), None, 10).await.unwrap().events, format!("[{text}]"));
}

#[tokio::test]
async fn repeating_a_put_changes_nothing() {
    let world = World::new();
    let events = [event("/s", "1", "t", 1), event("/s", "2", "t", 2)];
    for _ in 0..3 {
        world.put("acme", &events).await;
    }
    assert_eq!(world.ids("acme", Filter::default()).await, ["2", "1"]);
}

#[tokio::test]
async fn an_event_moves_with_its_time_and_type() {
    let world = World::new();
    world.put("acme", &[event("/s", "1", "old", 1), event("/s", "2", "t", 2)]).await;
    world.put("acme", &[event("/s", "1", "new", 3)]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["1", "2"]);
    let of = |ty: &str| Filter { event_type: Some(ty.into()), ..Filter::default() };
    assert_eq!(world.ids("acme", of("old")).await, Vec::<String>::new());
    assert_eq!(world.ids("acme", of("new")).await, ["1"]);
    // And back again, to the row that was left behind.
    world.put("acme", &[event("/s", "1", "newer", 1)]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["2", "1"]);
    assert!(world.get("acme", "/s", "1").await.unwrap().contains("newer"));
}

#[tokio::test]
async fn of_two_in_one_batch_the_earlier_counts() {
    let world = World::new();
    world.put("acme", &[event("/s", "1", "first", 9), event("/s", "2", "t", 5), event("/s", "1", "second", 1)]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["1", "2"]);
    assert!(world.get("acme", "/s", "1").await.unwrap().contains("first"));
}

#[tokio::test]
async fn an_event_without_time_lies_where_it_came_in() {
    let world = World::new();
    world.put("acme", &[event("/s", "before", "t", -1), timeless("/s", "now"), event("/s", "after", "t", 1)]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["after", "now", "before"]);
    world.pass(2_000_000);
    world.put("acme", &[timeless("/s", "now")]).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["now", "after", "before"]);
}

#[tokio::test]
async fn tenants_whose_names_begin_alike_see_only_their_own() {
    let world = World::new();
    let tenants = ["a", "aa", "a-a", "aaa", "b"];
    for tenant in tenants {
        world.put(tenant, &[event("/s", "1", tenant, 1), event("/s", tenant, "t", 2)]).await;
    }
    for tenant in tenants {
        assert_eq!(world.ids(tenant, Filter::default()).await, [tenant, "1"]);
        assert!(world.get(tenant, "/s", "1").await.unwrap().contains(&format!(r#""type":"{tenant}""#)));
        for other in tenants.iter().filter(|other| **other != tenant) {
            assert_eq!(world.get(tenant, "/s", other).await, None);
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_tenant_shows_none_of_its_events() {
    let world = World::new();
    world.put("a", &[event("/s", "a1", "t", 1), event("/s", "a2", "t", 2)]).await;
    world.put("b", &[event("/s", "b1", "t", 1), event("/s", "b3", "t", 3)]).await;
    let page = world.store.query("a", Filter::default(), None, 1).await.unwrap();
    let page = world.store.query("b", Filter::default(), page.cursor, 9).await.unwrap();
    assert_eq!(ids_of(&page.events), ["b1"]);
}

#[tokio::test]
async fn sources_and_ids_of_any_characters_stay_apart() {
    let world = World::new();
    let pairs = [("/a", "b/c"), ("/a/b", "c"), ("/a\0", "b"), ("/a", "\0b"), ("", "/a"), ("ä", "😀\n\"\\")];
    let events: Vec<_> = pairs.iter().map(|(source, id)| event(source, id, "t", 1)).collect();
    world.put("acme", &events).await;
    for ((source, id), text) in pairs.iter().zip(&events) {
        assert_eq!(world.get("acme", source, id).await.as_ref(), Some(text));
    }
    assert_eq!(world.ids("acme", Filter::default()).await.len(), pairs.len());
}

#[tokio::test]
async fn a_put_that_is_wrong_stores_nothing() {
    let world = World::new();
    let good = event("/s", "1", "t", 1);
    let bad_time = good.replace("2024", "24").replace(r#""1","#, r#""2","#);
    let claims = Runs::of(2, 7);
    assert!(is_invalid(&world.store.put("acme", None, &claims, &batch(std::slice::from_ref(&good))).await, "claims"));
    for (tenant, events, word) in [
        ("acme", batch(&[good.clone(), bad_time]), "RFC 3339"),
        ("acme", batch(&[good.clone(), "{}".into()]), "no `id`"),
        ("acme", good.clone(), "batch"),
        ("acme", batch(&vec![good.clone(); 1025]), "split it"),
        ("acme", format!("[{}{good}]", " ".repeat(1 << 20)), "split it"),
        ("Acme", batch(std::slice::from_ref(&good)), "tenant"),
        ("", batch(&[good]), "tenant"),
    ] {
        let claims = Runs::of(er_event::event::split(&events).map_or(1, |events| events.len()), 7);
        assert!(is_invalid(&world.store.put(tenant, None, &claims, &events).await, word), "{word}");
    }
    assert_eq!(world.ids("acme", Filter::default()).await, Vec::<String>::new());
    world.put("acme", &[]).await;
    world.put("acme", &(0..1024).map(|n| event("/s", &n.to_string(), "t", 1)).collect::<Vec<_>>()).await;
}
