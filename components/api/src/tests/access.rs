use er_event::keys::Role;
use er_tenant::TENANTS_BUCKET;

use super::world::{json, whole, World};
use crate::backend::FaultCode;

fn header(response: &crate::http::Response, name: &str) -> Option<String> {
    response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

#[test]
fn the_index_and_health_need_no_key() {
    let world = World::new();
    assert_eq!(world.get("", "/").status, 200);
    let health = world.get("", "/healthz");
    assert_eq!((health.status, json(&health)["status"].as_str()), (200, Some("up")));
    world.kv_fault.set(Some(FaultCode::Unavailable));
    let health = world.get("", "/healthz");
    assert_eq!(health.status, 503);
    assert_eq!(json(&health)["parts"], serde_json::json!({ "kv": "unavailable", "event-store": "up", "policy": "up" }));
}

#[test]
fn everything_else_needs_one() {
    let world = World::new();
    for target in ["/api/v1/events", "/api/v1/tail", "/api/v1/dead-letters", "/api/v1/keys", "/api/v1/tenants"] {
        let response = world.get("", target);
        assert_eq!((response.status, response.content_type), (401, "application/problem+json"), "{target}");
        assert!(header(&response, "www-authenticate").is_some());
    }
}

#[test]
fn a_key_is_taken_from_either_header() {
    let world = World::new();
    let key = world.key("acme", Role::Viewer);
    let bare = key.trim_start_matches("Bearer ").to_owned();
    let with = |name: &str, value: &str| whole(world.ask("GET", "/api/v1/dead-letters", &[(name, value)], "")).status;
    assert_eq!(with("authorization", &key), 200);
    assert_eq!(with("authorization", &format!("bearer {bare}")), 200);
    assert_eq!(with("x-api-key", &bare), 200);
    assert_eq!(with("authorization", &bare), 401);
    assert_eq!(with("x-api-key", &format!("{bare}x")), 401);
    assert_eq!(with("x-api-key", &bare.replace("er_acme", "er_other")), 401);
}

#[test]
fn keys_of_a_suspended_tenant_open_nothing() {
    let world = World::new();
    let key = world.key("acme", Role::Admin);
    world.record(TENANTS_BUCKET, "acme", r#"{"id":"acme","suspended":true}"#);
    assert_eq!(world.get(&key, "/api/v1/dead-letters").status, 401);
}

#[test]
fn a_look_up_that_fails_is_no_refusal() {
    let world = World::new();
    let key = world.key("acme", Role::Viewer);
    world.kv_fault.set(Some(FaultCode::Unavailable));
    let response = world.get(&key, "/api/v1/dead-letters");
    assert_eq!((response.status, header(&response, "retry-after").as_deref()), (503, Some("1")));
}

#[test]
fn each_role_does_what_it_may() {
    let world = World::new();
    let status = |role: Role, target: &str| {
        let tenant = if role == Role::Operator { "operator" } else { "acme" };
        world.get(&world.key(tenant, role), target).status
    };
    for (target, allowed) in [
        ("/api/v1/dead-letters?tenant=acme", [true, true, false, true]),
        ("/api/v1/tenants/acme/keys", [true, true, false, false]),
        ("/api/v1/tenants", [true, false, false, false]),
    ] {
        for (role, allowed) in [Role::Operator, Role::Admin, Role::Publisher, Role::Viewer].into_iter().zip(allowed) {
            assert_eq!(status(role, target), if allowed { 200 } else { 403 }, "{role:?} {target}");
        }
    }
}

#[test]
fn nobody_sees_into_another_tenant_whether_it_exists_or_not() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    for tenant in ["other", "nobody", "operator"] {
        assert_eq!(world.get(&admin, &format!("/api/v1/events?tenant={tenant}")).status, 403);
        assert_eq!(world.get(&admin, &format!("/api/v1/tail?tenant={tenant}")).status, 403);
        assert_eq!(world.get(&admin, &format!("/api/v1/keys?tenant={tenant}")).status, 403);
        assert_eq!(world.get(&admin, &format!("/api/v1/tenants/{tenant}/keys")).status, 403);
        assert_eq!(
            world.send(&admin, "POST", &format!("/api/v1/tenants/{tenant}/keys"), r#"{"role":"admin"}"#).status,
            403
        );
        assert_eq!(world.send(&admin, "DELETE", &format!("/api/v1/tenants/{tenant}/keys/0"), "").status, 403);
    }
    assert!(world.asked.borrow().is_empty());
}

#[test]
fn an_operator_names_the_tenant() {
    let world = World::new();
    let operator = world.operator();
    assert_eq!(world.get(&operator, "/api/v1/events").status, 400);
    assert_eq!(world.get(&operator, "/api/v1/events?tenant=other").status, 200);
    assert_eq!(world.get(&operator, "/api/v1/events?tenant=..%2F").status, 404);
    assert!(world.asked.borrow()[0].starts_with("other "));
}

#[test]
fn methods_and_paths_that_are_not_there_are_told_apart() {
    let world = World::new();
    let response = world.send("", "PUT", "/api/v1/tenants", "");
    assert_eq!((response.status, header(&response, "allow").as_deref()), (405, Some("GET, HEAD, POST, OPTIONS")));
    assert_eq!(world.get("", "/api/v1/nothing").status, 404);
    let options = world.send("", "OPTIONS", "/api/v1/events", "");
    assert_eq!((options.status, header(&options, "allow").as_deref()), (204, Some("GET, HEAD, OPTIONS")));
    let key = world.key("acme", Role::Viewer);
    assert_eq!(
        whole(world.ask("HEAD", "/api/v1/tail", &[("authorization", &key)], "")).content_type,
        "text/event-stream"
    );
}
