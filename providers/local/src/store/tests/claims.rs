//! Who brought an event first keeps it.

use super::*;

const NONE: [u32; 0] = [];

#[tokio::test]
async fn the_first_claim_on_an_event_holds() {
    let mut world = World::new();
    let first = [event("/s", "1", "first", 1), event("/s", "2", "first", 2)];
    assert_eq!(world.claim(7, &first).await, NONE);
    let second = [event("/s", "0", "second", 0), event("/s", "1", "second", 5), event("/s", "2", "second", 6)];
    assert_eq!(world.claim(8, &second).await, [1, 2]);
    assert_eq!(world.get("acme", "/s", "1").await.as_ref(), Some(&first[0]), "as it was");
    assert_eq!(world.claim(7, &first).await, NONE, "the same work again");
    world.reopen().await;
    assert_eq!(world.claim(8, &second).await, [1, 2]);
    assert_eq!(world.claim(9, &second).await, [0, 1, 2]);
    assert_eq!(world.ids("acme", Filter::default()).await, ["2", "1", "0"]);
}

#[tokio::test]
async fn events_of_one_put_have_claims_of_their_own() {
    let world = World::new();
    assert_eq!(world.claim(7, &[event("/s", "1", "t", 1)]).await, NONE);
    let events = [event("/s", "1", "t", 1), event("/s", "2", "t", 2), event("/s", "2", "t", 2)];
    let claims = "1x7 1x8 1x9".parse().unwrap();
    assert_eq!(world.store.put("acme", None, &claims, &batch(&events)).await, Ok(vec![2]));
    assert_eq!(world.claim(8, &events[1..2]).await, NONE);
    assert_eq!(world.claim(9, &events[1..2]).await, [0]);
}

#[tokio::test]
async fn a_claim_ends_with_the_event() {
    let world = World::new();
    assert_eq!(world.claim(7, &[event("/s", "1", "t", 1)]).await, NONE);
    assert_eq!(world.claim(8, &[event("/s", "1", "t", 1)]).await, [0]);
    world.pass(24 * HOUR_US + 1);
    let mut looks = 0;
    while world.claim(8, &[event("/s", "1", "t", 1)]).await == [0] {
        looks += 1;
        assert!(looks < 500, "the event is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(world.claim(7, &[event("/s", "1", "t", 1)]).await, [0]);
}
