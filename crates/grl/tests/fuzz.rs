//! Texts that nobody would write: never a panic, and what can be read is read the same twice.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use grl::{check, compile, format, run, to_grl, Functions, Mode, NoHost, Options, Scratch, Source};
use proptest::prelude::*;

const VECTORS: &str = include_str!("vectors/vectors.jsonl");

fn words() -> impl Strategy<Value = String> {
    let words = vec![
        "rule",
        "R",
        "E",
        ".",
        "a",
        "salience",
        "1",
        "-",
        "{",
        "}",
        "when",
        "then",
        "(",
        ")",
        "[",
        "]",
        "==",
        "&&",
        "||",
        "!",
        ";",
        "=",
        "+=",
        "\"x\"",
        "'y'",
        "\"\\q\"",
        "\"",
        "'",
        "//",
        "/*",
        "*/",
        "0x1p3",
        "017",
        "1e5",
        "nil",
        "true",
        ",",
        "\n",
        "é",
        "_",
        "\u{1F600}",
        "Retract",
        "In",
        "Append",
        "%",
        "\\",
        "\"\"",
        "99999999999999999999",
    ];
    prop::collection::vec(prop::sample::select(words), 0..60).prop_map(|words| words.join(" "))
}

/// A text of the vectors with some of its characters changed.
fn mutated() -> impl Strategy<Value = String> {
    let texts: Vec<String> = VECTORS
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["grl"].as_str().map(str::to_owned))
        .filter(|text| !text.is_empty() && text.len() < 2000)
        .collect();
    let change = (
        any::<prop::sample::Index>(),
        prop::sample::select("{}()[];.=!&|\"'\\/*-+1xé \n".chars().collect::<Vec<_>>()),
        0..3_u8,
    );
    (prop::sample::select(texts), prop::collection::vec(change, 0..6)).prop_map(|(text, changes)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, c, how) in changes {
            let at = at.index(chars.len().max(1)).min(chars.len().saturating_sub(1));
            match how {
                0 if !chars.is_empty() => drop(chars.remove(at)),
                1 => chars.insert(at, c),
                _ if !chars.is_empty() => chars[at] = c,
                _ => {}
            }
        }
        chars.into_iter().collect()
    })
}

fn exercise(text: &str) {
    for diagnostic in check(&[Source::grl(text)], &Functions::new()) {
        diagnostic.render(text, "x.grl");
        assert!(diagnostic.span.end <= text.len() && text.is_char_boundary(diagnostic.span.start), "{diagnostic:?}");
    }
    let Ok(set) = compile(&[Source::grl(text)], &Functions::new(), Mode::Grule) else {
        assert!(format(text).is_err() || text.contains("rule"));
        return;
    };
    let formatted = format(text).unwrap();
    assert_eq!(format(&formatted).unwrap(), formatted, "{text:?}");
    let facts = [("E", r#"{"n":5,"m":5,"s":"a","a":[1],"on":true}"#), ("S", r#"{"n":0}"#), ("Out", "{}")];
    let mut options = Options::default();
    options.limits.cycles = 10;
    let mut scratch = Scratch::new();
    let fired = |text: &str, scratch: &mut Scratch| {
        let set = compile(&[Source::grl(text)], &Functions::new(), Mode::Grule).unwrap();
        run(&set, &facts, &mut NoHost, scratch, &options).fired
    };
    assert_eq!(
        run(&set, &facts, &mut NoHost, &mut scratch, &options).fired,
        fired(&formatted, &mut scratch),
        "{text:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_read(text in words()) {
        exercise(&text);
    }

    #[test]
    fn any_words_in_a_rule_are_read(when in words(), then in words()) {
        exercise(&format!("rule R {{ when {when} then {then} }} rule S {{ when true then Retract(\"S\"); }}"));
    }

    #[test]
    fn mutated_rules_are_read(text in mutated()) {
        exercise(&text);
    }

    #[test]
    fn any_text_is_read(text in any::<String>()) {
        exercise(&text);
        let _ = to_grl(&text);
    }

    #[test]
    fn any_facts_are_read(facts in "[\\[\\]{}\":,0-9a-z\\\\ ]{0,40}") {
        let rules = "rule R { when E.a == 1 || E[0] > 2 || E.a.b.Len() > 0 then E.a = 2; E.l.Append(E); Retract(\"R\"); }";
        let set = compile(&[Source::grl(rules)], &Functions::new(), Mode::Check).unwrap();
        run(&set, &[("E", &facts)], &mut NoHost, &mut Scratch::new(), &Options::default());
        grl::split_facts(&facts);
    }
}
