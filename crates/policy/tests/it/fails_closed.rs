//! Each way to have no decision denies, says why, and is not remembered.

use er_policy::{Bundle, Compiled, Error, Evaluator, Failure, Limits};

use crate::support::{evaluator, pack, platform, platform_data, trial};

const TRIAL: &str = r#"{"kind":"trial"}"#;

#[test]
fn whatever_goes_wrong_is_a_denial_with_its_reason() {
    let endless = r#"decision := {"allow": true, "reason": "x"} if {
        input.kind == "trial"
        count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a == b]) > 0
    }"#;
    let huge = r#"decision := {"allow": true, "reason": "x"} if {
        input.kind == "trial"
        count(numbers.range(1, 100000000)) > 0
    }"#;
    let calls_out = r#"decision := {"allow": true, "reason": "x"} if {
        input.kind == "trial"
        http.send({"method": "GET", "url": "http://127.0.0.1:1"}).status_code == 200
    }"#;
    for (what, policy, failure, says) in [
        ("endless", endless, Failure::Exhausted, "instructions"),
        ("huge", huge, Failure::Exhausted, "than it may"),
        ("calls out", calls_out, Failure::Trapped, ""),
        (
            "undefined",
            r#"decision := {"allow": true, "reason": "x"} if input.kind == 7"#,
            Failure::Undefined,
            "no answer",
        ),
        ("a boolean", r#"decision := true if input.kind == "trial""#, Failure::Output, "answer is none"),
        ("no reason", r#"decision := {"allow": true} if input.kind == "trial""#, Failure::Output, "`reason`"),
        (
            "a text for yes",
            r#"decision := {"allow": "true", "reason": "x"} if input.kind == "trial""#,
            Failure::Output,
            "boolean",
        ),
        (
            "more than was asked",
            r#"decision := {"allow": true, "reason": "x", "allow_all": true} if input.kind == "trial""#,
            Failure::Output,
            "allow_all",
        ),
    ] {
        let evaluator = trial(policy);
        for round in 0..3 {
            let asked = std::time::Instant::now();
            let answer = evaluator.decide(TRIAL);
            eprintln!("{what}: denied after {:?}", asked.elapsed());
            assert!(!answer.decision.allow, "{what}");
            assert_eq!(answer.decision.failure, Some(failure), "{what}: {}", answer.decision.reason);
            assert!(answer.decision.reason.contains(says), "{what}: {}", answer.decision.reason);
            assert!(!answer.cached, "{what}, round {round}");
            assert_eq!(answer.decision.revision, evaluator.revision());
            // It goes on deciding what it can.
            assert_eq!(evaluator.decide(&format!(r#"{{"n":{round}}}"#)).decision.reason, "no", "{what}");
        }
    }
}

#[test]
fn nothing_is_allowed_before_a_policy_is_loaded() {
    let evaluator = Evaluator::default();
    let decision = evaluator.decide(TRIAL).decision;
    assert_eq!((decision.allow, decision.failure), (false, Some(Failure::NotLoaded)));
    assert_eq!(&*decision.revision, "");
}

#[test]
fn a_failure_outside_is_a_denial_of_the_revision_that_counts() {
    let evaluator = evaluator(Limits::default());
    for failure in Failure::ALL {
        let decision = evaluator.failed(failure, "so it is").decision;
        assert!(!decision.allow && decision.reason.ends_with("so it is"));
        assert_eq!((decision.failure, &decision.revision), (Some(failure), &evaluator.revision()));
        let label = serde_json::to_value(failure).unwrap();
        assert_eq!(label, failure.as_str());
    }
}

#[test]
fn an_unknown_tenant_is_denied_by_the_policy() {
    let question = r#"{"kind":"deliver","tenant":"nobody","consumer":{"tenant":"nobody","name":"x"},"type":"t"}"#;
    let decision = evaluator(Limits::default()).decide(question).decision;
    assert_eq!((decision.allow, decision.failure), (false, None));
    assert_eq!(decision.reason, "tenant nobody is unknown");
}

#[test]
fn what_is_no_bundle_is_refused_with_the_reason() {
    let limits = Limits::default();
    let read = |packed: &[u8]| Bundle::read(packed, &limits).unwrap_err().to_string();
    assert!(read(b"").contains("can't be read"));
    assert!(read(b"not packed").contains("can't be read"));
    let packed = pack(r#"decision := {"allow": false, "reason": "no"}"#, "{}");
    assert!(read(&packed[..packed.len() / 2]).contains("can't be read"));
    let small = Limits { bundle_bytes_max: 1_000, ..limits };
    let error = Bundle::read(&packed, &small).unwrap_err();
    assert_eq!(error, Error::TooLarge { what: "content", max: 1_000 });
}

#[test]
fn what_does_not_compile_is_refused() {
    let mut bundle = platform().clone();
    let limits = Limits::default();
    let wasm = "decision = this is not Wasm";
    bundle = with_wasm(&bundle, wasm.as_bytes());
    assert!(matches!(Compiled::new(&bundle, limits), Err(Error::Compile(_))));
    // An empty module, which is Wasm and no policy.
    bundle = with_wasm(&bundle, b"\0asm\x01\0\0\0");
    let error = Compiled::new(&bundle, limits).unwrap().with_data(serde_json::json!({})).unwrap_err();
    assert!(matches!(error, Error::Start(_)), "{error}");
}

#[test]
fn a_policy_with_a_builtin_that_is_not_given_does_not_start() {
    // A decision that depends on the clock could not be remembered.
    let clock = r#"decision := {"allow": time.now_ns() > 0, "reason": "x"}"#;
    let limits = Limits::default();
    let bundle = Bundle::read(&pack(clock, "{}"), &limits).unwrap();
    let error = Compiled::new(&bundle, limits).unwrap().with_data(bundle.data.clone()).unwrap_err();
    assert!(matches!(&error, Error::Start(reason) if reason.contains("builtin")), "{error}");
}

#[test]
fn a_policy_that_fails_its_self_test_is_refused() {
    let limits = Limits::default();
    let refused = |rego: &str, data: &str| {
        let bundle = Bundle::read(&pack(rego, data), &limits).unwrap();
        match Compiled::new(&bundle, limits).unwrap().with_data(bundle.data.clone()) {
            Err(Error::SelfTest { case, .. }) => case,
            other => panic!("{other:?}"),
        }
    };
    let (yes, no) = (r#"decision := {"allow": true, "reason": "x"}"#, r#"decision := {"allow": false, "reason": "x"}"#);
    assert_eq!(refused(yes, "{}"), "nothing is not allowed");
    assert_eq!(
        refused(r#"decision := {"allow": false, "reason": "x"} if input.kind"#, "{}"),
        "every question has an answer"
    );
    let cases = r#"{"selftest":{"cases":[{"name":"in","input":{"kind":"x"},"allow":true}]}}"#;
    assert_eq!(refused(no, cases), "in");
    assert_eq!(refused(no, r#"{"selftest":{"cases":[{"name":"in"}]}}"#), "the cases can be read");
}

#[test]
fn a_policy_that_locks_everybody_out_is_refused() {
    let compiled = Compiled::new(platform(), Limits::default()).unwrap();
    let mut data = platform_data();
    data["platform"]["roles"] = serde_json::json!({});
    let error = compiled.with_data(data).unwrap_err();
    assert!(error.to_string().contains("operators are not locked out"), "{error}");
}

fn with_wasm(bundle: &Bundle, wasm: &[u8]) -> Bundle {
    let mut files = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let manifest = format!(r#"{{"wasm":[{{"entrypoint":"{}","module":"/policy.wasm"}}]}}"#, bundle.entrypoint);
    for (name, content) in [("policy.wasm", wasm), (".manifest", manifest.as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        files.append_data(&mut header, name, content).unwrap();
    }
    Bundle::read(&files.into_inner().unwrap().finish().unwrap(), &Limits::default()).unwrap()
}
