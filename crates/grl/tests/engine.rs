//! What a run does beyond the vectors: limits, ties, the host, and texts that come out as they went in.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use grl::{
    compile, compile_to_run, explain, run, Ended, Functions, Host, KindOf, Limit, Mode, NoHost, Options, Param,
    RuleSet, Scratch, Source, Time, Value,
};

fn set(rules: &str) -> RuleSet<'static> {
    compile(&[Source::grl(rules)], &Functions::new(), Mode::Grule).unwrap()
}

/// The fact `E` afterwards, the rules that fired, and how it ended.
fn fire(rules: &str, event: &str) -> (String, Vec<String>, Ended) {
    let set = set(rules);
    let facts = [("E", event)];
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &Options::default());
    let fired = outcome.fired_names(&set).into_iter().map(str::to_owned).collect();
    (outcome.facts[0].1.to_string(), fired, outcome.ended.clone())
}

fn limit(rules: &str, event: &str) -> Limit {
    match fire(rules, event).2 {
        Ended::Limit { rule, limit } => {
            assert_eq!(rule, "R");
            limit
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_equal_salience_the_first_defined_fires_first() {
    let rules: String = ["C", "A", "B"].map(|n| format!("rule {n} {{ when E.on then Retract(\"{n}\"); }}")).concat();
    assert_eq!(fire(&rules, r#"{"on":true}"#).1, ["C", "A", "B"]);
}

#[test]
fn a_rule_that_never_stops_is_stopped() {
    let (_, fired, ended) = fire("rule R { when true then E.n = 1; }", "{}");
    assert_eq!(ended, Ended::Limit { rule: "R".into(), limit: Limit::Cycles });
    assert_eq!(fired.len(), 5000);
}

#[test]
fn texts_cannot_grow_without_end() {
    assert_eq!(limit("rule R { when true then E.s = E.s + E.s; }", r#"{"s":"xxxxxxxx"}"#), Limit::Size);
    assert_eq!(limit("rule R { when true then E.s = E.s.Repeat(1000000000); }", r#"{"s":"xxxxxxxx"}"#), Limit::Size);
    assert_eq!(
        limit("rule R { when E.s.Repeat(1000000000).Len() > 1 then Log(\"\"); }", r#"{"s":"xxx"}"#),
        Limit::Size
    );
    let replace = "rule R { when true then E.s = E.s.Replace(\"x\", \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"); }";
    assert_eq!(limit(replace, r#"{"s":"xxxxxxxx"}"#), Limit::Size);
    assert_eq!(limit("rule R { when true then Log(\"x\".Repeat(4000000)); }", "{}"), Limit::Built);
    let split = "rule R { when true then E.n = \"x\".Repeat(4000000).Split(\"\").Len(); }";
    assert_eq!(limit(split, "{}"), Limit::Built);
    let copies = "rule R { when true then E.c = E.l; E.l[0] = 2; }";
    assert_eq!(limit(copies, &format!("{{\"l\":[1{}]}}", ",1".repeat(1000))), Limit::Built);
}

#[test]
fn facts_cannot_grow_without_end() {
    assert_eq!(limit("rule R { when true then E.a = E; }", "{}"), Limit::Depth);
    assert_eq!(limit("rule R { when true then E.a = E; E.b = E; }", "{}"), Limit::Size);
    let append = "rule R { when true then E.l.Append(E.s, E.s, E.s, E.s, E.s, E.s, E.s, E.s); }";
    assert_eq!(limit(append, &format!(r#"{{"l":[],"s":"{}"}}"#, "x".repeat(1000))), Limit::Size);
}

#[test]
fn steps_have_an_end() {
    let set = set("rule R { when true then E.n = E.n + 1; }");
    let mut options = Options::default();
    options.limits.steps = 100;
    let outcome = run(&set, &[("E", r#"{"n":0}"#)], &mut NoHost, &mut Scratch::new(), &options);
    assert_eq!(outcome.ended, Ended::Limit { rule: "R".into(), limit: Limit::Steps });
    assert!(outcome.fired.len() < 20 && outcome.fired.len() > 5);
}

#[test]
fn patterns_are_paid_for_by_their_size() {
    let rule = "rule R { when true then E.n = E.s.MatchString(\"^((a{0,100}b?){0,100}c)+$\"); Retract(\"R\"); }";
    let started = std::time::Instant::now();
    assert_eq!(limit(rule, &format!(r#"{{"s":"{}"}}"#, "ab".repeat(100_000))), Limit::Steps);
    assert!(started.elapsed().as_secs() < 5);
    assert_eq!(fire(rule, r#"{"s":"abc"}"#).0, r#"{"s":"abc","n":true}"#);
}

#[test]
fn an_untouched_fact_is_the_same_text() {
    let set = set("rule R { when E.a > 1 then F.x = 1; Retract(\"R\"); }");
    let text = "{ \"a\" : 2.50, \"z\":[1 , 2] }";
    let facts = [("E", text), ("F", "{}")];
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &Options::default());
    assert!(matches!(&outcome.facts[0].1, std::borrow::Cow::Borrowed(same) if std::ptr::eq(*same, text)));
    assert_eq!(outcome.facts[1].1, r#"{"x":1}"#);
}

#[test]
fn only_written_paths_change_in_a_text() {
    let event = "{\n  \"id\": 9007199254740993, \"s\": \"\\u00e9\",\n  \"o\": { \"n\": 1.0, \"m\": [ 1,2 ] }\n}";
    let (after, ..) = fire("rule R { when E.o.n == 1 then E.o.n = 2; E.o.m[1] = E.s; }", event);
    assert_eq!(
        after,
        "{\n  \"id\": 9007199254740993, \"s\": \"\\u00e9\",\n  \"o\": { \"n\": 2, \"m\": [ 1,\"é\" ] }\n}"
    );
}

#[test]
fn of_equal_keys_the_last_counts() {
    let (after, fired, _) = fire("rule R { when E.a.b == 2 then E.a.b = 3; }", r#"{"a":{"b":1,"c":1},"a":{"b":2}}"#);
    assert_eq!((after.as_str(), fired.len()), (r#"{"a":{"b":1,"c":1},"a":{"b":3}}"#, 1));
    assert!(fire("rule R { when E.a.c == 1 then E.a.b = 3; }", r#"{"a":{"b":1,"c":1},"a":{"b":2}}"#).1.is_empty());
}

#[test]
fn a_scratch_serves_one_set_after_another() {
    let mut scratch = Scratch::new();
    let first = set("rule A { when E.a == 1 && E.s.ToUpper() == \"X\" && E.s.ToUpper().Len() == 1 then E.a = 2; }");
    let second = set("rule B { when E.b == 1 then E.b = 2; } rule C { when E.c then E.c = false; }");
    for _ in 0..3 {
        let outcome = run(&first, &[("E", r#"{"a":1,"s":"x"}"#)], &mut NoHost, &mut scratch, &Options::default());
        assert_eq!(outcome.facts[0].1, r#"{"a":2,"s":"x"}"#);
        let outcome = run(&first, &[("E", r#"{"s":"x"}"#)], &mut NoHost, &mut scratch, &Options::default());
        assert!(outcome.fired.is_empty());
        let outcome = run(&second, &[("E", r#"{"c":true}"#)], &mut NoHost, &mut scratch, &Options::default());
        assert_eq!(outcome.fired_names(&second), ["C"]);
    }
}

#[test]
fn bounds_hold_at_their_edges() {
    let ops = ["<", "<=", ">", ">="];
    let rules: String = [4, 5, 6]
        .iter()
        .flat_map(|bound| ops.map(|op| (op, *bound)))
        .enumerate()
        .map(|(at, (op, bound))| format!("rule R{at} {{ when E.n {op} {bound} then Complete(); }}\n"))
        .collect();
    let set = set(&rules);
    let options = Options { matching: true, ..Options::default() };
    for (text, n) in [("3", 3.0), ("4", 4.0), ("4.5", 4.5), ("5", 5.0), ("5.0", 5.0), ("6", 6.0), ("7e0", 7.0)] {
        let event = format!("{{\"n\":{text}}}");
        let outcome = run(&set, &[("E", &event)], &mut NoHost, &mut Scratch::new(), &options);
        let holds = |bound: f64| [n < bound, n <= bound, n > bound, n >= bound];
        let want: Vec<bool> = [4.0, 5.0, 6.0].into_iter().flat_map(holds).collect();
        let got: Vec<bool> = (0..12).map(|rank| outcome.matched.contains(&rank)).collect();
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn one_condition_may_be_indexed_for_one_rule_and_not_for_another() {
    let rules = r#"
        rule Indexed salience 3 { when E.n < 5 && E.m > 0 then E.m = 0; }
        rule Looked salience 2 { when E.k == "x" && E.n < 5 then E.k = "y"; }
        rule First { when E.n == 7 then E.n = 1; }"#;
    for (m, want) in [(0, vec!["First", "Looked"]), (1, vec!["First", "Indexed", "Looked"])] {
        let (_, fired, ended) = fire(rules, &format!("{{\"k\":\"x\",\"n\":7,\"m\":{m}}}"));
        assert_eq!((fired, ended), (want.into_iter().map(str::to_owned).collect(), Ended::Done));
    }
}

#[test]
fn a_shared_call_is_made_again_when_what_it_reads_was_written() {
    let rules = r#"
        rule A salience 2 { when E.s.ToUpper().Contains("X") then E.s = "y"; }
        rule B salience 1 { when E.s.ToUpper().Contains("Y") && E.o.n.ToUpper().Len() == 1 then E.o = E.p; }
        rule C { when E.o.n.ToUpper().Len() == 2 && E.s.ToUpper() == "Y" then E.s = E.o.n.ToUpper(); }"#;
    let (after, fired, ended) = fire(rules, r#"{"s":"x","o":{"n":"a"},"p":{"n":"bb"}}"#);
    assert_eq!((fired, ended), (vec!["A".to_owned(), "B".to_owned(), "C".to_owned()], Ended::Done));
    assert_eq!(after, r#"{"s":"BB","o":{"n":"bb"},"p":{"n":"bb"}}"#);
}

/// Remembers what it was asked.
#[derive(Default)]
struct Memory(Vec<String>);

impl Host for Memory {
    fn call(&mut self, rule: &str, function: usize, arguments: &[Value<'_>]) -> Result<Value<'static>, String> {
        let arguments: Vec<String> = arguments.iter().map(Value::to_json).collect();
        self.0.push(format!("{rule} {function}({})", arguments.join(",")));
        match function {
            0 => Ok(Value::Null),
            1 => Ok(Value::Bool(true)),
            _ => Err("the tag is taken".to_owned()),
        }
    }

    fn log(&mut self, text: &str) {
        self.0.push(format!("log {text}"));
    }

    fn now(&self) -> Time {
        Time { seconds: 1_700_000_000, nanos: 0 }
    }
}

fn functions() -> Functions {
    Functions::new()
        .with("Drop", &[Param::Text], None)
        .with("IsKnown", &[Param::Text], Some(KindOf::Bool))
        .with_optional("Tag", &[Param::Text, Param::Any], 1, None)
}

#[test]
fn the_host_is_called_and_may_fail() {
    let rules = r#"
        rule A salience 2 { when IsKnown(E.id) then Drop("x" + E.id); Log("done"); E.at = Now(); Retract("A"); }
        rule B { when E.at.Unix() == 1700000000 then Tag("t", E.o); E.never = 1; }"#;
    let set = compile(&[Source::grl(rules)], &functions(), Mode::Check).unwrap();
    assert_eq!(set.functions().collect::<Vec<_>>(), ["Drop", "IsKnown", "Tag"]);
    let mut host = Memory::default();
    let facts = [("E", r#"{"id":"7","o":{ "n":1 }}"#)];
    let outcome = run(&set, &facts, &mut host, &mut Scratch::new(), &Options::default());
    assert_eq!(host.0, [" 1(\"7\")", "A 0(\"x7\")", "log done", "B 2(\"t\",{ \"n\":1 })"]);
    assert_eq!(outcome.error().as_deref(), Some("rule B: line 3: the tag is taken"));
    assert_eq!(outcome.facts[0].1, r#"{"id":"7","o":{ "n":1 },"at":"2023-11-14T22:13:20Z"}"#);
}

#[test]
fn a_set_that_is_only_run_does_without_the_words_of_explanations() {
    let rules: String = (0..100)
        .map(|n| format!("rule R{n} \"number {n}\" {{ when E.n == {n} && E.name != \"none {n}\" then E.hit = {n}; }}"))
        .collect();
    let whole = compile(&[Source::grl(&rules)], &Functions::new(), Mode::Check).unwrap();
    let lean = compile_to_run(&[Source::grl(&rules)], &Functions::new()).unwrap();
    let (bytes, fewer) = (whole.to_bytes().len(), lean.to_bytes().len());
    assert!(fewer * 10 < bytes * 9, "{fewer} of {bytes} bytes");
    let facts = [("E", r#"{"n":42,"name":"x"}"#)];
    let settle = Options { settle: true, ..Options::default() };
    let outcomes = [&whole, &lean].map(|set| run(set, &facts, &mut NoHost, &mut Scratch::new(), &settle));
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[1].facts[0].1, r#"{"n":42,"name":"x","hit":42}"#);
    let lean = explain(&lean, &facts, &mut NoHost, &Options::default());
    assert_eq!(lean.rules[0].first_false.as_ref().map(|part| part.text), Some(""));
    assert!(compile_to_run(&[Source::grl("rule A { when Tgg() then Complete(); }")], &Functions::new()).is_err());
}

#[test]
fn built_in_functions_take_what_they_are_for() {
    for (condition, holds) in [
        (r#"ContainsStr(E.tags, "b")"#, true),
        (r#"ContainsStr(E.tags, "c")"#, false),
        (r#"ContainsStr(E.name, "b")"#, false),
        ("IsTimeBefore(MakeTime(2020, 1, 1, 0, 0, 0), Now())", true),
        ("IsTimeBefore(Now(), MakeTime(2020, 1, 1, 0, 0, 0))", false),
        ("IsTimeBefore(E.name, Now())", false),
        ("GetTimeYear(MakeTime(2020, 1, 1, 0, 0, 0)) == 2020", true),
    ] {
        let rules = format!("rule A {{ when {condition} then Complete(); }}");
        let set = compile(&[Source::grl(&rules)], &Functions::new(), Mode::Grule).unwrap();
        let facts = [("E", r#"{"tags":["a","b"],"name":"b"}"#)];
        let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &Options::default());
        assert_eq!((outcome.fired.len() == 1, outcome.ended), (holds, Ended::Done), "{condition}");
    }
}

#[test]
fn where_asked_for_a_rule_that_changes_nothing_more_settles() {
    let rules = r#"
        rule Lane salience 2 { when E.n > 1 then E.lane = "fast"; E.list[0] = 1; }
        rule Count { when E.n < 4 then E.n = E.n + 1; }
        rule Log { when E.n == 4 then Log("four"); }"#;
    let set = set(rules);
    let facts = [("E", r#"{"n":2,"list":[0]}"#)];
    let settle = Options { settle: true, ..Options::default() };
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &settle);
    assert_eq!(outcome.fired_names(&set), ["Lane", "Lane", "Count", "Count", "Log"]);
    assert_eq!((outcome.ended, &*outcome.facts[0].1), (Ended::Done, r#"{"n":4,"list":[1],"lane":"fast"}"#));
    // As Grule has it, the first rule has no end.
    let outcome = run(&set, &facts, &mut NoHost, &mut Scratch::new(), &Options::default());
    assert!(matches!(outcome.ended, Ended::Limit { rule, .. } if rule == "Lane"));
}

#[test]
fn why_a_rule_did_not_match_is_said() {
    let rules = "rule A {\n  when E.n > 1 &&\n    E.s.ToUpper() == \"X\"\n  then E.n = 0; }\nrule B { when E.gone == 1 then E.n = 9; }\nrule C { when E.n == 0 then E.n = -1; }\nrule D { when E.s.ToUpper() == \"Y\" then Complete(); }";
    let set = set(rules);
    let facts = [("E", r#"{"n":5,"s":"y"}"#)];
    let why = explain(&set, &facts, &mut NoHost, &Options::default());
    let texts: Vec<String> = why.rules.iter().map(|why| format!("{}: {}", why.rule, why.text())).collect();
    assert_eq!(
        texts,
        [
            "A: did not match: line 3, column 5: E.s.ToUpper() == \"X\" is false (E.s is \"y\")",
            "B: did not match: line 5, column 15: E.gone == 1 could not be evaluated: E.gone has no value (E.gone is missing)",
            "C: did not match: line 6, column 15: E.n == 0 is false (E.n is 5)",
            "D: matched and fired",
        ]
    );
    let facts = [("E", r#"{"n":5,"s":"x"}"#)];
    let why = explain(&set, &facts, &mut NoHost, &Options::default());
    assert_eq!(why.rules[0].text(), "matched and fired");
    assert!(why.rules[2].text().starts_with("fired after another rule changed the facts; at first line 6"));
    assert_eq!(why.outcome.fired_names(&set), ["A", "C"]);
}

#[test]
fn deep_nesting_is_refused_and_long_chains_are_not() {
    let deep = format!("rule R {{ when {}true{} then Complete(); }}", "(".repeat(5000), ")".repeat(5000));
    assert!(compile(&[Source::grl(&deep)], &Functions::new(), Mode::Grule).is_err());
    for deep in ["!", "E[", "F(", "E.a(1 + "] {
        let text = format!("rule R {{ when {} then Complete(); }}", deep.repeat(50_000));
        assert!(compile(&[Source::grl(&text)], &Functions::new(), Mode::Grule).is_err());
    }
    let bangs = format!("rule R {{ when {}true then Complete(); }}", "!".repeat(50_000));
    assert!(compile(&[Source::grl(&bangs)], &Functions::new(), Mode::Grule).is_err());
    let long = format!("rule R {{ when E.n + {} == 5000 then Complete(); }}", ["1"; 5000].join(" + "));
    assert_eq!(fire(&long, r#"{"n":0}"#).1, ["R"]);
    let long = format!("rule R {{ when {} then Complete(); }}", vec!["E.n < 1"; 5000].join(" && "));
    assert_eq!(fire(&long, r#"{"n":0}"#).1, ["R"]);
    let dots = format!("rule R {{ when E{} == 1 then Complete(); }}", ".a".repeat(1000));
    assert!(compile(&[Source::grl(&dots)], &Functions::new(), Mode::Grule).is_err());
}

#[test]
fn a_very_long_line_is_no_trouble() {
    let started = std::time::Instant::now();
    let rules: String =
        (0..20_000).map(|n| format!("rule R{n} {{ when E.a == {n} then Retract(\"S{n}\"); }} ")).collect();
    assert!(compile(&[Source::grl(&rules)], &Functions::new(), Mode::Check).is_ok());
    assert!(started.elapsed().as_secs() < 10);
}

#[test]
fn many_rules_of_absent_fields_are_not_looked_at() {
    let rules: String =
        (0..2000).map(|n| format!("rule R{n} {{ when E.f{n}.ToUpper() != \"X\" then Complete(); }}\n")).collect();
    let set = set(&rules);
    let mut options = Options::default();
    // Not one instruction is needed for them.
    options.limits.steps = 0;
    let outcome = run(&set, &[("E", r#"{"n":0}"#)], &mut NoHost, &mut Scratch::new(), &options);
    assert_eq!((outcome.fired.len(), outcome.ended), (0, Ended::Done));
    let outcome = run(&set, &[("E", r#"{"f7":"y"}"#)], &mut NoHost, &mut Scratch::new(), &Options::default());
    assert_eq!(outcome.fired_names(&set), ["R7"]);
}

#[test]
fn an_assignment_wakes_only_what_reads_it() {
    // Each firing costs the same however many other rules there are.
    let steps = |others: usize| {
        let others: String = (0..others)
            .map(|n| format!("rule O{n} {{ when E.other{n}.Len() > 5 && E.s.Contains(\"{n}\") then Complete(); }}\n"))
            .collect();
        let set = set(&format!("{others} rule R {{ when E.n < 50 then E.n = E.n + 1; }}"));
        let ends = |steps: &u64| {
            let mut options = Options::default();
            options.limits.steps = *steps;
            let facts = [("E", r#"{"n":0,"s":"x"}"#)];
            run(&set, &facts, &mut NoHost, &mut Scratch::new(), &options).ended == Ended::Done
        };
        (0..5000).step_by(50).find(ends)
    };
    assert!(steps(0).is_some());
    assert_eq!(steps(0), steps(100));
}
