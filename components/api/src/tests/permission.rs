//! The policy's word over every request.

use er_event::keys::Role;
use serde_json::json;

use super::world::{fault, json, World};
use crate::backend::FaultCode;

#[test]
fn every_request_with_a_key_is_asked_about_with_its_action_and_tenant() {
    let world = World::new();
    let (admin, operator) = (world.key("acme", Role::Admin), world.operator());
    for (key, target, tenant, action) in [
        (&admin, "/api/v1/events", json!("acme"), "read"),
        (&admin, "/api/v1/keys", json!("acme"), "keys"),
        (&operator, "/api/v1/events?tenant=other", json!("other"), "read"),
        (&operator, "/api/v1/usage/other", json!("other"), "read"),
        (&operator, "/api/v1/tenants", json!(null), "tenants"),
        (&operator, "/api/v1/plans", json!(null), "tenants"),
    ] {
        assert_eq!(world.get(key, target).status, 200, "{target}");
        let question = world.questions.borrow_mut().pop().unwrap();
        assert_eq!((&question["kind"], &question["tenant"]), (&json!("api"), &tenant), "{target}");
        assert_eq!(question["action"], action, "{target}");
    }
    world.questions.borrow_mut().clear();
    world.get("", "/");
    assert!(world.questions.borrow().is_empty());
    world.deny("api", Some("not_loaded"));
    let health = world.get("", "/healthz");
    assert_eq!((health.status, &json(&health)["parts"]["policy"]), (503, &json!("unavailable")));
}

#[test]
fn a_denial_is_told_with_its_reason_and_logged() {
    let world = World::new();
    let key = world.key("acme", Role::Viewer);
    world.deny("api", None);
    let response = world.get(&key, "/api/v1/events");
    assert_eq!((response.status, json(&response)["detail"].as_str()), (403, Some("the policy's reason")));
    assert!(response.body.contains("b.d"), "{}", response.body);
    assert!(world.asked.borrow().is_empty());
    assert!(world.logged.borrow()[0].contains("the policy's reason"));
}

#[test]
fn where_no_policy_decides_nothing_is_done_and_the_caller_may_come_back() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    world.deny("", Some("stale"));
    let response = world.get(&key, "/api/v1/events");
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(response.headers.iter().any(|(name, value)| *name == "retry-after" && value == "1"));
    // An allowance that says it is none, and a fault of any kind.
    for answer in [Err(fault(FaultCode::Denied)), Err(fault(FaultCode::Internal))] {
        *world.policy.borrow_mut() = Some((String::new(), answer));
        assert_eq!(world.get(&key, "/api/v1/events").status, 503);
    }
    assert!(world.asked.borrow().is_empty());
}

#[test]
fn who_reaches_for_another_tenant_is_refused_before_the_policy_could_tell_of_it() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    for target in ["/api/v1/events?tenant=other", "/api/v1/usage/nobody", "/api/v1/consumers?tenant=other"] {
        assert_eq!(world.get(&admin, target).status, 403, "{target}");
    }
    assert!(world.questions.borrow().is_empty());
}

#[test]
fn a_tenant_that_is_made_is_known_to_the_policy_when_that_is_answered() {
    let world = World::new();
    let operator = world.operator();
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"new"}"#).status, 201);
    let last = world.questions.borrow().last().unwrap().clone();
    assert_eq!((&last["tenant"], &last["action"]), (&json!("new"), &json!("read")));
}

#[test]
fn policies_are_the_operators() {
    let world = World::new();
    let (admin, operator) = (world.key("acme", Role::Admin), world.operator());
    for (method, target, body) in [
        ("GET", "/api/v1/policies", ""),
        ("GET", "/api/v1/policies/versions", ""),
        ("PUT", "/api/v1/policies/data", "{}"),
        ("PUT", "/api/v1/policies/bundle", "x"),
        ("POST", "/api/v1/policies:activate", r#"{"bundle":"b"}"#),
    ] {
        assert_eq!(world.send(&admin, method, target, body).status, 403, "{target}");
        let status = world.send(&operator, method, target, body).status;
        assert!(status == 200 || status == 201, "{target}: {status}");
    }
    let asked = world.asked.borrow();
    assert!(asked.contains(&"bundle eA==".to_owned()), "{asked:?}");
    assert!(asked.iter().any(|asked| asked.starts_with("activate b None operator/")), "{asked:?}");
}
