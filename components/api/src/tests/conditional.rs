use er_event::keys::Role;
use serde_json::json;

use super::world::{json, whole, World};
use crate::http::Response;

const RULE: &str = r#"rule A { when Event.type == "t" then Tag("x"); Retract("A"); }"#;
const OTHER: &str = r#"rule A { when Event.type == "t" then Tag("y"); Retract("A"); }"#;

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
}

fn ask(world: &World, key: &str, method: &str, target: &str, more: (&str, &str), body: &str) -> Response {
    let headers = [("authorization", key), ("content-type", "application/json"), more];
    whole(world.ask(method, target, &headers, body))
}

fn put(world: &World, key: &str, name: &str, more: (&str, &str), text: &str) -> Response {
    let headers = [("authorization", key), ("content-type", "text/plain"), more];
    whole(world.ask("PUT", &format!("/api/v1/rules/{name}"), &headers, text))
}

#[test]
fn who_has_the_newest_is_not_sent_it_again() {
    let world = World::new();
    let (admin, operator) = (world.key("acme", Role::Admin), world.operator());
    put(&world, &admin, "a", ("x", ""), RULE);
    for (key, target) in [(&admin, "/api/v1/rules"), (&admin, "/api/v1/rules/a"), (&operator, "/api/v1/tenants/acme")] {
        let first = world.get(key, target);
        let tag = header(&first, "etag").unwrap();
        for given in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = ask(&world, key, "GET", target, ("if-none-match", &given), "");
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{target} {given}");
            assert_eq!(header(&again, "etag").as_ref(), Some(&tag));
        }
        assert_eq!(ask(&world, key, "GET", target, ("if-none-match", "\"x\""), ""), first, "{target}");
        assert_eq!(ask(&world, key, "GET", target, ("if-none-match", "x"), "").status, 400, "{target}");
    }
}

#[test]
fn a_text_is_changed_only_as_it_was_seen_whatever_becomes_of_others() {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    let made = put(&world, &admin, "a", ("if-none-match", "*"), RULE);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(put(&world, &admin, "a", ("if-none-match", "*"), RULE).status, 412);
    assert_eq!(put(&world, &admin, "b", ("if-match", "*"), OTHER).status, 412, "there is no b");
    let seen = header(&made, "etag").unwrap();
    assert_eq!(put(&world, &admin, "b", ("x", ""), r#"rule B { when true then Retract("B"); }"#).status, 201);
    let changed = put(&world, &admin, "a", ("if-match", &seen), OTHER);
    assert_eq!(changed.status, 200, "{}", changed.body);
    let refused = put(&world, &admin, "a", ("if-match", &seen), RULE);
    assert_eq!(
        (refused.status, json(&refused)["type"].as_str()),
        (412, Some("urn:eventrunner:error:precondition-failed"))
    );
    assert_eq!(world.get(&admin, "/api/v1/rules/a").body, OTHER);
    assert_eq!(ask(&world, &admin, "DELETE", "/api/v1/rules/a", ("if-match", &seen), "").status, 412);
    // A weak tag says that two are as good as equal, which is not enough to write over one.
    let weak = format!("W/{}", header(&changed, "etag").unwrap());
    assert_eq!(ask(&world, &admin, "DELETE", "/api/v1/rules/a", ("if-match", &weak), "").status, 412);
    let now = header(&changed, "etag").unwrap();
    assert_eq!(ask(&world, &admin, "DELETE", "/api/v1/rules/a", ("if-match", &now), "").status, 200);
}

#[test]
fn a_change_that_came_between_is_seen_by_whoever_named_what_it_changes() {
    let world = World::new();
    let (admin, operator) = (world.key("acme", Role::Admin), world.operator());
    put(&world, &admin, "a", ("x", ""), RULE);
    let set = header(&world.get(&admin, "/api/v1/rules"), "etag").unwrap();
    put(&world, &admin, "a", ("x", ""), OTHER);
    let back = |tag: &str| ask(&world, &admin, "POST", "/api/v1/rules:rollback", ("if-match", tag), r#"{"version":1}"#);
    assert_eq!(back(&set).status, 412);
    let set = header(&world.get(&admin, "/api/v1/rules"), "etag").unwrap();
    assert_eq!(back(&set).status, 200);

    let tenant = header(&world.get(&operator, "/api/v1/tenants/acme"), "etag").unwrap();
    let patch =
        |tag: &str| ask(&world, &operator, "PATCH", "/api/v1/tenants/acme", ("if-match", tag), r#"{"name":"Acme"}"#);
    // Whoever else writes makes another revision: the change is not tried over it.
    world.conflicts.set(1);
    let changed = patch(&tenant);
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(patch(&tenant).status, 412);
    assert_eq!(patch(&header(&changed, "etag").unwrap()).status, 200);

    let activate = |tag: &str| {
        ask(&world, &operator, "POST", "/api/v1/policies:activate", ("if-match", tag), r#"{"bundle":"b"}"#).status
    };
    let policy = || header(&world.get(&operator, "/api/v1/policies"), "etag").unwrap();
    let seen = policy();
    assert_eq!((activate("\"x\""), activate(&seen), activate(&seen)), (412, 200, 412));
    // Between the look at the tag and the activation.
    let seen = policy();
    world.activations_between.set(1);
    assert_eq!(activate(&seen), 412);
    let activated = |line: &&String| line.starts_with("activate ");
    assert_eq!(world.asked.borrow().iter().filter(activated).count(), 1);
}

#[test]
fn pages_are_linked_and_every_list_takes_a_cursor() {
    let world = World::new();
    let (viewer, operator) = (world.key("acme", Role::Viewer), world.operator());
    let events = world.get(&viewer, "/api/v1/events?type=a.b&limit=1");
    assert_eq!(json(&events)["cursor"], "next\"");
    let next = r#"</api/v1/events?type=a.b&limit=1&cursor=next%22>; rel="next""#;
    assert_eq!(header(&events, "link").as_deref(), Some(next));

    let first = world.get(&operator, "/api/v1/tenants?limit=1");
    assert_eq!(json(&first)["cursor"], "acme");
    assert_eq!(header(&first, "link").as_deref(), Some(r#"</api/v1/tenants?limit=1&cursor=acme>; rel="next""#));
    for begin in ["cursor", "after"] {
        let second = json(&world.get(&operator, &format!("/api/v1/tenants?limit=5&{begin}=acme")));
        assert_eq!((&second["tenants"][0]["id"], &second["cursor"]), (&json!("other"), &json!(null)));
    }
    assert_eq!(world.get(&operator, "/api/v1/tenants?after=a&cursor=a").status, 400);

    assert_eq!(world.get(&viewer, "/api/v1/dead-letters?cursor=7").status, 200);
    assert_eq!(world.asked.borrow().last().map(String::as_str), Some("acme 7 100"));
    assert_eq!(world.get(&viewer, "/api/v1/dead-letters?cursor=x").status, 400);
}
