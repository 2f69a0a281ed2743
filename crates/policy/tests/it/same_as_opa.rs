//! The same questions have the same answers here and from OPA itself.

use er_policy::Limits;
use serde_json::{json, Value};

use crate::support::{evaluator, opa, platform_data, root, vectors};

const MUTANTS: usize = 1_500;

#[test]
fn vectors_are_answered_as_written() {
    let evaluator = evaluator(Limits::default());
    for (group, name, question, expected) in vectors() {
        let decision = evaluator.decide(&question.to_string()).decision;
        assert_eq!(json!({"allow": decision.allow, "reason": decision.reason}), expected, "{group}: {name}");
        assert_eq!(decision.failure, None, "{group}: {name}");
    }
}

#[test]
fn changed_questions_are_answered_as_opa_answers_them() {
    let mut questions: Vec<Value> = vectors().into_iter().map(|(_, _, question, _)| question).collect();
    let mut rng = Rng(seed());
    let values = values(&questions);
    let texts: Vec<Value> = values.iter().filter(|value| value.is_string()).cloned().collect();
    let (vectors, allowed): (Vec<Value>, Vec<Value>) = (questions.clone(), allowed_questions());
    for n in 0..MUTANTS {
        // Half of them from what is allowed, with one text for another: some of those still are.
        let (from, values) = if n % 2 == 0 { (&vectors, &values) } else { (&allowed, &texts) };
        let mut question = from[rng.below(from.len())].clone();
        for _ in 0..=rng.below(2) {
            mutate(&mut question, values, &mut rng);
        }
        questions.push(question);
    }
    let expected = asked_of_opa(&questions);
    assert_eq!(expected.len(), questions.len(), "OPA leaves a question without an answer");
    let evaluator = evaluator(Limits::default());
    let (known, mut allowed) = (allowed.len(), 0);
    for (question, expected) in questions.iter().zip(expected) {
        let decision = evaluator.decide(&question.to_string()).decision;
        assert_eq!(json!({"allow": decision.allow, "reason": decision.reason}), expected, "{question}");
        allowed += usize::from(decision.allow);
    }
    // Or it would have been about denials only.
    assert!(allowed > known && allowed < questions.len() / 2, "{allowed} of {}", questions.len());
}

fn allowed_questions() -> Vec<Value> {
    vectors()
        .into_iter()
        .filter(|(.., decision)| decision["allow"] == true)
        .map(|(_, _, question, _)| question)
        .collect()
}

fn asked_of_opa(questions: &[Value]) -> Vec<Value> {
    let dir = tempfile::tempdir().unwrap();
    let (data, asked) = (dir.path().join("data.json"), dir.path().join("questions.json"));
    std::fs::write(&data, platform_data().to_string()).unwrap();
    std::fs::write(&asked, json!({ "questions": questions }).to_string()).unwrap();
    let output = opa()
        .current_dir(root())
        .args(["eval", "--format", "json", "--data", "policies/eventrunner"])
        .arg("--data")
        .arg(data)
        .arg("--data")
        .arg(asked)
        .arg("[answer | some question in data.questions; answer := data.eventrunner.decision with input as question]")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["result"][0]["expressions"][0]["value"].as_array().unwrap().clone()
}

/// Every scalar of all questions: what fits in one place is tried in others.
fn values(questions: &[Value]) -> Vec<Value> {
    fn collect(value: &Value, into: &mut Vec<Value>) {
        match value {
            Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
            Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
            scalar => into.push(scalar.clone()),
        }
    }
    let mut all = vec![json!({}), json!([]), json!(""), json!("*"), json!(1.5), json!(true), json!("ä\u{0}\"\\")];
    questions.iter().for_each(|question| collect(question, &mut all));
    all
}

/// Changes or removes one thing somewhere.
fn mutate(value: &mut Value, values: &[Value], rng: &mut Rng) {
    match value {
        Value::Object(fields) if !fields.is_empty() && rng.below(8) > 0 => {
            let key = fields.keys().nth(rng.below(fields.len())).unwrap().clone();
            if rng.below(4) == 0 {
                fields.remove(&key);
            } else {
                mutate(&mut fields[&key], values, rng);
            }
        }
        Value::Array(items) if !items.is_empty() && rng.below(8) > 0 => {
            let index = rng.below(items.len());
            mutate(&mut items[index], values, rng);
        }
        other => *other = values[rng.below(values.len())].clone(),
    }
}

/// SplitMix64; ER_SEED replays a run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

fn seed() -> u64 {
    let given = std::env::var("ER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into()
    });
    eprintln!("ER_SEED={seed} replays it");
    seed
}
