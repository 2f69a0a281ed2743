//! Each limit from both sides, and what counts after a replacement.

use std::sync::Arc;

use er_policy::{Compiled, Failure, Limits};
use serde_json::json;

use crate::support::{evaluator, platform, platform_data, trial, trial_within};

#[test]
fn a_question_as_long_as_it_may_be_is_answered_and_a_longer_one_is_not() {
    let evaluator = evaluator(Limits { input_bytes_max: 1_000, ..Limits::default() });
    let question = |bytes: usize| format!(r#"{{"kind":"{}"}}"#, "x".repeat(bytes - 11));
    assert_eq!(evaluator.decide(&question(1_000)).decision.failure, None);
    assert_eq!(evaluator.decide(&question(1_001)).decision.failure, Some(Failure::Input));
}

#[test]
fn the_largest_question_of_all_fits_into_the_memory() {
    let evaluator = evaluator(Limits::default());
    let question = json!({"kind": "link", "interfaces": vec!["x"; 16_000]}).to_string();
    assert!(question.len() > 60_000 && question.len() <= Limits::default().input_bytes_max);
    let decision = evaluator.decide(&question).decision;
    assert!(!decision.allow);
    assert_eq!(decision.failure, None, "{}", decision.reason);
}

#[test]
fn a_policy_that_wants_more_memory_than_it_may_have_is_told_from_one_that_takes_long() {
    let huge = r#"decision := {"allow": true, "reason": "x"} if {
        input.kind == "trial"
        count(numbers.range(1, 300000)) == 300000
    }"#;
    let question = r#"{"kind":"trial"}"#;
    let fuel_max = 10_000_000_000;
    let enough = trial_within(huge, Limits { fuel_max, ..Limits::default() }).unwrap();
    assert!(enough.decide(question).decision.allow, "{:?}", enough.decide(question));
    let little = trial_within(huge, Limits { fuel_max, memory_bytes_max: 4 << 20, ..Limits::default() }).unwrap();
    for _ in 0..2 {
        let decision = little.decide(question).decision;
        assert_eq!((decision.allow, decision.failure), (false, Some(Failure::Exhausted)));
        assert!(decision.reason.contains("more memory"), "{}", decision.reason);
    }
}

#[test]
fn a_reason_is_cut_between_characters() {
    let long = r#"decision := {"allow": true, "reason": concat("", ["ä" | some _ in numbers.range(1, 50)])}
        if input.kind == "trial""#
        .replace("\n        ", " ");
    let cut =
        trial_within(&long.replace("[\"ä\" |", "[\"äöü\" |"), Limits { reason_chars_max: 10, ..Limits::default() });
    let decision = cut.unwrap().decide(r#"{"kind":"trial"}"#).decision;
    assert_eq!(decision.reason.chars().count(), 10);
}

#[test]
fn fuel_is_for_one_decision_and_not_for_all_of_them() {
    let evaluator = evaluator(Limits { fuel_max: 500_000, cached_max: 0, ..Limits::default() });
    for n in 0..500 {
        assert_eq!(evaluator.decide(&json!({"kind": "deliver", "n": n}).to_string()).decision.failure, None, "{n}");
    }
}

#[test]
fn what_was_decided_is_remembered_until_it_is_another_revision() {
    let compiled = Compiled::new(platform(), Limits::default()).unwrap();
    let evaluator = er_policy::Evaluator::default();
    evaluator.activate(compiled.with_data(platform_data()).unwrap());
    let question = r#"{"kind":"deliver","tenant":"acme","consumer":{"tenant":"acme","name":"a"},"type":"t"}"#;
    let first = evaluator.decide(question);
    let second = evaluator.decide(question);
    assert!(!first.cached && second.cached);
    assert!(Arc::ptr_eq(&first.decision, &second.decision) && first.decision.allow);
    let before = evaluator.revision();

    let mut data = platform_data();
    data["platform"]["tenants"]["acme"]["suspended"] = json!(true);
    evaluator.activate(compiled.with_data(data).unwrap());
    let third = evaluator.decide(question);
    assert!(!third.cached && !third.decision.allow, "{:?}", third.decision);
    assert_eq!(third.decision.reason, "tenant acme is suspended");
    assert_ne!(third.decision.revision, before);
    assert_eq!(third.decision.revision.split_once('.').unwrap().0, before.split_once('.').unwrap().0);

    // Back, and it is the revision that it was.
    evaluator.activate(compiled.with_data(platform_data()).unwrap());
    assert_eq!(evaluator.revision(), before);
    assert!(evaluator.decide(question).decision.allow);
}

#[test]
fn many_threads_get_the_same_answers_while_policies_are_replaced() {
    let compiled = Compiled::new(platform(), Limits { cached_max: 64, ..Limits::default() }).unwrap();
    let evaluator = er_policy::Evaluator::default();
    evaluator.activate(compiled.with_data(platform_data()).unwrap());
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|thread| {
                let evaluator = &evaluator;
                scope.spawn(move || {
                    for n in 0..2_000 {
                        let own = (n + thread) % 3 > 0;
                        let consumer = if own { "acme" } else { "globex" };
                        let question = json!({"kind": "deliver", "tenant": "acme", "type": format!("t{}", n % 100),
                            "consumer": {"tenant": consumer, "name": "a"}});
                        let decision = evaluator.decide(&question.to_string()).decision;
                        assert_eq!(decision.allow, own, "{decision:?}");
                    }
                })
            })
            .collect();
        while asking.iter().any(|thread| !thread.is_finished()) {
            evaluator.activate(compiled.with_data(platform_data()).unwrap());
        }
    });
    assert!(evaluator.remembered() <= 64);
}

#[test]
fn a_policy_may_format_what_it_says() {
    let evaluator = trial(
        r#"decision := {"allow": true, "reason": sprintf("%d of %s", [7, input.kind])} if input.kind == "trial""#,
    );
    assert_eq!(evaluator.decide(r#"{"kind":"trial"}"#).decision.reason, "7 of trial");
}
