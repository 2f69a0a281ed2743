//! What is no question is denied, whatever it looks like.

use std::sync::OnceLock;

use er_policy::{Evaluator, Limits};
use proptest::prelude::*;
use serde_json::{json, Value};

use crate::support::{evaluator, vectors};

fn shared() -> &'static Evaluator {
    static EVALUATOR: OnceLock<Evaluator> = OnceLock::new();
    EVALUATOR.get_or_init(|| evaluator(Limits::default()))
}

fn json_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["api", "deliver", "link", "acme", "operator", "read"]).prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![
            "[a-z_]{0,8}",
            prop::sample::select(vec!["kind", "tenant", "principal", "role", "action", "consumer", "type", "user"])
                .prop_map(str::to_owned)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..8)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_denied(text in ".{0,200}") {
        let decision = shared().decide(&text).decision;
        prop_assert!(!decision.allow && !decision.reason.is_empty(), "{decision:?}");
    }

    #[test]
    fn any_json_is_denied_that_is_no_question(value in json_value()) {
        let decision = shared().decide(&value.to_string()).decision;
        prop_assert!(!decision.allow && !decision.reason.is_empty(), "{decision:?}");
    }
}

#[test]
fn a_question_that_was_cut_short_is_denied() {
    for (group, name, question, _) in vectors() {
        let text = question.to_string();
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let decision = shared().decide(&text[..end]).decision;
            assert!(!decision.allow, "{group}: {name}: {}", &text[..end]);
        }
    }
}

#[test]
fn a_question_that_lacks_a_part_is_denied() {
    // Who signed it may be unknown; a redrive goes to one consumer or to null.
    let settings = ["batch_events_max", "consumer", "types", "shards", "LEVEL", "nats_url"];
    let optional: Vec<String> =
        settings.iter().map(|key| format!("/config/{key}")).chain(["/issuer".to_owned()]).collect();
    for (group, name, question, expected) in vectors() {
        if expected["allow"] != json!(true) {
            continue;
        }
        for path in paths(&question, "").into_iter().filter(|path| !optional.contains(path)) {
            let mut lacking = question.clone();
            remove(&mut lacking, &path);
            // The prototype's question may name its kind, and a configuration its tenant.
            if (group == "process_event" && path == "/kind") || (group == "config" && path == "/config/tenant") {
                continue;
            }
            let decision = shared().decide(&lacking.to_string()).decision;
            let platform =
                lacking.get("tenant") == Some(&Value::Null) && (path == "/config" || path.starts_with("/host"));
            assert!(!decision.allow || platform, "{group}: {name} without {path}");
        }
    }
}

/// Every object's field, however deep.
fn paths(value: &Value, at: &str) -> Vec<String> {
    let Value::Object(fields) = value else { return Vec::new() };
    fields
        .iter()
        .flat_map(|(key, value)| {
            let path = format!("{at}/{key}");
            let mut all = paths(value, &path);
            all.push(path);
            all
        })
        .collect()
}

fn remove(value: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
}
