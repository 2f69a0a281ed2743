//! What a filter lets through.

use super::*;

async fn filled() -> World {
    let world = World::new();
    let events: Vec<_> =
        (0..8).map(|n| event(["/x", "/y"][n % 2], &n.to_string(), &format!("a.{}", n / 4), n as i64)).collect();
    world.put("acme", &events).await;
    world
}

#[tokio::test]
async fn since_is_inclusive_and_until_exclusive() {
    let world = filled().await;
    for (since, until, want) in [
        (at(2), at(5), &["4", "3", "2"][..]),
        (at(6), None, &["7", "6"]),
        (None, at(1), &["0"]),
        (at(3), at(3), &[]),
        (at(5), at(2), &[]),
        (None, Some(i64::MIN), &[]),
        (Some(i64::MAX), None, &[]),
    ] {
        let filter = Filter { since_us: since, until_us: until, ..Filter::default() };
        assert_eq!(world.ids("acme", filter).await, want);
    }
}

#[tokio::test]
async fn types_match_exactly_or_by_prefix() {
    let world = filled().await;
    for (ty, want) in [
        ("a.1", &["7", "6", "5", "4"][..]),
        ("a.*", &["7", "6", "5", "4", "3", "2", "1", "0"]),
        ("a", &[]),
        ("a.1*", &["7", "6", "5", "4"]),
    ] {
        let filter = Filter { event_type: Some(ty.into()), ..Filter::default() };
        assert_eq!(world.ids("acme", filter).await, want, "{ty}");
    }
}

#[tokio::test]
async fn all_parts_of_a_filter_hold_together() {
    let world = filled().await;
    let filter = Filter { event_type: Some("a.1".into()), source: Some("/x".into()), since_us: at(5), until_us: None };
    assert_eq!(world.ids("acme", filter).await, ["6"]);
}

#[tokio::test]
async fn times_before_1970_and_far_away_sort_too() {
    let world = World::new();
    let times = ["0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"];
    let events: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(n, time)| format!(r#"{{"id":"{n}","source":"/s","type":"t","time":"{time}"}}"#))
        .collect();
    world.put("acme", &events).await;
    assert_eq!(world.ids("acme", Filter::default()).await, ["3", "2", "1", "0"]);
    let filter = Filter { since_us: Some(-1), until_us: Some(1), ..Filter::default() };
    assert_eq!(world.ids("acme", filter).await, ["2", "1"]);
}

#[tokio::test]
async fn a_time_that_is_none_is_refused_with_its_mend() {
    let since = |text| Filter::new(None, None, text, None).map(|filter| filter.since_us);
    assert_eq!(since(None), Ok(None));
    assert_eq!(since(Some("1970-01-01T00:00:01Z")), Ok(Some(1_000_000)));
    let until = Filter::new(None, None, None, Some("yesterday")).map(|_| ()).map_err(Error::Invalid);
    assert!(is_invalid(&until, "`until` is `yesterday`; write it as RFC 3339"));
}
