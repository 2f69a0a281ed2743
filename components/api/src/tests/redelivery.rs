//! Dead letters and replays: who may, what is asked of the policy, what is said wrongly.

use er_event::keys::Role;
use serde_json::json;

use super::world::{json, World};

const REDRIVE: &str = "/api/v1/dead-letters:redrive";
const DISCARD: &str = "/api/v1/dead-letters:discard";

fn world() -> (World, String) {
    let world = World::new();
    *world.letters.borrow_mut() = r#"{"seqs":[3,7],"consumers":["alert"]}"#.into();
    let key = world.key("acme", Role::Admin);
    (world, key)
}

#[test]
fn one_letter_is_shown() {
    let (world, key) = world();
    assert_eq!(json(&world.get(&key, "/api/v1/dead-letters/7")), json!({"seq": 7}));
    assert_eq!(world.get(&key, "/api/v1/dead-letters/8").status, 404);
    assert_eq!(world.get(&key, "/api/v1/dead-letters/x").status, 404);
}

#[test]
fn a_redrive_asks_the_policy_with_what_it_would_move() {
    let (world, key) = world();
    let done = world.send(&key, "POST", REDRIVE, r#"{"consumer":"alert","reason":"order"}"#);
    assert_eq!(done.status, 200, "{}", done.body);
    let question = world.questions.borrow().last().unwrap().clone();
    assert_eq!((&question["kind"], &question["events"]), (&json!("redrive"), &json!(2)));
    assert_eq!(question["consumer"], json!({"tenant": "acme", "name": "alert"}));
    assert_eq!(world.asked.borrow().last().unwrap(), "redrive acme [3, 7]");
    assert!(world.logged.borrow().iter().any(|line| line.starts_with("audit: acme/")));
    world.asked.borrow_mut().clear();
    world.deny("redrive", None);
    assert_eq!(world.send(&key, "POST", REDRIVE, r#"{"all":true}"#).status, 403);
    assert!(!world.asked.borrow().iter().any(|asked| asked.starts_with("redrive")));
}

#[test]
fn what_is_meant_has_to_be_said_in_one_way() {
    let (world, key) = world();
    for bad in [
        "{}",
        r#"{"seqs":[]}"#,
        r#"{"seqs":[1],"consumer":"a"}"#,
        r#"{"seqs":[1],"all":true}"#,
        r#"{"all":true,"stage":"x"}"#,
        r#"{"all":true,"limit":0}"#,
        r#"{"all":true,"limit":1001}"#,
        r#"{"seq":[1]}"#,
    ] {
        for target in [REDRIVE, DISCARD] {
            assert_eq!(world.send(&key, "POST", target, bad).status, 422, "{bad}");
        }
    }
    assert!(world.asked.borrow().is_empty());
    assert_eq!(world.send(&key, "POST", DISCARD, r#"{"seqs":[3]}"#).status, 200);
    assert_eq!(world.asked.borrow().last().unwrap(), "discard acme [3, 7]");
}

#[test]
fn only_who_may_write_moves_anything() {
    let (world, _) = world();
    for role in [Role::Viewer, Role::Publisher] {
        let key = world.key("acme", role);
        for target in [REDRIVE, DISCARD, "/api/v1/replays"] {
            assert_eq!(world.send(&key, "POST", target, r#"{"all":true}"#).status, 403, "{role:?} {target}");
        }
    }
    assert!(world.asked.borrow().is_empty());
}

#[test]
fn a_replay_is_asked_about_by_the_age_of_its_oldest_event() {
    let (world, key) = world();
    // It is 2025-06-01T00:00:00Z.
    let body = r#"{"consumer":"alert","from":"2025-05-31T12:30:00Z","types":["order.*"]}"#;
    let begun = world.send(&key, "POST", "/api/v1/replays", body);
    assert_eq!(begun.status, 202, "{}", begun.body);
    assert!(begun.headers.contains(&("location", "/api/v1/replays/r1".into())));
    let question = world.questions.borrow().last().unwrap().clone();
    assert_eq!((&question["kind"], &question["age_h"]), (&json!("replay"), &json!(11)));
    assert!(world.asked.borrow().last().unwrap().contains("2025-06-01T00:00:00Z"));
    for bad in [
        r#"{"consumer":"a","from":"yesterday"}"#,
        r#"{"consumer":"a","from":"2025-06-02T00:00:00Z"}"#,
        r#"{"from":"2025-05-31T00:00:00Z"}"#,
    ] {
        assert_eq!(world.send(&key, "POST", "/api/v1/replays", bad).status, 422, "{bad}");
    }
    assert_eq!(world.get(&key, "/api/v1/replays/r1").status, 200);
    assert_eq!(world.get(&key, "/api/v1/replays/r2").status, 404);
}
