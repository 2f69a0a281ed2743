//! Who brought an event first, and what a repeat may do.

use super::*;

pub async fn a_repeat_under_the_same_claim_writes_over_what_is_there(store: &impl EventStore) {
    let own = Own::new(store);
    let with = |data: u32| {
        ["1", "2"].map(|id| event("/s", id, "t", 1).replace(r#""t""#, &format!(r#""t","data":{data}"#))).to_vec()
    };
    for data in [1, 1, 2] {
        assert_eq!(own.put(5, &with(data)).await, Vec::<u32>::new());
        assert_eq!(own.get("/s", "1").await, Some(with(data)[0].clone()));
        let mut listed = own.texts(&Filter::default(), 1).await;
        listed.sort();
        assert_eq!(listed, with(data));
    }
}

pub async fn an_event_moves_with_its_time_and_type(store: &impl EventStore) {
    let own = Own::new(store);
    let of = |ty: &str| Filter { event_type: Some(ty.into()), ..Filter::default() };
    let day = 86_400;
    own.put(5, &[event("/s", "1", "old", 1), event("/s", "2", "t", 2)]).await;
    own.put(5, &[event("/s", "1", "new", 3 * day)]).await;
    assert_eq!(own.all().await, ["1", "2"]);
    assert_eq!(own.ids(&of("old")).await, Vec::<String>::new());
    assert_eq!(own.ids(&of("new")).await, ["1"]);
    // And back again, to the place that was left.
    own.put(5, &[event("/s", "1", "newer", 1)]).await;
    assert_eq!(own.all().await, ["2", "1"]);
    assert_eq!(own.ids(&of("new")).await, Vec::<String>::new());
    assert!(own.get("/s", "1").await.unwrap().contains("newer"));
}

pub async fn the_first_claim_holds(store: &impl EventStore) {
    let own = Own::new(store);
    let first = [event("/s", "1", "first", 1), event("/s", "2", "first", 2)];
    own.put(u64::MAX, &first).await;
    let second = [
        event("/s", "0", "second", 0),
        event("/s", "2", "second", 9),
        event("/s", "3", "second", 3),
        event("/s", "1", "second", 8),
    ];
    assert_eq!(own.put(0, &second).await, [1, 3]);
    // And on each repeat of either.
    assert_eq!(own.put(0, &second).await, [1, 3]);
    assert_eq!(own.put(u64::MAX, &first).await, Vec::<u32>::new());
    assert_eq!(own.put(1 << 63, &second).await, [0, 1, 2, 3]);
    assert_eq!(own.all().await, ["3", "2", "1", "0"]);
    assert_eq!(own.get("/s", "1").await, Some(first[0].clone()));
    // Each event of a batch has a claim of its own.
    let claims: Runs = [0, u64::MAX, 0, 3].into_iter().collect();
    assert_eq!(store.put(&own.tenant, None, &claims, &batch(&second)).await, Ok(vec![3]));
    assert_eq!(own.get("/s", "2").await, Some(second[1].clone()));
}

pub async fn of_two_in_one_batch_the_first_counts(store: &impl EventStore) {
    let own = Own::new(store);
    let events = [
        event("/s", "1", "first", 9),
        event("/s", "2", "t", 5),
        event("/s", "1", "second", 1),
        event("/s", "1", "third", 2),
    ];
    assert_eq!(own.put(1, &events).await, [2, 3]);
    assert_eq!(own.all().await, ["1", "2"]);
    assert_eq!(own.get("/s", "1").await, Some(events[0].clone()));
    // Under claims of their own too, and where the first is somebody else's already.
    let claims: Runs = [2, 1, 1, 1].into_iter().collect();
    assert_eq!(store.put(&own.tenant, None, &claims, &batch(&events)).await, Ok(vec![0, 2, 3]));
    assert_eq!(own.get("/s", "1").await, Some(events[0].clone()));
}
