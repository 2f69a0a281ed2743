//! Another implementation of the language, the crate rust-runes, over the vectors' rules and facts: both must come to
//! the same end, but for the cases that are listed with the reason.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;

use grl::{compile, run, Functions, Mode, NoHost, Options, Scratch, Source};
use rust_runes::{Fact, FactValue, RuleEngine};
use serde_json::Value;

const VECTORS: &str = include_str!("vectors/vectors.jsonl");

/// Cases that rust-runes 0.1 decides otherwise than Grule does, by the reason. Our side is held against Grule itself in
/// `vectors.rs`.
const OTHERWISE: &[(&str, &[&str])] = &[
    ("a statement that is only a value is refused", &["parse-ok-032", "parse-ok-033"]),
    ("an empty `then` is let through", &["parse-error-003"]),
    ("a name may start with an underscore", &["parse-error-010"]),
    ("a minus may stand before anything", &["parse-error-020", "parse-error-021"]),
    ("a doubled quote is let through", &["parse-error-048"]),
    ("Append gives nothing", &["array-map-methods-010"]),
    (
        "a field keeps the type it had",
        &[
            "array-map-methods-029",
            "builtins-time-021",
            "assignment-coercion-003",
            "assignment-coercion-004",
            "assignment-coercion-029",
        ],
    ),
    ("times are written with +00:00", &["builtins-time-004"]),
    ("false is zero", &["builtins-time-024"]),
    (
        "!= of two kinds is true",
        &[
            "operators-054",
            "operators-056",
            "operators-057",
            "operators-059",
            "operators-061",
            "operators-104",
            "operators-106",
        ],
    ),
    ("! makes a boolean of anything", &["operators-122"]),
    (
        "a field that held a whole number cuts off fractions",
        &[
            "assignment-coercion-005",
            "assignment-coercion-011",
            "assignment-coercion-024",
            "large-005",
            "large-009",
            "large-017",
        ],
    ),
    ("Retract of an unknown rule is an error", &["retract-complete-003", "retract-complete-004"]),
    ("letters are mapped by the whole of Unicode's rules", &["strings-unicode-005", "strings-unicode-006"]),
    ("\\w is all letters", &["strings-unicode-017"]),
];

/// What came of a case; at the end of a run, the rules that fired with the facts.
#[derive(Debug)]
enum Came {
    Refused,
    Failed,
    Done(Vec<String>, Value),
}

fn ours(grl: &str, case: &Value) -> Came {
    let Ok(set) = compile(&[Source::grl(grl)], &Functions::new(), Mode::Grule) else { return Came::Refused };
    let text = case["facts"].to_string();
    let split = grl::split_facts(&text);
    let facts: Vec<(&str, &str)> = split.iter().map(|(name, text)| (name.as_ref(), *text)).collect();
    let mut options = Options { strict: case["strict"] == true, ..Options::default() };
    options.limits.cycles = case["max_cycle"].as_u64().unwrap_or(5000);
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &options);
    let fired = outcome.fired_names(&set).into_iter().map(str::to_owned).collect();
    if outcome.error().is_some() {
        return Came::Failed;
    }
    let facts = outcome.facts.iter().map(|(name, text)| ((*name).to_owned(), serde_json::from_str(text).unwrap()));
    Came::Done(fired, Value::Object(facts.collect()))
}

fn theirs(grl: &str, case: &Value) -> Came {
    let mut engine = RuleEngine::new();
    if engine.add_rules_from_str(grl).is_err() {
        return Came::Refused;
    }
    engine.set_max_cycles(case["max_cycle"].as_u64().unwrap_or(5000) as usize);
    engine.set_return_err_on_failed_rule_evaluation(case["strict"] == true);
    let mut facts: HashMap<String, Fact> = HashMap::new();
    for (name, value) in case["facts"].as_object().unwrap() {
        facts.insert(name.clone(), Fact::new(name.clone(), FactValue::from_serialize(value).unwrap()));
    }
    match engine.execute(&mut facts) {
        Err(_) => Came::Failed,
        Ok(result) => {
            let names = case["facts"].as_object().unwrap().keys();
            let after = names.map(|name| (name.clone(), facts[name].deserialize::<Value>().unwrap_or(Value::Null)));
            Came::Done(result.rules_fired, Value::Object(after.collect()))
        }
    }
}

/// Numbers by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

#[test]
fn both_come_to_the_same_end() {
    let (mut compared, mut differing) = (0, Vec::new());
    for line in VECTORS.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let Some(grl) = case["grl"].as_str().filter(|_| case["match"] != true) else { continue };
        let (ours, theirs) = (ours(grl, &case), theirs(grl, &case));
        compared += 1;
        let agree = match (&ours, &theirs) {
            (Came::Refused, Came::Refused) | (Came::Failed, Came::Failed) => true,
            (Came::Done(a, after), Came::Done(b, other)) => a == b && same(after, other),
            _ => false,
        };
        let id = case["id"].as_str().unwrap();
        let listed = OTHERWISE.iter().any(|(_, ids)| ids.contains(&id));
        if agree == listed {
            differing.push(format!("{id} ({}): {ours:?}\n    {theirs:?}", case["about"]));
        }
    }
    assert!(compared > 400, "{compared}");
    assert!(differing.is_empty(), "{} of {compared}\n{}", differing.len(), differing.join("\n"));
}
