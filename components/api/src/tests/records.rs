use er_event::keys::{self, Role};
use er_tenant::{key_path, KEYS_BUCKET, TENANTS_BUCKET};
use serde_json::json;

use super::world::{json, whole, World};

#[test]
fn a_tenant_is_made_changed_and_shut_out() {
    let world = World::new();
    let operator = world.operator();
    let made = world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"new","quota":{"events_per_s":10}}"#);
    assert_eq!(made.status, 201, "{}", made.body);
    assert!(made.headers.contains(&("location", "/api/v1/tenants/new".into())));
    assert_eq!(
        json(&made),
        json!({"id":"new","name":"new","created":"2025-06-01T00:00:00Z","suspended":false,"quota":{"events_per_s":10,"burst":null}})
    );
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"new"}"#).status, 409);
    assert_eq!(world.get(&operator, "/api/v1/tenants/new").body, made.body);
    let list = world.get(&operator, "/api/v1/tenants");
    assert_eq!(json(&list)["tenants"].as_array().unwrap().len(), 3);

    let changed = world.send(&operator, "PATCH", "/api/v1/tenants/new", r#"{"name":"New","quota":{"burst":5}}"#);
    assert_eq!(json(&changed)["quota"], json!({"events_per_s":10,"burst":5}));

    let key = world.key("new", Role::Viewer);
    assert_eq!(world.get(&key, "/api/v1/events").status, 200);
    let deleted = world.send(&operator, "DELETE", "/api/v1/tenants/new", "");
    assert_eq!((json(&deleted)["suspended"].clone(), json(&deleted)["keys_deleted"].clone()), (json!(true), json!(1)));
    assert_eq!(world.get(&key, "/api/v1/events").status, 401);
    assert!(world.has_record(TENANTS_BUCKET, "new"));
    assert_eq!(world.send(&operator, "DELETE", "/api/v1/tenants/nobody", "").status, 404);
    assert_eq!(world.get(&operator, "/api/v1/tenants/operator").status, 404);
}

#[test]
fn a_change_survives_another_in_between_but_not_a_fight() {
    let world = World::new();
    let operator = world.operator();
    let change = |conflicts| {
        world.conflicts.set(conflicts);
        world.send(&operator, "PATCH", "/api/v1/tenants/acme", r#"{"name":"x"}"#).status
    };
    assert_eq!(change(4), 200);
    assert_eq!(change(5), 409);
}

#[test]
fn bodies_that_are_wrong_are_told_where() {
    let world = World::new();
    let operator = world.operator();
    let refused = world.send(&operator, "POST", "/api/v1/tenants", "{\"id\":\n  nope}");
    assert_eq!((refused.status, json(&refused)["at"].clone()), (400, json!({"line":2,"column":4})));
    let refused = world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"a","nmae":"b"}"#);
    assert_eq!(refused.status, 422);
    assert!(json(&refused)["detail"].as_str().unwrap().contains("nmae"));
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", r#"{"id":"operator"}"#).status, 422);
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", "").status, 400);
    let large = format!(r#"{{"id":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(world.send(&operator, "POST", "/api/v1/tenants", &large).status, 413);
    let form = [("authorization", operator.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(whole(world.ask("POST", "/api/v1/tenants", &form, "id=a")).status, 415);
}

#[test]
fn a_key_is_shown_once_and_works_until_deleted() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let made = world.send(
        &admin,
        "POST",
        "/api/v1/keys",
        r#"{"role":"viewer","name":"laptop","expires":"2026-01-01T00:00:00Z"}"#,
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let made = json(&made);
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(id, &keys::hash(key)[..12]);
    assert!(made["by"].as_str().unwrap().starts_with("acme/"), "{made}");
    assert_eq!(world.get(&format!("Bearer {key}"), "/api/v1/events").status, 200);

    let list = world.get(&admin, "/api/v1/tenants/acme/keys");
    assert_eq!(list.body, world.get(&admin, "/api/v1/keys").body);
    assert!(list.body.contains(id) && !list.body.contains(key), "{}", list.body);

    assert_eq!(world.send(&admin, "DELETE", "/api/v1/keys/000000000000", "").status, 404);
    assert_eq!(
        world.send(&admin, "DELETE", &format!("/api/v1/keys/{}", &id[..4]), "").status,
        404,
        "a part names no key"
    );
    assert_eq!(world.send(&admin, "DELETE", &format!("/api/v1/keys/{id}"), "").status, 204);
    assert!(!world.has_record(KEYS_BUCKET, &key_path("acme", &keys::hash(key))));
    assert_eq!(world.get(&format!("Bearer {key}"), "/api/v1/events").status, 401);
}

#[test]
fn nobody_makes_a_key_above_their_own_station() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let operator = world.operator();
    let make = |key: &str, target: &str, body: &str| world.send(key, "POST", target, body).status;
    assert_eq!(make(&admin, "/api/v1/keys", r#"{"role":"operator"}"#), 422);
    assert_eq!(make(&operator, "/api/v1/keys?tenant=acme", r#"{"role":"operator"}"#), 422);
    assert_eq!(make(&operator, "/api/v1/keys", r#"{"role":"operator"}"#), 201);
    assert_eq!(make(&operator, "/api/v1/tenants/nobody/keys", r#"{"role":"admin"}"#), 404);
    assert_eq!(make(&admin, "/api/v1/keys", r#"{"role":"viewer","expires":"2025-01-01T00:00:00Z"}"#), 422);
    assert_eq!(make(&admin, "/api/v1/keys", r#"{"role":"root"}"#), 422);
}

#[test]
fn events_are_found_by_either_spelling() {
    let world = World::new();
    let viewer = world.key("acme", Role::Viewer);
    let place = ("acme".to_owned(), "https://a/b".to_owned(), "x/1".to_owned());
    world.events.borrow_mut().insert(place, r#"{"id":"x/1"}"#.into());
    let found = world.get(&viewer, "/api/v1/events/https%3A%2F%2Fa%2Fb/x%2F1");
    assert_eq!((found.status, found.content_type), (200, "application/cloudevents+json"));
    assert_eq!(world.get(&viewer, "/api/v1/events?source=https://a/b&id=x/1").body, found.body);
    assert_eq!(world.get(&viewer, "/api/v1/events?id=x/1").status, 400);
    assert_eq!(world.get(&viewer, "/api/v1/events/s/1").status, 404);
    let other = world.key("other", Role::Viewer);
    assert_eq!(world.get(&other, "/api/v1/events/https%3A%2F%2Fa%2Fb/x%2F1").status, 404);
}

#[test]
fn pages_pass_filter_and_cursor_through() {
    let world = World::new();
    let viewer = world.key("acme", Role::Viewer);
    let page = world.get(&viewer, "/api/v1/events?type=a.*&source=/s&from=2025-01-01T00:00:00Z&cursor=c&limit=5");
    assert_eq!(page.body, r#"{"events":[{"id":"1"}],"cursor":"next\""}"#);
    assert_eq!(world.get(&viewer, "/api/v1/dead-letters?after=9").body, r#"{"items":[],"cursor":null,"next":null}"#);
    assert_eq!(
        *world.asked.borrow(),
        [r#"acme Some("a.*") Some("/s") Some("2025-01-01T00:00:00Z") None Some("c") 5"#, "acme 9 100"]
    );
    for bad in ["type=*a", "limit=0", "from=now", "tpye=a"] {
        assert_eq!(world.get(&viewer, &format!("/api/v1/events?{bad}")).status, 400, "{bad}");
    }
}
