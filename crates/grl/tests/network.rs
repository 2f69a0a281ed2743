//! Random rules over random facts: the network, the compiled form and the formatter against the plain tree.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod naive;

use grl::syntax::{parse, Report};
use grl::{compile, run, Ended, Functions, Limit, Mode, NoHost, Options, RuleSet, Scratch, Source};
use naive::Naive;
use proptest::prelude::*;
use serde_json::Value;

const CYCLES: usize = 12;

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-2..6_i64).prop_map(|n| n.to_string()),
        1 => prop::sample::select(vec!["1.5", "2.5", "-0.5"]).prop_map(str::to_owned),
        3 => prop::sample::select(vec!["\"a\"", "\"b\"", "\"ab\"", "\"\""]).prop_map(str::to_owned),
        2 => prop::sample::select(vec!["true", "false"]).prop_map(str::to_owned),
    ]
}

fn place() -> impl Strategy<Value = String> {
    let paths = vec![
        "E.a",
        "E.b",
        "E.c",
        "E.d",
        "E.o.x",
        "E.o.y",
        "E.l[0]",
        "E.l[1]",
        "E[\"a\"]",
        "E.o[\"x\"]",
        "E.l[E.a]",
        "E.o[E.d]",
        "E[\"o\"].x",
        "F.n",
        "F.m",
        "E.gone",
        "E.o",
        "E.l",
        "Top",
        "E.l[1 - 1]",
        "E.o.deep.z",
    ];
    prop::sample::select(paths).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![3 => place(), 2 => scalar(), 1 => Just("nil".to_owned())];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*", "%", "&"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            // Not by zero, for the tree's values cannot be infinite.
            inner.prop_map(|inner| format!("({inner} / 2)")),
            place().prop_map(|place| format!("{place}.Len()")),
            place().prop_map(|place| format!("{place}.ToUpper()")),
            place().prop_map(|place| format!("{place}.ToUpper().Len()")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let comparison = vec!["==", "!=", "<", ">", "<=", ">="];
    let leaf = prop_oneof![
        5 => (place(), prop::sample::select(comparison.clone()), scalar()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (scalar(), prop::sample::select(comparison.clone()), place()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        2 => (value(), prop::sample::select(comparison), value()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => place(),
        1 => place().prop_map(|place| format!("!{place}")),
        1 => place().prop_map(|place| format!("{place}.In(\"a\", \"ab\", \"a\")")),
        1 => place().prop_map(|place| format!("{place}.ToUpper().Contains(\"A\")")),
        1 => place().prop_map(|place| format!("{place} == nil")),
        1 => Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" && "))),
            1 => prop::collection::vec(inner.clone(), 2..3).prop_map(|parts| format!("({})", parts.join(" || "))),
            1 => inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (place(), value()).prop_map(|(place, value)| format!("{place} = {value};")),
        2 => (place(), prop::sample::select(vec!["+=", "-=", "*="]), scalar())
            .prop_map(|(place, op, value)| format!("{place} {op} {value};")),
        2 => (0..6_usize).prop_map(|rule| format!("Retract(\"R{rule}\");")),
        1 => (place(), scalar()).prop_map(|(place, value)| format!("{place}.Append({value});")),
        1 => Just("Complete();".to_owned()),
    ]
}

fn rules() -> impl Strategy<Value = String> {
    let rule = (condition(), prop::collection::vec(statement(), 1..4), -2..3_i32);
    prop::collection::vec(rule, 1..7).prop_map(|rules| {
        let rules = rules.into_iter().enumerate().map(|(at, (when, then, salience))| {
            format!("rule R{at} salience {salience} {{ when {when} then {} }}\n", then.join(" "))
        });
        rules.collect()
    })
}

fn facts() -> impl Strategy<Value = String> {
    let member = prop_oneof![9 => scalar(), 1 => Just("null".to_owned())];
    prop::collection::vec(member, 9).prop_map(|v| {
        format!(
            r#"{{"E":{{"a":{},"b":{},"c":{},"d":"x","o":{{"x":{},"y":{},"deep":{{"z":{}}}}},"l":[{},{}]}},"F":{{"n":{},"m":1}}}}"#,
            v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]
        )
    })
}

/// Equal as JSON, numbers by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            // serde_json may miss the nearest float by one step when it reads.
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-15 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn agree(rules: &str, facts: &str, strict: bool) -> Result<(), TestCaseError> {
    let set = compile(&[Source::grl(rules)], &Functions::new(), Mode::Grule).unwrap();
    let bytes = set.to_bytes();
    let again = compile(&[Source::grl(rules)], &Functions::new(), Mode::Grule).unwrap();
    prop_assert_eq!(again.as_bytes(), bytes.as_slice());
    let set = RuleSet::open(&bytes).unwrap();
    let parsed: serde_json::Map<String, Value> = serde_json::from_str(facts).unwrap();
    let split = grl::split_facts(facts);
    let given: Vec<(&str, &str)> = split.iter().map(|(name, text)| (name.as_ref(), *text)).collect();
    let mut options = Options { strict, ..Options::default() };
    options.limits.cycles = CYCLES as u64;
    let mut scratch = Scratch::new();
    let tree = parse(rules, &mut Report::new(rules, 0));
    let want = Naive::run(&tree, parsed.clone(), strict, CYCLES);
    // Twice, for what one run leaves behind must not matter to the next.
    for _ in 0..2 {
        let got = run(&set, &given, &mut NoHost, &mut scratch, &options);
        prop_assert_eq!(got.fired_names(&set), want.fired.clone(), "{} {}", rules, facts);
        prop_assert_eq!(got.ended != Ended::Done, want.failed, "{:?} {}", got.ended, rules);
        if want.failed && !matches!(got.ended, Ended::Limit { limit: Limit::Cycles, .. }) {
            continue;
        }
        for (name, text) in &got.facts {
            let got: Value = serde_json::from_str(text).unwrap();
            prop_assert!(same(&got, &want.facts[*name]), "{}\n{}\n{}\nwant {}", rules, facts, got, want.facts[*name]);
        }
    }
    if !strict {
        let matching = Options { matching: true, ..options };
        let got = run(&set, &given, &mut NoHost, &mut scratch, &matching);
        let names: Vec<&str> = set.names().collect();
        let got: Vec<&str> = got.matched.iter().map(|rank| names[*rank as usize]).collect();
        prop_assert_eq!(got, Naive::matching(&tree, parsed), "{} {}", rules, facts);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn the_network_does_what_the_tree_does(rules in rules(), facts in facts()) {
        agree(&rules, &facts, false)?;
    }

    #[test]
    fn the_network_is_as_strict_as_the_tree(rules in rules(), facts in facts()) {
        agree(&rules, &facts, true)?;
    }

    #[test]
    fn formatting_keeps_the_meaning_and_is_done_once(rules in rules(), facts in facts()) {
        let formatted = grl::format(&rules).unwrap();
        prop_assert_eq!(grl::format(&formatted).unwrap(), formatted.clone());
        let compiled = |text: &str| {
            let set = compile(&[Source::grl(text)], &Functions::new(), Mode::Grule).unwrap();
            let split = grl::split_facts(&facts);
            let given: Vec<(&str, &str)> = split.iter().map(|(name, text)| (name.as_ref(), *text)).collect();
            let mut options = Options::default();
            options.limits.cycles = CYCLES as u64;
            let outcome = run(&set, &given, &mut NoHost, &mut Scratch::new(), &options);
            (outcome.fired.clone(), outcome.facts.iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>())
        };
        prop_assert_eq!(compiled(&rules), compiled(&formatted));
    }
}
