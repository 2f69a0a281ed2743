use er_event::keys::Role;
use er_tenant::gateway::{GATEWAY_BUCKET, GATEWAY_PATH};
use er_tenant::members::{member_path, MEMBERS_BUCKET, MEMBERS_MAX};
use er_tenant::TENANTS_BUCKET;
use serde_json::json;

use super::world::{json, whole, World};
use crate::backend::FaultCode;

const ALICE: &str = "/api/v1/tenants/acme/members/alice";

#[test]
fn members_are_made_shown_changed_and_removed() {
    let world = World::new();
    let operator = world.operator();
    let made = world.send(&operator, "PUT", ALICE, r#"{"role":"tenant_admin"}"#);
    assert_eq!((made.status, json(&made)["role"].as_str()), (201, Some("tenant_admin")), "{}", made.body);
    let changed = world.send(&operator, "PUT", ALICE, r#"{"role":"viewer"}"#);
    assert_eq!((changed.status, json(&changed)["user"].as_str()), (200, Some("alice")));
    assert_eq!(json(&world.get(&operator, ALICE)), json(&changed));
    let odd = "/api/v1/tenants/acme/members/auth0%7Ca%2Fb";
    assert_eq!(world.send(&operator, "PUT", odd, r#"{"role":"admin"}"#).status, 201);
    assert!(world.has_record(MEMBERS_BUCKET, &member_path("acme", "auth0|a/b")));
    let all = json(&world.get(&operator, "/api/v1/tenants/acme/members"));
    assert_eq!(all["members"].as_array().map(Vec::len), Some(2), "{all}");
    assert_eq!(world.send(&operator, "DELETE", ALICE, "").status, 204);
    assert_eq!(world.send(&operator, "DELETE", ALICE, "").status, 404);
    assert_eq!(world.get(&operator, ALICE).status, 404);
}

#[test]
fn what_is_no_member_is_refused() {
    let world = World::new();
    let operator = world.operator();
    let status = |target: &str, body: &str| world.send(&operator, "PUT", target, body).status;
    assert_eq!(status(ALICE, r#"{"role":"superuser"}"#), 422);
    assert_eq!(status("/api/v1/tenants/acme/members/a%20b", r#"{"role":"admin"}"#), 422);
    assert_eq!(status("/api/v1/tenants/acme/members/key:acme:0123456789ab", r#"{"role":"admin"}"#), 422);
    assert_eq!(status("/api/v1/tenants/nobody/members/alice", r#"{"role":"admin"}"#), 404);
    assert!(matches!(status(ALICE, r#"{"role":"wizard"}"#), 400 | 422));
    for n in 0..MEMBERS_MAX {
        world.record(MEMBERS_BUCKET, &member_path("acme", &n.to_string()), "{}");
    }
    assert_eq!(status(ALICE, r#"{"role":"viewer"}"#), 422, "one more than a tenant may have");
}

#[test]
fn superusers_are_members_of_the_operators() {
    let world = World::new();
    let operator = world.operator();
    let olga = "/api/v1/tenants/operator/members/olga";
    assert_eq!(world.send(&operator, "PUT", olga, r#"{"role":"superuser"}"#).status, 201);
    assert_eq!(world.send(&operator, "PUT", olga, r#"{"role":"admin"}"#).status, 422);
}

#[test]
fn only_who_may_say_who_is_a_member_does() {
    let world = World::new();
    for role in [Role::Admin, Role::Publisher, Role::Viewer] {
        let key = world.key("acme", role);
        assert_eq!(world.get(&key, "/api/v1/tenants/acme/members").status, 403, "{role:?}");
        assert_eq!(world.send(&key, "PUT", ALICE, r#"{"role":"tenant_admin"}"#).status, 403, "{role:?}");
        assert_eq!(world.send(&key, "DELETE", ALICE, "").status, 403, "{role:?}");
    }
    // No key has that role, whoever makes it, and a record that says so opens nothing.
    let operator = world.operator();
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants/acme/keys", r#"{"role":"tenant_admin"}"#).status, 422);
    assert_eq!(world.get(&world.key("acme", Role::TenantAdmin), "/api/v1/keys").status, 401);
}

#[test]
fn a_tenant_that_is_deleted_has_no_members() {
    let world = World::new();
    let operator = world.operator();
    assert_eq!(world.send(&operator, "PUT", ALICE, r#"{"role":"viewer"}"#).status, 201);
    let deleted = json(&world.send(&operator, "DELETE", "/api/v1/tenants/acme", ""));
    assert_eq!(deleted["members_deleted"], 1, "{deleted}");
    assert!(!world.has_record(MEMBERS_BUCKET, &member_path("acme", "alice")));
}

#[test]
fn callers_are_told_who_they_are_and_the_gateway_is_told_of_keys() {
    let world = World::new();
    let key = world.key("acme", Role::Publisher);
    let who = json(&world.get(&key, "/api/v1/whoami"));
    let hash = er_event::keys::hash(key.trim_start_matches("Bearer "));
    assert_eq!(
        who,
        json!({ "sub": format!("key:acme:{}", &hash[..12]), "extra": { "tenant": "acme", "role": "event_publisher", "key": hash } })
    );
    assert_eq!(world.get("", "/api/v1/whoami").status, 401);
    assert_eq!(world.get("Bearer a.b.c", "/api/v1/whoami").status, 401);
}

#[test]
fn where_all_must_come_through_the_gateway_a_bare_key_opens_nothing_but_an_operators_does() {
    let world = World::new();
    let (key, operator) = (world.key("acme", Role::Admin), world.operator());
    world.record(GATEWAY_BUCKET, GATEWAY_PATH, r#"{"only":true,"issuer":"gw"}"#);
    let refused = world.get(&key, "/api/v1/keys");
    assert_eq!((refused.status, json(&refused)["detail"].as_str()), (401, Some("API keys count at the gateway only")));
    assert_eq!(whole(world.ask("GET", "/api/v1/keys", &[("x-api-key", &key[7..])], "")).status, 401);
    assert_eq!(world.get(&key, "/api/v1/whoami").status, 200, "the gateway asks so");
    assert_eq!(world.get(&operator, "/api/v1/tenants").status, 200);
    world.record(GATEWAY_BUCKET, GATEWAY_PATH, "damaged");
    assert_eq!(world.get(&key, "/api/v1/keys").status, 503);
}

#[test]
fn a_token_that_can_not_be_judged_now_may_be_shown_again() {
    let world = World::new();
    let token = "Bearer aa.bb.cc";
    assert_eq!(world.get(token, "/api/v1/keys").status, 401, "there is no gateway");
    let logged = world.logged.borrow().join("\n");
    assert!(logged.contains("with a token") && !logged.contains("aa.bb.cc"), "{logged}");
    world.record(GATEWAY_BUCKET, GATEWAY_PATH, r#"{"only":true,"issuer":"gw"}"#);
    assert_eq!(world.get(token, "/api/v1/keys").status, 503, "its keys were never fetched");
    world.kv_fault.set(Some(FaultCode::Unavailable));
    assert_eq!(world.get(token, "/api/v1/keys").status, 503);
    world.kv_fault.set(None);
    assert!(world.has_record(TENANTS_BUCKET, "acme"));
}
