//! Usage and invoices as they are shown.

use super::world::{at, json, merge, World};
use crate::backend::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::accounts::Format;
use crate::invoices::{issue, list, show, verify, void};
use crate::usage::{report, Asked};

fn asked(window: &str) -> Asked {
    Asked { window: window.into(), since: None, until: None, meters: Vec::new() }
}

fn rows(world: &World, asked: &Asked) -> Result<Vec<String>, Fault> {
    let report = json(&report(world, "acme", asked, Format::Json)?.body);
    let rows = report["rows"].as_array().unwrap().iter();
    Ok(rows
        .map(|row| {
            let text = |name: &str| row["window"][name].as_str().unwrap()[5..16].to_owned();
            format!("{} {} {}", text("from"), text("to"), row["quantity"])
        })
        .collect())
}

fn total(world: &World, id: Option<&str>) -> i64 {
    json(&show(world, "acme", id, Format::Json).unwrap().body)["total_minor"].as_i64().unwrap()
}

#[test]
fn usage_is_shown_by_window_from_the_begin_of_the_month_until_now() {
    let world = World::new();
    for (id, time, events) in
        [("a", "02-28T23:59", 1), ("b", "03-01T00:00", 2), ("c", "03-10T11:10", 3), ("d", "03-10T11:50", 4)]
    {
        world.use_events("acme", id, time, events);
        world.use_events("other", id, time, 100);
    }
    assert_eq!(rows(&world, &asked("month")).unwrap(), ["03-01T00:00 03-10T12:01 9"]);
    assert_eq!(rows(&world, &asked("day")).unwrap(), ["03-01T00:00 03-02T00:00 2", "03-10T00:00 03-10T12:01 7"]);
    let mut of = asked("hour");
    (of.since, of.until) = (Some("2026-03-10T11:30:30Z".into()), Some("2026-03-10T13:00:00+01:00".into()));
    assert_eq!(rows(&world, &of).unwrap(), ["03-10T11:30 03-10T12:00 4"]);
    of.meters = vec!["bytes_in".into()];
    assert_eq!(rows(&world, &of).unwrap(), Vec::<String>::new());
    for (window, since, meter) in [("week", None, None), ("day", Some("now"), None), ("day", None, Some("events"))] {
        let bad = Asked {
            window: window.into(),
            since: since.map(Into::into),
            until: None,
            meters: meter.map(Into::into).into_iter().collect(),
        };
        assert_eq!(rows(&world, &bad).unwrap_err().code, FaultCode::Invalid, "{bad:?}");
    }
    let shown = |format| report(&world, "acme", &asked("day"), format).unwrap();
    assert!(shown(Format::Csv).body.starts_with("tenant,from,to,meter,quantity,unit\r\nacme,2026-03-01T00:00:00Z"));
    assert!(
        shown(Format::Html).body.starts_with("<!doctype html>") && shown(Format::Html).content_type.contains("html")
    );
}

#[test]
fn the_draft_of_this_month_grows_until_the_month_is_closed() {
    let world = World::with_plans();
    assert_eq!(total(&world, None), 100);
    world.use_events("acme", "a", "03-05T00:00", 15);
    assert_eq!((total(&world, None), total(&world, Some("acme-2026-03-1"))), (105, 105));
    assert_eq!(world.close_all("03-10T12:00"), 0);
    world.now.set(at("04-01T02:00"));
    world.close_all("04-01T02:00");
    world.use_events("acme", "late", "03-31T23:59", 1);
    world.use_events("acme", "b", "04-01T01:00", 30);
    assert_eq!(total(&world, Some("acme-2026-03-1")), 105, "issued");
    assert_eq!(total(&world, None), 121, "1.00, twenty events, and the one that came late");
    let listed = json(&list(&world, "acme").unwrap());
    let ids: Vec<String> =
        listed["items"].as_array().unwrap().iter().map(|item| format!("{} {}", item["id"], item["state"])).collect();
    assert_eq!(ids, [r#""acme-2026-04-1" "draft""#, r#""acme-2026-03-1" "issued""#]);
}

#[test]
fn what_is_no_invoice_is_not_found() {
    let world = World::with_plans();
    for id in
        ["acme-2026-03-2", "acme-2026-02-1", "acme-2026-04-1", "other-2026-03-1", "acme-2026-03-0", "acme", "", "x"]
    {
        assert_eq!(show(&world, "acme", Some(id), Format::Json).unwrap_err().code, FaultCode::NotFound, "{id}");
    }
    let fault = show(&World::new(), "acme", None, Format::Json).unwrap_err();
    assert!(fault.code == FaultCode::NotFound && fault.detail.contains("/plan"), "{}", fault.detail);
}

#[test]
fn an_invoice_is_proved_from_analytics_and_from_the_stream() {
    let world = World::with_plans();
    world.close_all("03-10T12:00");
    world.use_events("acme", "a", "03-05T00:00", 15);
    world.now.set(at("04-01T02:00"));
    world.close_all("04-01T02:00");
    let proof = || json(&verify(&world, "acme", "acme-2026-03-1").unwrap());
    assert_eq!(proof(), json(r#"{"invoice":"acme-2026-03-1","analytics":[],"stream":[]}"#));
    merge(&world.stream, "acme", "lost", "03-06T00:00", 1);
    assert_eq!(proof()["analytics"], json("[]"));
    let stream = proof()["stream"].clone();
    assert!(stream[0]["meter"] == "events_in" && stream[0]["expected"] == 6 && stream[0]["found"] == 5, "{stream}");
    world.usage_fault.set(Some((1, FaultCode::NotFound)));
    let proof = proof();
    assert!(proof["stream"].is_null() && proof["stream_fault"] == "ordered", "{proof}");
}

#[test]
fn a_void_invoice_is_made_again_under_the_next_number() {
    let world = World::with_plans();
    world.use_events("acme", "a", "03-05T00:00", 15);
    assert_eq!(void(&world, "acme", "acme-2026-03-1").unwrap_err().code, FaultCode::Conflict, "a draft");
    assert_eq!(issue(&world, "acme", "acme-2026-03-1").unwrap_err().code, FaultCode::Conflict, "the month goes on");
    world.close_all("03-10T12:00");
    world.now.set(at("04-01T02:00"));
    world.close_all("04-01T02:00");
    assert_eq!(json(&void(&world, "acme", "acme-2026-03-1").unwrap())["state"], "void");
    assert_eq!(void(&world, "acme", "acme-2026-03-1").unwrap_err().code, FaultCode::Conflict);
    assert_eq!(total(&world, Some("acme-2026-03-2")), 105);
    assert_eq!(json(&issue(&world, "acme", "acme-2026-03-2").unwrap())["state"], "issued");
    assert_eq!(issue(&world, "acme", "acme-2026-03-2").unwrap_err().code, FaultCode::Conflict, "issued already");
    assert_eq!(json(&list(&world, "acme").unwrap())["items"].as_array().unwrap().len(), 3);
}
