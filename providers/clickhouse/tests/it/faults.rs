//! A server that is killed, stopped, away, or not ours to use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use er_analytics::{Analytics, Code, Error, Options};
use er_metering::{Meter, Record, Window};
use er_provider_clickhouse::{ClickHouse, ProviderSettings, Server as Address};
use er_testkit::analytics::{expected, insert_until_in, lines, month, options, record, tenant, usage};
use er_testkit::clickhouse::Server;
use er_testkit::until;

use crate::kit::{engine, SERVER};

const PATIENCE: Duration = Duration::from_secs(60);
const DATABASE: &str = "eventrunner";

/// As one that will not wait long.
fn impatient() -> Options {
    Options {
        try_timeout: Duration::from_millis(1_500),
        tries_max: 2,
        insert_timeout: Duration::from_secs(5),
        query_timeout: Duration::from_secs(3),
        ..options()
    }
}

fn one(tenant: &str, id: &str) -> Vec<Record> {
    vec![record(tenant, id, month(0).unwrap().from(), &[(Meter::EventsIn, 7), (Meter::BytesIn, 300)]).unwrap()]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sums_are_exact_though_the_server_is_killed_in_the_middle_of_it() {
    const KILLS: usize = 4;
    const WRITERS: usize = 4;
    const CALLS: usize = 60;
    const RECORDS: usize = 50;
    let mut server = Server::start(SERVER, None).unwrap();
    let analytics = Arc::new(Analytics::start(engine(&server, DATABASE), impatient()));
    let (tenant, month) = (tenant("killed"), month(0).unwrap());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let calls: Vec<Vec<Record>> = (0..CALLS)
            .map(|call| {
                let of = |place| {
                    let minute = i64::try_from((call * 7 + place) % 500).unwrap();
                    let time = month.from().plus_us(minute * 60_000_000).unwrap();
                    let used = [(Meter::EventsIn, 1 + place as u64), (Meter::ConsumerUs, 1 + call as u64)];
                    record(&tenant, &format!("w{writer}.{call}.{place}"), time, &used).unwrap()
                };
                (0..RECORDS).map(of).collect()
            })
            .collect();
        all.extend(calls.iter().flatten().cloned());
        let (analytics, acknowledged) = (Arc::clone(&analytics), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            for call in calls {
                insert_until_in(&analytics, &lines(&call).unwrap()).await.unwrap();
                acknowledged.fetch_add(1, Ordering::AcqRel);
            }
        }));
    }
    // Each time after some more of it is in, and while more is under way.
    for kill in 1..=KILLS {
        let enough = kill * WRITERS * CALLS / (KILLS + 1);
        let is_in = || async { Ok((acknowledged.load(Ordering::Acquire) >= enough).then_some(())) };
        until("acknowledged calls", PATIENCE, is_in).await.unwrap();
        server.kill9().unwrap();
        server.restart().unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    for window in [Window::Minute, Window::Month] {
        let told = usage(&analytics, &tenant, month, window).await.unwrap();
        assert_eq!(told, expected(&all, &tenant, month, window).unwrap());
    }
    // And it is so on the disk.
    server.kill9().unwrap();
    server.restart().unwrap();
    let told =
        until("an answer", PATIENCE, || async { Ok(usage(&analytics, &tenant, month, Window::Month).await.ok()) });
    assert_eq!(told.await.unwrap(), expected(&all, &tenant, month, Window::Month).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_counts_once_when_it_comes_again_after_a_restart() {
    let mut server = Server::start(SERVER, None).unwrap();
    let (tenant, month) = (tenant("again"), month(0).unwrap());
    let records = one(&tenant, "a");
    for _ in 0..2 {
        // A new provider, and a new server.
        let analytics = Analytics::start(engine(&server, DATABASE), options());
        analytics.insert(&lines(&records).unwrap()).await.unwrap();
        server.kill9().unwrap();
        server.restart().unwrap();
    }
    let analytics = Analytics::start(engine(&server, DATABASE), options());
    let told = usage(&analytics, &tenant, month, Window::Day).await.unwrap();
    assert_eq!(told, expected(&records, &tenant, month, Window::Day).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_unavailable_in_bounded_time_and_then_works() {
    let mut server = Server::start(SERVER, None).unwrap();
    let options = impatient();
    let analytics = Analytics::start(engine(&server, DATABASE), options.clone());
    let (tenant, month) = (tenant("still"), month(0).unwrap());
    let records = [one(&tenant, "a"), one(&tenant, "b")].concat();
    analytics.insert(&lines(&records[..1]).unwrap()).await.unwrap();

    server.pause().unwrap();
    let started = Instant::now();
    let text = lines(&records).unwrap();
    let (inserted, told) = tokio::join!(analytics.insert(&text), usage(&analytics, &tenant, month, Window::Day));
    let took = started.elapsed();
    for error in [inserted.unwrap_err(), told.unwrap_err()] {
        assert_eq!(error.code(), Code::Unavailable, "{error}");
        assert!(error.retry_after_ms().is_some(), "{error}");
    }
    assert!(took < options.insert_timeout + Duration::from_secs(2), "it took {took:?}");

    server.resume().unwrap();
    insert_until_in(&analytics, &text).await.unwrap();
    let told = usage(&analytics, &tenant, month, Window::Day).await.unwrap();
    assert_eq!(told, expected(&records, &tenant, month, Window::Day).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_brought_up_to_date_when_it_comes() {
    let mut server = Server::absent(SERVER).unwrap();
    let analytics = Analytics::start(engine(&server, DATABASE), impatient());
    let (tenant, month) = (tenant("away"), month(0).unwrap());
    let records = one(&tenant, "a");
    let text = lines(&records).unwrap();
    let refusals = [
        analytics.prepare().await.unwrap_err(),
        analytics.insert(&text).await.unwrap_err(),
        usage(&analytics, &tenant, month, Window::Day).await.unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, Error::Away(_)), "{error}");
        assert_eq!((error.code(), error.retry_after_ms().is_some()), (Code::Unavailable, true));
    }
    server.restart().unwrap();
    analytics.insert(&text).await.unwrap();
    let told = usage(&analytics, &tenant, month, Window::Day).await.unwrap();
    assert_eq!(told, expected(&records, &tenant, month, Window::Day).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_know_us_says_so() {
    let server = Server::start(SERVER, Some("s3cret")).unwrap();
    let of = |password: Option<&str>| {
        let address = Address {
            url: server.url().into(),
            database: DATABASE.into(),
            user: Some("er".into()),
            password: password.map(str::to_owned),
        };
        Analytics::start(ClickHouse::new(&address), options())
    };
    for password in [None, Some("secret")] {
        let error = of(password).prepare().await.unwrap_err();
        assert!(matches!(&error, Error::Operator(text) if text.contains("AUTHENTICATION_FAILED")), "{error}");
        assert!(error.retry_after_ms() > Some(10_000));
    }
    of(Some("s3cret")).prepare().await.unwrap();
}

#[tokio::test]
async fn an_address_where_nothing_is_does_not_hold_up_the_start() {
    // TEST-NET-1: packets go nowhere.
    let map = HashMap::from([("url".to_string(), "http://192.0.2.1:8123".to_string())]);
    let settings = ProviderSettings::parse(&map).unwrap();
    let analytics = Analytics::start(ClickHouse::new(&settings.server), impatient());
    let started = Instant::now();
    let error = analytics.prepare().await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(5), "{error}");
}
