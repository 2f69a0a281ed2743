//! Months close by themselves, once each, whoever is cut off meanwhile.

use er_tenant::billing::{invoices_of, BILLING_BUCKET};
use er_tenant::TENANTS_BUCKET;

use super::world::{at, json, World, PLAN};
use crate::backend::{Backend, FaultCode};
use crate::bindings::exports::eventrunner::platform::accounts::Format;
use crate::close::close;
use crate::invoices::{show, void};
use crate::plans::subscribe;

fn issued(world: &World, tenant: &str) -> Vec<String> {
    let items = world.kv_scan(BILLING_BUCKET, &invoices_of(tenant), None, 1_000).unwrap();
    items.into_iter().map(|item| item.key).collect()
}

#[test]
fn a_month_closes_an_hour_after_its_end_for_every_tenant_that_has_a_plan() {
    let world = World::with_plans();
    world.record(TENANTS_BUCKET, "free", r#"{"id":"free"}"#);
    assert_eq!(world.close_all("03-10T12:00"), 0, "the first look only says from when on");
    assert_eq!(world.close_all("04-01T00:59"), 0);
    assert_eq!(world.close_all("04-01T01:00"), 2);
    assert_eq!(issued(&world, "acme"), ["invoice.acme.2026-03.000001"]);
    assert_eq!((issued(&world, "other").len(), issued(&world, "free").len()), (1, 0));
    assert_eq!(world.close_all("04-30T23:00"), 0);
    assert_eq!(world.close_all("06-02T00:00"), 4, "two months that nobody looked at");
    assert_eq!(issued(&world, "acme").len(), 3);
}

#[test]
fn a_plan_that_begins_later_costs_nothing_before() {
    let world = World::new();
    let change = format!(r#"{{"plan":{PLAN},"effective_from":"2026-04-01T00:00:00Z"}}"#);
    subscribe(&world, "acme", &change).unwrap();
    world.close_all("03-10T12:00");
    world.close_all("05-01T02:00");
    assert_eq!(issued(&world, "acme"), ["invoice.acme.2026-04.000001"]);
}

#[test]
fn many_tenants_are_closed_over_many_calls_and_a_cut_is_taken_up() {
    let world = World::new();
    let tenants: Vec<String> = (0..50).map(|n| format!("t-{n:02}")).collect();
    let change = format!(r#"{{"plan":{PLAN},"effective_from":"2026-03-01T00:00:00Z"}}"#);
    for tenant in &tenants {
        world.record(TENANTS_BUCKET, tenant, &format!(r#"{{"id":"{tenant}"}}"#));
        subscribe(&world, tenant, &change).unwrap();
    }
    let settled = at("04-01T02:00").us().unsigned_abs();
    assert_eq!(close(&world, at("03-10T12:00").us().unsigned_abs()).unwrap(), 0);
    // The analytics fail in the midst of the second call, in whatever way: nobody is passed over.
    world.usage_fault.set(Some((20, FaultCode::Unavailable)));
    assert_eq!(close(&world, settled).unwrap(), 16);
    assert_eq!(close(&world, settled).unwrap_err().code, FaultCode::Unavailable);
    for code in [FaultCode::Denied, FaultCode::Internal] {
        world.usage_fault.set(Some((0, code)));
        assert_eq!(close(&world, settled).unwrap_err().code, code);
    }
    world.usage_fault.set(None);
    assert_eq!(world.close_all("04-01T02:00"), 30);
    assert!(tenants.iter().all(|tenant| issued(&world, tenant).len() == 1));
}

#[test]
fn one_broken_tenant_does_not_keep_others_from_their_invoices() {
    let world = World::with_plans();
    world.close_all("03-10T12:00");
    world.record(BILLING_BUCKET, "subscription.broken", "{");
    assert_eq!(world.close_all("04-01T02:00"), 3);
    assert_eq!((issued(&world, "acme").len(), issued(&world, "other").len()), (1, 1));
}

#[test]
fn two_that_close_at_once_issue_one_invoice() {
    let world = World::with_plans();
    world.close_all("03-10T12:00");
    // Somebody else got the first invoice in, and got further.
    world.conflicts.set(1);
    let settled = at("04-01T02:00").us().unsigned_abs();
    assert!(close(&world, settled).is_ok_and(|looked_at| looked_at == 2));
    world.close_all("04-01T02:00");
    assert_eq!(issued(&world, "other").len(), 1);
}

#[test]
fn months_that_a_clock_closed_ahead_close_again_in_their_time() {
    let world = World::with_plans();
    world.close_all("03-10T12:00");
    // For a minute it is September.
    world.now.set(at("09-02T00:00"));
    world.close_all("09-02T00:00");
    assert_eq!(issued(&world, "acme").len(), 6);
    world.now.set(at("03-10T12:05"));
    assert_eq!(world.close_all("03-10T12:05"), 2, "February again, which changes nothing");
    assert_eq!(world.close_all("03-10T12:05"), 0);
    assert_eq!((issued(&world, "acme").len(), issued(&world, "other").len()), (6, 6));

    // One is taken back by hand, before it was issued.
    void(&world, "acme", "acme-2026-04-1").unwrap();
    world.use_events("acme", "a", "03-20T00:00", 15);
    for time in ["04-01T01:00", "05-01T01:00"] {
        world.now.set(at(time));
        assert_eq!((world.close_all(time), world.close_all(time)), (2, 0));
    }
    let shown = |id| {
        let invoice = json(&show(&world, "acme", Some(id), Format::Json).unwrap().body);
        (invoice["state"].as_str().unwrap().to_owned(), invoice["total_minor"].as_i64().unwrap())
    };
    for (id, state, total) in [
        ("acme-2026-03-1", "void", 100),
        ("acme-2026-03-2", "issued", 105),
        ("acme-2026-04-1", "void", 100),
        ("acme-2026-04-2", "issued", 100),
        ("acme-2026-05-1", "issued", 100),
    ] {
        assert_eq!(shown(id), (state.to_owned(), total), "{id}");
    }
    assert_eq!(issued(&world, "acme").len(), 8, "one more for each month that was really over");
}

#[test]
fn a_first_look_by_a_clock_that_was_ahead_keeps_nobody_from_invoices() {
    for ahead in ["04-05T00:00", "09-02T00:00"] {
        let world = World::with_plans();
        assert_eq!(world.close_all(ahead), 0);
        world.close_all("03-10T12:00");
        assert_eq!(issued(&world, "acme").len(), 0);
        world.close_all("04-01T01:00");
        assert_eq!(issued(&world, "acme"), ["invoice.acme.2026-03.000001"]);
    }
}
