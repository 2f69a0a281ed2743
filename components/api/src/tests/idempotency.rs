use er_event::keys::Role;
use er_tenant::{IDEMPOTENCY_BUCKET, KEYS_BUCKET};
use serde_json::{json, Value};

use super::world::{json, whole, World};
use crate::backend::FaultCode;
use crate::http::Response;

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

fn post(world: &World, key: &str, target: &str, once: &str, body: &str) -> Response {
    let headers = [("authorization", key), ("content-type", "application/json"), ("idempotency-key", once)];
    whole(world.ask("POST", target, &headers, body))
}

fn replayed(response: &Response) -> bool {
    response.headers.iter().any(|(name, value)| *name == "idempotency-replayed" && value == "true")
}

fn problem(response: &Response) -> (u16, Value) {
    (response.status, json(response)["type"].clone())
}

#[test]
fn what_was_done_is_not_done_again_and_is_answered_as_it_was() {
    let world = World::new();
    let operator = world.operator();
    let first = post(&world, &operator, "/api/v1/tenants", KEY, r#"{"id":"new"}"#);
    assert_eq!(first.status, 201, "{}", first.body);
    let again = post(&world, &operator, "/api/v1/tenants", &format!("\"{KEY}\""), r#"{"id":"new"}"#);
    assert!(replayed(&again) && !replayed(&first));
    assert_eq!((again.status, &again.body), (201, &first.body));
    let location = |response: &Response| response.headers.iter().find(|(name, _)| *name == "location").cloned();
    assert_eq!(location(&again), location(&first));
    // Without the key it is there already.
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"new"}"#).status, 409);
    // The key belongs to whoever sent it.
    let other = post(&world, &world.operator(), "/api/v1/tenants", KEY, r#"{"id":"new"}"#);
    assert_eq!(problem(&other), (409, json!("urn:eventrunner:error:conflict")));
}

#[test]
fn a_new_api_key_is_told_again_and_is_nowhere_kept() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let first = post(&world, &admin, "/api/v1/keys", KEY, r#"{"role":"viewer"}"#);
    let again = post(&world, &admin, "/api/v1/keys", KEY, r#"{"role":"viewer"}"#);
    assert_eq!((first.status, &first.body), (201, &again.body));
    let key = json(&first)["key"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&format!("Bearer {key}"), "/api/v1/dead-letters").status, 200);
    let secret = key.rsplit_once('_').unwrap().1;
    assert!(!world.holds(secret) && !world.holds(KEY), "neither the secret nor what it is made of rests anywhere");
    // One that was revoked since stays so.
    let id = json(&first)["id"].as_str().unwrap().to_owned();
    assert_eq!(world.send(&admin, "DELETE", &format!("/api/v1/keys/{id}"), "").status, 204);
    assert_eq!(post(&world, &admin, "/api/v1/keys", KEY, r#"{"role":"viewer"}"#).status, 201);
    assert_eq!(world.get(&format!("Bearer {key}"), "/api/v1/dead-letters").status, 401);
    // Another request draws another.
    let other = post(&world, &admin, "/api/v1/keys", &KEY.replace('8', "9"), r#"{"role":"viewer"}"#);
    assert_ne!(json(&other)["key"], json(&first)["key"]);
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    assert_eq!(post(&world, &admin, "/api/v1/keys", KEY, r#"{"role":"viewer"}"#).status, 201);
    for (target, body) in [
        ("/api/v1/keys", r#"{"role":"admin"}"#),
        ("/api/v1/keys?tenant=acme", r#"{"role":"viewer"}"#),
        ("/api/v1/replays", r#"{"consumer":"a","from":"2025-01-01T00:00:00Z"}"#),
    ] {
        let refused = post(&world, &admin, target, KEY, body);
        assert_eq!(problem(&refused), (422, json!("urn:eventrunner:error:idempotency-key-reused")), "{target} {body}");
    }
    for odd in ["short", "with blanks in its midst", &"k".repeat(201), "\u{e4}123456789012345678"] {
        assert_eq!(post(&world, &admin, "/api/v1/keys", odd, r#"{"role":"viewer"}"#).status, 400, "{odd}");
    }
}

#[test]
fn a_refusal_is_not_remembered() {
    let world = World::new();
    let operator = world.operator();
    assert_eq!(post(&world, &operator, "/api/v1/tenants", KEY, r#"{"id":"acme"}"#).status, 409);
    assert_eq!(post(&world, &operator, "/api/v1/tenants", KEY, r#"{"id":"new"}"#).status, 201);
}

#[test]
fn two_at_once_are_one_and_who_died_with_it_is_followed_by_the_next() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let body = r#"{"role":"viewer"}"#;
    let first = post(&world, &admin, "/api/v1/keys", KEY, body);
    // As it is while the first is at it, or dead: begun, and not answered.
    let place = world.keys_of(IDEMPOTENCY_BUCKET).pop().unwrap();
    let mut record: Value = serde_json::from_str(&world.value(IDEMPOTENCY_BUCKET, &place)).unwrap();
    record["answer"] = Value::Null;
    world.record(IDEMPOTENCY_BUCKET, &place, &record.to_string());
    let beside = post(&world, &admin, "/api/v1/keys", KEY, body);
    assert_eq!(problem(&beside), (409, json!("urn:eventrunner:error:in-progress")));
    assert!(beside.headers.contains(&("retry-after", "1".to_owned())));
    let before = world.keys_of(KEYS_BUCKET).len();
    crate::backend::Backend::wait(&world, 60_000);
    let after = post(&world, &admin, "/api/v1/keys", KEY, body);
    assert_eq!(
        (after.status, &after.body),
        (201, &first.body),
        "the key that it had made is told, and no second one made"
    );
    assert_eq!(world.keys_of(KEYS_BUCKET).len(), before);
}

#[test]
fn nothing_is_done_where_it_could_not_be_remembered() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    world.create_fault.set(Some(FaultCode::Unavailable));
    assert_eq!(post(&world, &admin, "/api/v1/dead-letters:redrive", KEY, r#"{"all":true}"#).status, 503);
    assert!(world.asked.borrow().is_empty());
}

#[test]
fn what_changes_nothing_or_is_too_large_takes_no_key() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let tried = post(&world, &admin, "/api/v1/rules:test", KEY, r#"{"events":[]}"#);
    assert_eq!((tried.status, replayed(&tried)), (200, false));
    assert!(world.keys_of(IDEMPOTENCY_BUCKET).is_empty());
    let headers = [("authorization", &*admin), ("content-type", "application/wasm"), ("idempotency-key", KEY)];
    assert_eq!(whole(world.ask("POST", "/api/v1/consumers?name=a", &headers, "")).status, 400);
}
