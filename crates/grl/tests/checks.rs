//! Mistakes: all of a text at once, where they are, and what is said of them.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use grl::{check, compile, Error, Functions, Mode, Param, Severity, Source};

/// Line, column and message of each.
fn mistakes(text: &str) -> Vec<String> {
    let functions = Functions::new().with("Route", &[Param::Text], None);
    check(&[Source::grl(text)], &functions)
        .into_iter()
        .map(|found| {
            let kind = if found.severity == Severity::Warning { "warning " } else { "" };
            let expected = if found.expected.is_empty() { String::new() } else { format!(" [{}]", found.expected) };
            format!("{}:{} {kind}{}{expected}", found.place.line, found.place.column, found.message)
        })
        .collect()
}

/// Of one rule with this condition.
fn when(condition: &str) -> Vec<String> {
    mistakes(&format!("rule R {{ when {condition} then Complete(); }}"))
}

fn then(statements: &str) -> Vec<String> {
    mistakes(&format!("rule R {{ when true then {statements} }}"))
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "rule A {\n when E.a = 1\n then E.b = ; E.c = 2\n}\nrule B salience x { when true then Retract(\"B\"); }\nrule C { when E.x == # 1 then Complete(); }\nrule A { when 5 then Nope(); }";
    assert_eq!(
        mistakes(text),
        [
            "2:10 `=` assigns; to compare write == [an operator or `then`]",
            "3:12 a value is missing; `;` stands there [a value: a name, a number, a text, a call, `(` or `!`]",
            "4:0 the last statement is not ended [`;`]",
            "5:16 salience is a whole number, not `x` [a whole number]",
            "6:21 # does not start a comment here; write // instead",
            "7:14 the condition can never be true or false [a comparison or a boolean]",
            "7:21 there is no function Nope",
        ]
    );
}

#[test]
fn names_are_taken_once() {
    let text = "rule A { when true then Complete(); }\nrule A { when true then Complete(); }";
    assert_eq!(mistakes(text), ["2:5 there is a rule A already on line 1 [another name]"]);
    let two = check(&[Source::grl("rule A { when true then Complete(); }"); 2], &Functions::new());
    assert_eq!((two.len(), two[0].source), (1, 1));
}

#[test]
fn slips_in_names_are_guessed() {
    assert_eq!(then("Retrct(\"R\");"), ["1:24 there is no function Retrct [perhaps Retract]"]);
    assert_eq!(then("route(\"x\");"), ["1:24 there is no function route [perhaps Route]"]);
    assert_eq!(when("E.s.ToUper() == \"X\""), ["1:18 there is no method ToUper [perhaps ToUpper]"]);
    assert_eq!(then("Retract(\"S\");"), ["1:32 warning there is no rule S here; perhaps R is meant"]);
    assert_eq!(then("Retract(\"Quite Different\");"), ["1:32 warning there is no rule Quite Different here"]);
    assert_eq!(
        when("Len(E.s) > 1"),
        ["1:14 there is no function Len (it is a method: write it after a value and a dot)"]
    );
}

#[test]
fn kinds_that_can_never_do_are_found() {
    for (condition, message) in [
        ("5", "1:14 the condition can never be true or false [a comparison or a boolean]"),
        ("5 == \"x\"", "1:14 a whole number and a text cannot be compared by == [values of one kind]"),
        ("true < false", "1:14 a boolean and a boolean cannot be compared by < [values of one kind]"),
        ("E.a && 5", "1:21 && takes booleans, not a whole number [a condition]"),
        ("E.a - \"x\" == 1", "1:20 - takes numbers, not a text [a number]"),
        ("E.a % 2.5 == 1", "1:20 % takes whole numbers, not a number [a whole number]"),
        ("true + \"x\" == \"\"", "1:14 a boolean cannot be joined to a text here"),
        ("Now().Len() == 1", "1:20 a time has no method Len"),
        ("\"x\".Repeat(\"y\") == \"\"", "1:25 Repeat does not take a text here [a number]"),
        ("E.s.HasPrefix()", "1:18 HasPrefix takes 1 argument, not 0"),
        ("Now(1) == nil", "1:14 Now takes no arguments, not 1"),
        ("E.s.MatchString(\"[\")", "1:30 this is no pattern that can be used [a regular expression]"),
        ("\"x\".y == 1", "1:18 a text has no members"),
        ("\"x\"[0] == 1", "1:14 a text has no elements"),
        ("E[true] == 1", "1:16 a boolean is no selector [a number or a text]"),
        ("MakeTime(\"1\",1,1,1,1,1) == nil", "1:23 MakeTime does not take a text here [a whole number]"),
    ] {
        assert_eq!(when(condition), [message], "{condition}");
    }
    assert_eq!(then("E.a -= \"x\";"), ["1:31 a text cannot be used in arithmetic [a number]"]);
    assert_eq!(then("Route(5);"), ["1:30 Route does not take a whole number here [a text]"]);
    assert_eq!(then("Route();"), ["1:24 Route takes 1 argument, not 0"]);
}

#[test]
fn what_may_do_is_let_through() {
    for condition in [
        "E.a",
        "E.a == nil",
        "nil != 5",
        "E.a + 1 == 2.5",
        "\"x\" + 5 + true + Now() != \"\"",
        "5 + \"x\" == E.s",
        "Max(1, 2.5) >= 2",
        "E.s.Split(\",\")[0].In(\"a\", E.b)",
        "E.l.Append(1).Len() > 1",
        "Now().Year() > 2000 && Now() > MakeTime(E.y, 1, 1, 0, 0, 0)",
        "E.a % 2 == 0 || E.a & 4 == 4",
        "IsNil(E.a) || IsZero(\"\") || !(E.a)",
        "Len == 1",
    ] {
        assert_eq!(when(condition), Vec::<String>::new(), "{condition}");
    }
    assert_eq!(then("5;"), ["1:24 warning this statement does nothing"]);
    assert_eq!(when("!5 == 5"), ["1:14 warning ! does nothing to a whole number"]);
}

#[test]
fn grule_finds_these_only_when_it_gets_there() {
    let text = "rule R { when Nope() then 5 - \"x\"; }".replace("5 - \"x\"", "Nope()");
    assert!(compile(&[Source::grl(&text)], &Functions::new(), Mode::Grule).is_ok());
    let Err(Error::Refused(found)) = compile(&[Source::grl(&text)], &Functions::new(), Mode::Check) else {
        panic!("not refused")
    };
    assert_eq!(found.len(), 2);
}

#[test]
fn json_rules_are_checked_too() {
    let rules = r#"[{"name":"A","when":{"eq":["E.a",1]},"then":[{"call":["Nope"]}]}]"#;
    assert!(check(&[Source::json(rules)], &Functions::new())[0].message.contains("Nope"));
    let rules = r#"[{"name":"A","when":{"xor":[]},"then":[]}]"#;
    assert_eq!(check(&[Source::json(rules)], &Functions::new())[0].message, "rule A: xor is no operator");
}
