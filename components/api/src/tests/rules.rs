use er_event::keys::Role;
use er_tenant::rules::{set_path, version_path, RULES_BUCKET, TEXTS_MAX, VERSIONS_MAX};
use serde_json::json;

use super::world::{json, whole, World};
use crate::backend::FaultCode;
use crate::http::Response;

const RULE: &str = r#"rule A { when Event.type == "t" then Tag("x"); Retract("A"); }"#;

fn put(world: &World, key: &str, name: &str, content_type: &str, text: &str) -> Response {
    let headers = [("authorization", key), ("content-type", content_type)];
    whole(world.ask("PUT", &format!("/api/v1/rules/{name}"), &headers, text))
}

fn admin() -> (World, String) {
    let world = World::new();
    let admin = world.key("acme", Role::Admin);
    (world, admin)
}

#[test]
fn a_text_is_saved_and_read_back_as_it_was() {
    let (world, admin) = admin();
    // As curl --data-binary says it.
    let made = put(&world, &admin, "a", "application/x-www-form-urlencoded", RULE);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(json(&made), json!({ "name": "a", "version": 1, "rules": 1, "names": ["A"] }));
    assert_eq!(world.get(&admin, "/api/v1/rules/a").body, RULE);
    assert_eq!(put(&world, &admin, "a", "text/plain", RULE).status, 200);
    let list = json(&world.get(&admin, "/api/v1/rules"));
    assert_eq!((&list["version"], &list["texts"], &list["rules"]), (&json!(2), &json!(["a"]), &json!(1)));
    assert_eq!(world.get(&admin, "/api/v1/rules/b").status, 404);
    assert_eq!(world.get(&admin, "/api/v1/rules/a?version=9").status, 404);
}

#[test]
fn json_rules_are_taken_as_json() {
    let (world, admin) = admin();
    let rule =
        r#"{"name":"A","desc":"","salience":1,"when":"Event.type == \"t\"","then":["Tag(\"x\")","Retract(\"A\")"]}"#;
    let made = put(&world, &admin, "j", "application/json", rule);
    assert_eq!(made.status, 201, "{}", made.body);
    let shown = world.get(&admin, "/api/v1/rules/j");
    assert_eq!((shown.content_type, shown.body.as_str()), ("application/json", rule));
}

#[test]
fn a_refused_text_changes_nothing_and_names_every_mistake() {
    let (world, admin) = admin();
    let refused = put(&world, &admin, "a", "text/plain", "rule A { when Event.x == then Tag(1); }");
    assert_eq!((refused.status, refused.content_type), (422, "application/problem+json"));
    let problem = json(&refused);
    assert_eq!((&problem["at"]["line"], &problem["errors"][0]["text"]), (&json!(1), &json!("a")), "{problem}");
    assert_eq!(json(&world.get(&admin, "/api/v1/rules"))["version"], 0);
    // Names are unique over all texts of the tenant.
    assert_eq!(put(&world, &admin, "a", "text/plain", RULE).status, 201);
    assert_eq!(put(&world, &admin, "b", "text/plain", RULE).status, 422);
    assert_eq!(put(&world, &admin, "Bad", "text/plain", RULE).status, 422);
    assert_eq!(put(&world, &admin, "a", "text/plain", "").status, 422);
}

#[test]
fn a_tenant_has_so_many_texts_and_no_more() {
    let (world, admin) = admin();
    let rule = |n| format!("rule R{n} {{ when Event.type == \"{n}\" then Tag(\"x\"); Retract(\"R{n}\"); }}");
    for n in 0..TEXTS_MAX {
        assert_eq!(put(&world, &admin, &format!("t{n}"), "text/plain", &rule(n)).status, 201);
    }
    let refused = put(&world, &admin, "more", "text/plain", &rule(TEXTS_MAX));
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("201 rule texts, and may have 200"), "{}", refused.body);
    assert_eq!(put(&world, &admin, "t0", "text/plain", &rule(TEXTS_MAX)).status, 200, "one of those it has");
}

#[test]
fn changes_of_two_at_once_are_both_there_or_refused() {
    let (world, admin) = admin();
    // Somebody took the number 1 and fell over.
    world.record(RULES_BUCKET, &version_path("acme", 1), "{}");
    assert_eq!(json(&put(&world, &admin, "a", "text/plain", RULE))["version"], 2);
    world.conflicts.set(u32::MAX);
    assert_eq!(put(&world, &admin, "a", "text/plain", RULE).status, 409);
}

#[test]
fn changes_that_could_not_be_written_use_no_numbers_up() {
    let (world, admin) = admin();
    world.put_fault.set(Some(FaultCode::Unavailable));
    for _ in 0..10 {
        assert_eq!(put(&world, &admin, "a", "text/plain", RULE).status, 503);
    }
    assert!(world.keys_of(RULES_BUCKET).is_empty());
    world.put_fault.set(None);
    // Those that fell over before they could give their numbers back.
    for number in 1..=20 {
        world.record(RULES_BUCKET, &version_path("acme", number), "{}");
    }
    assert_eq!(json(&put(&world, &admin, "a", "text/plain", RULE))["version"], 21);
}

#[test]
fn versions_are_kept_listed_and_forgotten() {
    let (world, admin) = admin();
    for n in 0..VERSIONS_MAX + 2 {
        let rule = format!(r#"rule A{n} {{ when true then Retract("A{n}"); }}"#);
        assert!(put(&world, &admin, "a", "text/plain", &rule).status < 300);
    }
    assert!(!world.has_record(RULES_BUCKET, &set_path("acme", 2)));
    assert!(world.has_record(RULES_BUCKET, &set_path("acme", 3)));
    let listed = json(&world.get(&admin, "/api/v1/rules:versions"));
    assert_eq!(listed["versions"].as_array().map(Vec::len), usize::try_from(VERSIONS_MAX).ok());
    assert_eq!(listed["versions"][0]["version"], listed["current"]);
    let back = world.send(&admin, "POST", "/api/v1/rules:rollback", r#"{"version":3}"#);
    assert_eq!((back.status, json(&back)["version"].clone()), (200, json!(VERSIONS_MAX + 3)));
    assert!(world.get(&admin, "/api/v1/rules/a").body.contains("rule A2 "));
    assert_eq!(world.send(&admin, "POST", "/api/v1/rules:rollback", r#"{"version":1}"#).status, 404);
}

#[test]
fn only_admins_change_rules_and_everybody_who_reads_may_try_them() {
    let (world, admin) = admin();
    let viewer = world.key("acme", Role::Viewer);
    assert_eq!(put(&world, &viewer, "a", "text/plain", RULE).status, 403);
    assert_eq!(world.send(&viewer, "DELETE", "/api/v1/rules/a", "").status, 403);
    assert_eq!(world.send(&viewer, "POST", "/api/v1/rules:rollback", r#"{"version":1}"#).status, 403);
    assert_eq!(put(&world, &admin, "a", "text/plain", RULE).status, 201);
    assert_eq!(world.get(&viewer, "/api/v1/rules/a").status, 200);
    let publisher = world.key("acme", Role::Publisher);
    assert_eq!(world.get(&publisher, "/api/v1/rules").status, 403);
    let other = world.key("other", Role::Admin);
    assert_eq!(world.get(&other, "/api/v1/rules/a").status, 404);
    assert_eq!(world.get(&other, "/api/v1/rules/a?tenant=acme").status, 403);
    let body = r#"{"events":[{"specversion":"1.0","id":"1","source":"/s","type":"t"}]}"#;
    let tried = json(&world.send(&viewer, "POST", "/api/v1/rules:test", body));
    assert_eq!((&tried["version"], &tried["events"][0]["fired"]), (&json!(1), &json!(["A"])), "{tried}");
}

#[test]
fn a_trial_needs_rules_and_events_that_make_sense() {
    let (world, admin) = admin();
    let trial = |body: &str| world.send(&admin, "POST", "/api/v1/rules:test", body);
    for (body, status) in [
        ("{}", 422),
        (r#"{"events":[],"last":1}"#, 422),
        (r#"{"last":0}"#, 422),
        (r#"{"rules":"rule","json_rules":[],"events":[]}"#, 422),
        (r#"{"rules":"rule","events":[]}"#, 422),
        (r#"{"events":[{"id":"1"}]}"#, 422),
        (r#"{"events":{}}"#, 422),
        (r#"{"event":[]}"#, 422),
        ("{", 400),
        (r#"{"events":[]}"#, 200),
    ] {
        let answer = trial(body);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
}

#[test]
fn a_trial_explains_the_event_as_it_came() {
    let (world, admin) = admin();
    let rules = r#"rule Once { when Event.data == 1 then Event.data = 2; }"#;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1 });
    let body = json!({ "rules": rules, "events": [event] }).to_string();
    let tried = json(&world.send(&admin, "POST", "/api/v1/rules:test", &body));
    let tried = &tried["events"][0];
    assert_eq!((&tried["event"]["data"], &tried["explanation"][0]["matched"]), (&json!(2), &json!(true)), "{tried}");
}

#[test]
fn a_story_tells_the_end_of_an_event() {
    let (world, admin) = admin();
    let place = |id: &str| ("acme".to_owned(), "/s".to_owned(), id.to_owned());
    let event = |id: &str, more: &str| format!(r#"{{"id":"{id}","source":"/s","type":"t"{more}}}"#);
    let more = r#","errules":"7:A,B","ertags":"x,y","erroute":"r""#;
    world.events.borrow_mut().insert(place("1"), event("1", more));
    world.events.borrow_mut().insert(place("2"), event("2", r#","errules":"7","erdropped":"no""#));
    let story = |id: &str| json(&world.get(&admin, &format!("/api/v1/events/%2Fs/{id}/story")));
    let first = story("1");
    assert_eq!(first["end"], "stored");
    assert_eq!(first["rules"], json!({ "version": 7, "fired": ["A", "B"] }));
    assert_eq!((&first["tags"], &first["routes"]), (&json!(["x", "y"]), &json!(["r"])));
    let second = story("2");
    assert_eq!((&second["end"], &second["dropped"]), (&json!("dropped"), &json!("no")));
    assert_eq!(second["rules"], json!({ "version": 7, "fired": [] }));
    assert_eq!(world.get(&admin, "/api/v1/events/%2Fs/3/story").status, 404);
}

#[test]
fn a_story_knows_dead_letters_however_many_there_are_before_its_own() {
    let (world, admin) = admin();
    let letter = |id: &str| json!({ "stage": "rules", "reason": "no", "event": { "source": "/s", "id": id } });
    let story = |id: &str| world.get(&admin, &format!("/api/v1/events/%2Fs/{id}/story"));
    world.dead.borrow_mut().extend((0..9).map(|n| letter(&n.to_string())));
    let last = json(&story("8"));
    assert_eq!((&last["end"], &last["complete"]), (&json!("dead-letter"), &json!(true)), "{last}");
    // Beyond what is looked through, it says so.
    world.dead.borrow_mut().extend((9..100).map(|n| letter(&n.to_string())));
    let (early, late) = (json(&story("8")), story("99"));
    assert_eq!((&early["end"], &early["complete"]), (&json!("dead-letter"), &json!(false)), "{early}");
    assert!(late.status == 404 && late.body.contains("too many dead letters"), "{}", late.body);
}
