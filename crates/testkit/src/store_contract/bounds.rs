//! What a filter lets through, and what a store does not take.

use super::*;

pub async fn filters_hold_together(store: &impl EventStore) {
    let own = Own::new(store);
    let day = 86_400;
    let events: Vec<_> =
        (0..8).map(|n| event(["/x", "/y"][n % 2], &n.to_string(), &format!("a.{}", n / 4), n as i64 * day)).collect();
    own.put(1, &events).await;
    let filter = |ty: Option<&str>, source: Option<&str>, since: Option<i64>, until: Option<i64>| Filter {
        event_type: ty.map(str::to_string),
        source: source.map(str::to_string),
        since: since.map(|days| at(days * day)),
        until: until.map(|days| at(days * day)),
    };
    for (filter, want) in [
        // From, inclusive, to, exclusive.
        (filter(None, None, Some(2), Some(5)), &["4", "3", "2"][..]),
        (filter(None, None, Some(6), None), &["7", "6"]),
        (filter(None, None, None, Some(1)), &["0"]),
        (filter(None, None, Some(3), Some(3)), &[]),
        (filter(None, None, Some(5), Some(2)), &[]),
        // Exactly, or a prefix.
        (filter(Some("a.1"), None, None, None), &["7", "6", "5", "4"]),
        (filter(Some("a.*"), None, None, None), &["7", "6", "5", "4", "3", "2", "1", "0"]),
        (filter(Some("*"), None, Some(7), None), &["7"]),
        (filter(Some("a"), None, None, None), &[]),
        (filter(Some("a.1*"), None, None, None), &["7", "6", "5", "4"]),
        (filter(None, Some("/x"), None, None), &["6", "4", "2", "0"]),
        (filter(None, Some("/"), None, None), &[]),
        (filter(Some("a.1"), Some("/x"), Some(5), None), &["6"]),
    ] {
        assert_eq!(own.ids(&filter).await, want, "{filter:?}");
    }
}

pub async fn far_times_sort_too(store: &impl EventStore) {
    let own = Own::new(store);
    let times = [
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000001Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    let text = |(n, time): (usize, &&str)| format!(r#"{{"id":"{n}","source":"/s","type":"t","time":"{time}"}}"#);
    own.put(1, &times.iter().enumerate().map(text).collect::<Vec<_>>()).await;
    assert_eq!(own.all().await, ["4", "3", "2", "1", "0"]);
    assert_eq!(own.texts(&Filter::default(), 1).await.len(), times.len());
    let between =
        |since: &str, until: &str| Filter { since: Some(since.into()), until: Some(until.into()), ..Filter::default() };
    assert_eq!(own.ids(&between(times[1], times[3])).await, ["2", "1"]);
    assert_eq!(own.ids(&between(times[0], times[4])).await, ["3", "2", "1", "0"]);
}

pub async fn what_is_wrong_is_refused_and_stores_nothing(store: &impl EventStore) {
    let own = Own::new(store);
    let good = event("/s", "1", "t", 1);
    let bad_time = good.replace("2024", "24").replace(r#""1","#, r#""2","#);
    let tenant = own.tenant.as_str();
    let two = Runs::of(2, 1);
    let one = Runs::of(1, 1);
    for (tenant, keep_h, claims, events, word) in [
        (tenant, None, &two, batch(&[good.clone(), bad_time]), "RFC 3339"),
        (tenant, None, &two, batch(&[good.clone(), "{}".into()]), "no `id`"),
        (tenant, None, &one, good.clone(), "batch"),
        (tenant, None, &one, format!("[{good}"), "batch"),
        (tenant, None, &one, String::new(), "batch"),
        (tenant, None, &Runs::of(1025, 1), batch(&vec![good.clone(); 1025]), "split it"),
        (tenant, None, &one, format!("[{}{good}]", " ".repeat(1 << 20)), "split it"),
        (tenant, None, &two, batch(std::slice::from_ref(&good)), "claims"),
        (tenant, None, &Runs::default(), batch(std::slice::from_ref(&good)), "claims"),
        (tenant, Some(0), &one, batch(std::slice::from_ref(&good)), "`keep-h` is 0"),
        ("Acme", None, &one, batch(std::slice::from_ref(&good)), "tenant"),
        ("", None, &one, batch(std::slice::from_ref(&good)), "tenant"),
        (&"a".repeat(41), None, &one, batch(std::slice::from_ref(&good)), "tenant"),
    ] {
        let refused = store.put(tenant, keep_h, claims, &events).await.unwrap_err();
        assert!(refused.contains(word), "{refused} has no «{word}»");
    }
    for field in ["since", "until"] {
        let time = Some("yesterday".to_string());
        let filter = match field {
            "since" => Filter { since: time, ..Filter::default() },
            _ => Filter { until: time, ..Filter::default() },
        };
        let refused = store.query(tenant, &filter, None, 1).await.unwrap_err();
        assert!(refused.contains(&format!("`{field}` is `yesterday`; write it as RFC 3339")), "{refused}");
    }
    assert!(store.get("Acme", "/s", "1").await.unwrap_err().contains("tenant"));
    assert!(store.query("Acme", &Filter::default(), None, 1).await.unwrap_err().contains("tenant"));
    assert_eq!(own.get("/s", "1").await, None);
    assert_eq!(own.all().await, Vec::<String>::new());
}
