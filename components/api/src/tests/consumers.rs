//! Consumers: uploads in pieces, settings, holding.

use er_event::keys::Role;
use er_tenant::consumers::{CONSUMERS_BUCKET, PIECE_BYTES_MAX};
use serde_json::json;

use super::world::{json, whole, World};
use crate::backend::Backend as _;

fn upload(world: &World, key: &str, target: &str, length: Option<usize>, body: &str) -> (u16, String) {
    let length = length.map(|length| length.to_string());
    let mut headers = vec![("authorization", key), ("content-type", "application/wasm")];
    headers.extend(length.as_deref().map(|length| ("content-length", length)));
    let response = whole(world.ask("PUT", target, &headers, body));
    (response.status, response.body)
}

#[test]
fn a_component_goes_on_in_pieces_with_what_the_query_says() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    let body = "x".repeat(PIECE_BYTES_MAX * 2 + 3);
    let target = "/api/v1/consumers/alert?types=a,b*&sources=/shop/*&attempts_max=3&env.MODE=fast";
    let (status, said) = upload(&world, &key, target, Some(body.len()), &body);
    assert_eq!(status, 202, "{said}");
    assert_eq!(*world.pieces.borrow(), [PIECE_BYTES_MAX, PIECE_BYTES_MAX, 3]);
    let asked = world.asked.borrow();
    assert_eq!(asked[0], format!("begin acme {}", body.len()));
    let spec = asked[1].strip_prefix("put acme alert Some(\"u1\") ").unwrap();
    let spec: serde_json::Value = serde_json::from_str(spec).unwrap();
    assert_eq!(spec, json!({"types": ["a", "b*"], "sources": ["/shop/*"], "attempts_max": 3, "env": {"MODE": "fast"}}));
}

#[test]
fn what_is_no_component_of_that_length_is_refused() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    let put = |target: &str, length: Option<usize>| upload(&world, &key, target, length, "xyz").0;
    assert_eq!(put("/api/v1/consumers/alert", None), 400);
    assert_eq!(put("/api/v1/consumers/alert", Some(4)), 400);
    assert_eq!(put("/api/v1/consumers/alert", Some(2)), 413);
    assert_eq!(put("/api/v1/consumers/alert", Some((50 << 20) + 1)), 413);
    assert_eq!(put("/api/v1/consumers/Alert", Some(3)), 422);
    assert_eq!(put("/api/v1/consumers/alert?colour=red", Some(3)), 400);
    assert_eq!(put("/api/v1/consumers/alert?env.A=1&env.A=2", Some(3)), 400);
    assert!(!world.asked.borrow().iter().any(|asked| asked.starts_with("put")));
}

#[test]
fn settings_and_an_image_go_as_json() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    let sent = world.send(&key, "POST", "/api/v1/consumers?name=alert", r#"{"image":"r.example/a:1"}"#);
    assert_eq!(sent.status, 202, "{}", sent.body);
    assert_eq!(world.asked.borrow()[0], r#"put acme alert None {"image":"r.example/a:1"}"#);
    assert_eq!(world.send(&key, "POST", "/api/v1/consumers", "{}").status, 400);
    assert_eq!(world.send(&key, "PUT", "/api/v1/consumers/a?types=x", "{}").status, 400);
}

#[test]
fn a_consumer_is_held_and_let_go_whoever_deployed_it() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    let state = |name: &str| {
        let item = world.kv_get(CONSUMERS_BUCKET, &format!("acme.{name}.state")).unwrap().unwrap();
        serde_json::from_str::<serde_json::Value>(&item.value).unwrap()
    };
    // Control knows the one, jetstream the other, and nobody a third.
    world.record(CONSUMERS_BUCKET, "acme.alert.record", "{}");
    world.record(CONSUMERS_BUCKET, "acme.acme_alert-alert.seen", "{}");
    assert_eq!(world.send(&key, "POST", "/api/v1/consumers/third:pause", "{}").status, 404);
    assert!(!world.has_record(CONSUMERS_BUCKET, "acme.third.state"));
    for name in ["alert", "acme_alert-alert"] {
        let held = world.send(&key, "POST", &format!("/api/v1/consumers/{name}:pause"), r#"{"reason":"holiday"}"#);
        assert_eq!((held.status, &json(&held)["paused"]), (200, &json!(true)), "{}", held.body);
        assert_eq!((&state(name)["by"], &state(name)["reason"]), (&json!("owner"), &json!("holiday")));
        assert_eq!(world.send(&key, "POST", &format!("/api/v1/consumers/{name}:resume"), "{}").status, 200);
        assert_eq!(state(name)["paused"], false);
    }
    world.record(CONSUMERS_BUCKET, "acme.alert.state", r#"{"paused":true,"by":"update"}"#);
    assert_eq!(world.send(&key, "POST", "/api/v1/consumers/alert:resume", "{}").status, 409);
    assert_eq!(world.send(&key, "POST", "/api/v1/consumers/a.b:pause", "{}").status, 422);
    let viewer = world.key("acme", Role::Viewer);
    assert_eq!(world.send(&viewer, "POST", "/api/v1/consumers/alert:pause", "{}").status, 403);
}
