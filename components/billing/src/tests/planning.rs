//! Plans on offer, and who has which.

use super::world::{at, json, World, PLAN};
use crate::backend::FaultCode;
use crate::plans::{list, save, show, subscribe, subscription};

fn begins(world: &World, tenant: &str) -> Vec<String> {
    let changes = json(&subscription(world, tenant).unwrap());
    let changes = changes.as_array().unwrap().iter();
    changes.map(|change| format!("{} {}", change["plan"]["name"], change["effective_from"])).collect()
}

#[test]
fn a_plan_on_offer_reads_back_and_a_bad_one_is_refused_with_all_its_faults() {
    let world = World::new();
    let saved = save(&world, "small", PLAN).unwrap();
    assert_eq!(show(&world, "small").unwrap(), saved);
    assert_eq!(json(&list(&world).unwrap())["items"][0]["id"], "small");
    assert_eq!(json(&list(&world).unwrap())["items"][0]["plan"], json(&saved));
    let fault = save(&world, "bad", &PLAN.replace("1.00", "1.001").replace("0.01", "x")).unwrap_err();
    assert_eq!(fault.code, FaultCode::Invalid);
    assert!(fault.detail.contains("monthly_fee") && fault.detail.contains("amount"), "{}", fault.detail);
    assert_eq!(save(&world, "Small", PLAN).unwrap_err().code, FaultCode::Invalid);
    assert_eq!(show(&world, "none").unwrap_err().code, FaultCode::NotFound);
}

#[test]
fn a_first_plan_begins_with_this_minute_or_earlier_this_month() {
    let world = World::new();
    world.now.set(at("03-10T12:34").plus_us(56_000_000).unwrap());
    save(&world, "small", PLAN).unwrap();
    subscribe(&world, "acme", r#"{"plan":"small"}"#).unwrap();
    assert_eq!(begins(&world, "acme"), [r#""Small" "2026-03-10T12:34:00Z""#]);
    let from = |text: &str| format!(r#"{{"plan":"small","effective_from":"2026-{text}:00Z"}}"#);
    assert_eq!(subscribe(&world, "other", &from("02-28T23:59")).unwrap_err().code, FaultCode::Invalid);
    subscribe(&world, "other", &from("03-01T00:00")).unwrap();
}

#[test]
fn a_change_never_touches_the_past() {
    let world = World::with_plans();
    let own = PLAN.replace("Small", "Own");
    let change = |from: &str| format!(r#"{{"plan":{own},"effective_from":"2026-{from}:00Z"}}"#);
    assert_eq!(subscribe(&world, "acme", &change("03-10T11:59")).unwrap_err().code, FaultCode::Invalid);
    assert_eq!(begins(&world, "acme").len(), 1);
    subscribe(&world, "acme", &change("04-01T00:00")).unwrap();
    world.now.set(at("03-10T12:00").plus_us(1).unwrap());
    subscribe(&world, "acme", &format!(r#"{{"plan":{own}}}"#)).unwrap();
    let both = [r#""Small" "2026-03-01T00:00:00Z""#, r#""Own" "2026-03-10T12:01:00Z""#];
    assert_eq!(begins(&world, "acme"), both, "from the next minute, in place of what was to come");
}

#[test]
fn what_is_no_change_is_told_so() {
    let world = World::new();
    for (tenant, change, code) in [
        ("nobody", r#"{"plan":"small"}"#, FaultCode::NotFound),
        ("operator", r#"{"plan":"small"}"#, FaultCode::NotFound),
        ("acme", r#"{"plan":"small"}"#, FaultCode::NotFound),
        ("acme", r#"{"plan":"../x"}"#, FaultCode::NotFound),
        ("acme", "{}", FaultCode::Invalid),
        ("acme", r#"{"plan":7}"#, FaultCode::Invalid),
        ("acme", r#"{"plan":"small","from":1}"#, FaultCode::Invalid),
        ("acme", r#"{"plan":"small","effective_from":"now"}"#, FaultCode::Invalid),
    ] {
        assert_eq!(subscribe(&world, tenant, change).unwrap_err().code, code, "{change}");
    }
    assert_eq!(subscription(&world, "acme").unwrap_err().code, FaultCode::NotFound);
}

#[test]
fn a_change_that_meets_another_is_made_again() {
    let world = World::with_plans();
    world.conflicts.set(4);
    subscribe(&world, "acme", &format!(r#"{{"plan":{PLAN}}}"#)).unwrap();
    world.conflicts.set(5);
    let fault = subscribe(&world, "acme", &format!(r#"{{"plan":{PLAN}}}"#)).unwrap_err();
    assert_eq!(fault.code, FaultCode::Conflict);
}
