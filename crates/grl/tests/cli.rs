//! The program, as people call it.
#![cfg(feature = "cli")]
// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{json, Value};

/// A directory of its own for each test.
struct Place(PathBuf);

struct Done {
    code: i32,
    out: String,
    err: String,
}

// === impl Place ===

impl Place {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Place(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn grl(&self, arguments: &[&str]) -> Done {
        let output = Command::new(env!("CARGO_BIN_EXE_grl")).args(arguments).current_dir(&self.0).output().unwrap();
        Done {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

// === impl Done ===

impl Done {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

const RULE: &str = "rule Big salience 2 { when E.n > 1 then E.n = 0; E.hit = true; }\n";

#[test]
fn run_prints_what_came_of_it() {
    let place = Place::new("run");
    place.write("a.grl", RULE);
    place.write("f.json", r#"{ "E": {"n": 5, "id": 9007199254740993}, "Other": [1, 2] }"#);
    let done = place.grl(&["run", "a.grl", "--facts", "f.json"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let want = json!({"errors": [], "error": null, "fired": ["Big"], "match": [],
        "facts": {"E": {"n": 0, "id": 9007199254740993_i64, "hit": true}, "Other": [1, 2]}});
    assert_eq!(done.json(), want);
    let done = place.grl(&["run", "a.grl", "--facts", "f.json", "--match"]);
    assert_eq!((done.code, &done.json()["match"], &done.json()["fired"]), (0, &json!(["Big"]), &json!([])));
}

#[test]
fn run_says_where_rules_are_refused() {
    let place = Place::new("refused");
    place.write("a.grl", "rule A {\n  when E.n >\n  then E.n = 0;\n}");
    place.write("f.json", r#"{"E":{"n":5}}"#);
    let done = place.grl(&["run", "a.grl", "--facts", "f.json"]);
    assert_eq!(done.code, 1);
    let got = done.json();
    assert_eq!((&got["errors"][0]["line"], &got["errors"][0]["column"]), (&json!(3), &json!(2)));
    assert!(got["error"].is_string() && done.err.contains("a.grl:3:3"));
    assert_eq!(got["facts"], json!({"E": {"n": 5}}));
}

#[test]
fn run_fails_when_the_run_does() {
    let place = Place::new("failed");
    place.write("a.grl", "rule A { when E.n < 9 then E.n = E.n + 1; }\nrule B { when E.gone then Log(\"x\"); }");
    place.write("f.json", r#"{"E":{"n":5}}"#);
    let run = |more: &[&str]| place.grl(&[&["run", "a.grl", "--facts", "f.json"], more].concat());
    assert_eq!(run(&[]).code, 0);
    let done = run(&["--max-cycle", "2"]);
    assert_eq!(
        (done.code, &done.json()["fired"], &done.json()["facts"]),
        (1, &json!(["A", "A"]), &json!({"E":{"n":7}}))
    );
    let done = run(&["--strict"]);
    assert_eq!((done.code, &done.json()["fired"]), (1, &json!([])));
    assert!(done.json()["error"].as_str().unwrap().contains("rule B: its condition: E.gone has no value"));
}

#[test]
fn json_rules_run_too() {
    let place = Place::new("json");
    place.write("a.json", r#"{"name":"A","when":{"gt":["E.n",1]},"then":[{"set":["E.n",0]}]}"#);
    place.write("f.json", r#"{"E":{"n":5}}"#);
    assert_eq!(place.grl(&["run", "a.json", "--facts", "f.json"]).json()["facts"]["E"]["n"], 0);
    place.write("a.json", r#"{"name":"A","when":{"gt":["E.n"]},"then":[{"call":["Nope"]}]}"#);
    let done = place.grl(&["check", "a.json"]);
    assert!(done.code == 1 && done.out.contains("there is no function Nope"), "{}", done.out);
    assert!(place.grl(&["fmt", "a.json"]).code == 2);
}

#[test]
fn logs_go_to_standard_error() {
    let place = Place::new("log");
    place.write("a.grl", "rule A { when true then Log(\"seen\"); Retract(\"A\"); }");
    place.write("f.json", "{}");
    let done = place.grl(&["run", "a.grl", "--facts", "f.json"]);
    assert_eq!((done.code, done.err.as_str()), (0, "seen\n"));
}

#[test]
fn check_underlines_every_mistake() {
    let place = Place::new("check");
    place.write("a.grl", "rule A { when E.n = 1 then Retrct(\"A\"); }\nrule A { when true then Nope(); }");
    let done = place.grl(&["check", "a.grl"]);
    assert_eq!(done.code, 1);
    assert!(done.out.contains("error: `=` assigns; to compare write ==\n  --> a.grl:1:19\n"), "{}", done.out);
    assert!(done.out.contains("1 | rule A { when E.n = 1 then"), "{}", done.out);
    assert!(
        done.out.contains("there is no function Nope") && done.out.ends_with("2 errors, 0 warnings\n"),
        "{}",
        done.out
    );
    place.write("a.grl", RULE);
    let done = place.grl(&["check", "a.grl"]);
    assert_eq!((done.code, done.out.as_str()), (0, "no mistakes\n"));
}

#[test]
fn fmt_writes_the_one_way() {
    let place = Place::new("fmt");
    place.write("a.grl", RULE);
    let done = place.grl(&["fmt", "--check", "a.grl"]);
    assert_eq!((done.code, done.out.as_str(), place.read("a.grl").as_str()), (1, "a.grl is not formatted\n", RULE));
    assert_eq!(place.grl(&["fmt", "a.grl"]).code, 0);
    let want =
        "rule Big salience 2 {\n    when\n        E.n > 1\n    then\n        E.n = 0;\n        E.hit = true;\n}\n";
    assert_eq!(place.read("a.grl"), want);
    assert_eq!(place.grl(&["fmt", "--check", "a.grl"]).code, 0);
    place.write("a.grl", "rule");
    assert!(place.grl(&["fmt", "a.grl"]).code == 1 && place.read("a.grl") == "rule");
}

#[test]
fn explain_says_why() {
    let place = Place::new("explain");
    place.write("a.grl", "rule A { when E.n > 7 then E.n = 0; }\nrule B { when E.n > 1 then E.n = 0; }");
    place.write("f.json", r#"{"E":{"n":5}}"#);
    let done = place.grl(&["explain", "a.grl", "--facts", "f.json"]);
    assert_eq!(
        done.out,
        "A: did not match: line 1, column 15: E.n > 7 is false (E.n is 5)\nB: matched and fired\n\nfired, in this order: B\n"
    );
    let done = place.grl(&["explain", "a.grl", "--facts", "f.json", "--json"]);
    let first: Value = serde_json::from_str(done.out.lines().next().unwrap()).unwrap();
    assert_eq!(
        first,
        json!({"rule": "A", "matched": false, "fired": 0,
            "firstFalse": {"text": "E.n > 7", "line": 1, "column": 14, "values": {"E.n": 5}, "error": null}})
    );
}

#[test]
fn functions_of_the_host_can_be_declared() {
    let place = Place::new("host");
    place.write("a.grl", "rule A { when E.n > 1 then Drop(\"small\"); Tag(\"x\"); Complete(); }");
    place.write("f.json", r#"{"E":{"n":5}}"#);
    let declared = ["--function", "Drop(text)", "--function", "Tag(text, any?)"];
    assert_eq!(place.grl(&["check", "a.grl"]).code, 1);
    assert_eq!(place.grl(&[&["check", "a.grl"][..], &declared].concat()).code, 0);
    let done = place.grl(&[&["run", "a.grl", "--facts", "f.json"][..], &declared].concat());
    assert_eq!((done.code, done.err.as_str()), (0, "A: Drop(\"small\")\nA: Tag(\"x\")\n"));
    assert_eq!(place.grl(&["check", "a.grl", "--eventrunner"]).code, 0);
    for wrong in ["Drop", "Drop(", "Drop(word)", "Tag(any?, text)"] {
        assert_eq!(place.grl(&["check", "a.grl", "--function", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn what_is_not_there_is_an_error_of_its_own() {
    let place = Place::new("missing");
    place.write("a.grl", RULE);
    place.write("f.json", "[1]");
    for arguments in [
        &["run", "b.grl", "--facts", "f.json"][..],
        &["run", "a.grl", "--facts", "g.json"],
        &["run", "a.grl", "--facts", "f.json"],
        &["run", "a.grl"],
        &["check"],
        &["nope"],
    ] {
        let done = place.grl(arguments);
        assert!(done.code == 2 && !done.err.is_empty() && done.out.is_empty(), "{arguments:?} {}", done.err);
    }
}

#[test]
fn help_teaches() {
    let place = Place::new("help");
    let done = place.grl(&["--help"]);
    assert_eq!(done.code, 0);
    for part in ["rule BigOrder", "salience", "Retract(\"BigOrder\")", "grl explain", "\"Event\""] {
        assert!(done.out.contains(part), "{part}");
    }
}
