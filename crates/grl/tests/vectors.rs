//! Every recorded case of what Grule does, and every one where we do the sane thing instead.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use grl::{compile, run, Error, Functions, Mode, NoHost, Options, RuleSet, Scratch, Source};
use serde_json::Value;

/// What came of a case.
struct Got {
    refused: Option<(usize, usize)>,
    error: Option<String>,
    fired: Vec<String>,
    matched: Vec<String>,
    facts: BTreeMap<String, Value>,
}

fn execute(case: &Value) -> Got {
    let grl = case["grl"].as_str().map(str::to_owned);
    let json = case.get("grl_json").map(Value::to_string);
    let source = match (&grl, &json) {
        (_, Some(json)) => Source::json(json),
        (Some(grl), None) => Source::grl(grl),
        (None, None) => Source::grl(""),
    };
    let empty = Got { refused: None, error: None, fired: vec![], matched: vec![], facts: BTreeMap::new() };
    let set = match compile(&[source], &Functions::new(), Mode::Grule) {
        Ok(set) => set,
        Err(Error::Refused(list)) => {
            return Got {
                refused: Some((list[0].place.line, list[0].place.column)),
                error: Some("refused".into()),
                ..empty
            }
        }
        Err(error) => panic!("{error}"),
    };
    let bytes = set.to_bytes();
    let set = RuleSet::open(&bytes).unwrap();
    let facts: Vec<(String, String)> =
        case["facts"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
    let facts: Vec<(&str, &str)> = facts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut options = Options { strict: case["strict"] == true, matching: case["match"] == true, ..Options::default() };
    options.limits.cycles = case["max_cycle"].as_u64().unwrap_or(5000);
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &options);
    let names: Vec<&str> = set.names().collect();
    let named = |ranks: &[u32]| ranks.iter().map(|rank| names[*rank as usize].to_owned()).collect();
    Got {
        error: outcome.error(),
        fired: named(&outcome.fired),
        matched: named(&outcome.matched),
        facts: outcome
            .facts
            .iter()
            .map(|(name, text)| {
                ((*name).to_owned(), serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
            })
            .collect(),
        ..empty
    }
}

/// Numbers by value, everything else exactly.
fn same(got: &Value, want: &Value) -> bool {
    match (got, want) {
        (Value::Number(a), Value::Number(b)) => {
            if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
                return a == b;
            }
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => got == want,
    }
}

fn judge(case: &Value, want: &Value) -> Result<(), String> {
    let got = execute(case);
    if want.get("errors").is_some() {
        let place = got.refused.ok_or("not refused")?;
        if let Some(line) = want["line"].as_u64() {
            if place.0 as u64 != line {
                return Err(format!("refused at {place:?} instead of line {line}"));
            }
        }
        return Ok(());
    }
    if let Some(place) = got.refused {
        return Err(format!("refused at {place:?}"));
    }
    if got.error.is_some() != (want["error"] == true) {
        return Err(format!("error {:?}", got.error));
    }
    let list = |names: &[String]| Value::from(names.to_vec());
    if want.get("match").is_some() && list(&got.matched) != want["match"] {
        return Err(format!("matched {:?}", got.matched));
    }
    if list(&got.fired) != want["fired"] {
        return Err(format!("fired {:?}", got.fired));
    }
    let facts = Value::Object(got.facts.into_iter().collect());
    if want["error"] == false && !same(&facts, &want["facts"]) {
        return Err(format!("facts {facts}\n   want {}", want["facts"]));
    }
    Ok(())
}

fn all(text: &str, wanted: &str) {
    let mut failed = Vec::new();
    let mut count = 0;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        count += 1;
        if let Err(message) = judge(&case, &case[wanted]) {
            failed.push(format!("{} ({}): {message}\n   {}", case["id"], case["about"], case["grl"]));
        }
    }
    assert!(failed.is_empty(), "{} of {count} fail\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_vector_agrees_with_grule() {
    all(include_str!("vectors/vectors.jsonl"), "expect");
}

#[test]
fn every_deviation_is_the_sane_one() {
    all(include_str!("vectors/deviations.jsonl"), "sane");
}
