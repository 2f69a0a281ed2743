//! Requests and what becomes of them, held in `vectors/*.json`: whoever writes a client can read them too.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use er_event::admit::{admit, Answer};
use er_event::event::{parse_batch, split, time_us};
use er_event::frame::{Encoding, FrameWriter, Request};
use er_event::normalize::{normalize, Mappings};
use serde_json::Value;

/// 2024-05-06T07:08:09Z.
const RECEIVED_US: u64 = 1_714_979_289_000_000;

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("vectors are JSON")
}

fn frame(vector: &Value) -> String {
    let pairs = |key: &str| -> Vec<(String, String)> {
        vector.get(key).map_or(vec![], |pairs| serde_json::from_value(pairs.clone()).expect("pairs"))
    };
    let text = |key: &str| vector.get(key).and_then(Value::as_str);
    let mut writer = FrameWriter::new();
    writer.push(&Request {
        id: "req-1",
        received_us: RECEIVED_US,
        content_type: text("type").map(Into::into),
        encoding: if text("body_base64").is_some() { Encoding::Base64 } else { Encoding::Utf8 },
        attributes: pairs("ce"),
        headers: pairs("head"),
        query: text("query").map(str::to_owned),
        body: text("body").or(text("body_base64")).expect("a body"),
    });
    writer.finish()
}

fn hold(file: &str) {
    for vector in vectors(file) {
        let name = &vector["name"];
        let admission = admit("acme", &frame(&vector)).expect("a good frame");
        assert_eq!(admission.answers.len(), 1);
        match &admission.answers[0] {
            Answer::Ids(ids) => {
                let wanted = vector.get("events").unwrap_or_else(|| panic!("{name}: admitted"));
                let texts: Vec<&str> =
                    admission.entries.iter().flat_map(|entry| split(&entry.events).expect("a batch")).collect();
                let events: Vec<Value> = texts.iter().map(|raw| serde_json::from_str(raw).expect("JSON")).collect();
                assert_eq!(&Value::from(events.clone()), wanted, "{name}");
                assert_eq!(
                    ids.iter().map(String::as_str).collect::<Vec<_>>(),
                    events.iter().map(|event| event["id"].as_str().expect("id")).collect::<Vec<_>>()
                );
                for raw in &texts {
                    er_event::json::check(raw).unwrap_or_else(|fault| panic!("{name}: {fault}"));
                    assert!(time_us(er_event::EventRef::parse(raw).expect("an event").time.as_deref().expect("time"))
                        .is_some());
                }
                if let Some(verbatim) = vector.get("verbatim").and_then(Value::as_str) {
                    assert!(texts[0].contains(verbatim), "{name}: {}", texts[0]);
                }
            }
            Answer::Problem(problem) => {
                let wanted = vector.get("problem").unwrap_or_else(|| panic!("{name}: refused: {problem}"));
                let json: Value = serde_json::from_str(&problem.to_json()).expect("JSON");
                assert_eq!(problem.kind.slug(), wanted["slug"], "{name}: {json}");
                assert_eq!(json["status"], wanted["status"], "{name}");
                for (key, got) in
                    [("event", &json["event"]), ("line", &json["at"]["line"]), ("column", &json["at"]["column"])]
                {
                    assert!(wanted.get(key).is_none_or(|wanted| wanted == got), "{name}: {key} in {json}");
                }
                for (key, got) in [
                    ("says", &problem.detail),
                    ("mend", problem.mend.as_ref().unwrap_or_else(|| panic!("{name}: no mend"))),
                ] {
                    let part = wanted.get(key).and_then(Value::as_str).unwrap_or_default();
                    assert!(got.contains(part), "{name}: {got}");
                }
                assert!(admission.entries.is_empty(), "{name}");
            }
        }
    }
}

#[test]
fn binary_mode_does_what_its_vectors_say() {
    hold(include_str!("vectors/binary.json"));
}

#[test]
fn structured_and_batch_mode_do_what_their_vectors_say() {
    hold(include_str!("vectors/structured.json"));
}

#[test]
fn raw_json_does_what_its_vectors_say() {
    hold(include_str!("vectors/raw.json"));
}

#[test]
fn normalization_does_what_its_vectors_say() {
    let maps = Mappings::builtin();
    for mut vector in vectors(include_str!("vectors/normalize.json")) {
        let name = vector["name"].to_string();
        vector["type"] = "application/json".into();
        let admission = admit("acme", &frame(&vector)).expect("a good frame");
        assert_eq!(admission.entries.len(), 1, "{name}: {:?}", admission.answers);
        let normalized = normalize(&maps, "acme", &admission.entries[0].events).expect("a batch");
        let events: Value = serde_json::from_str(&normalized.events).expect("JSON");
        match vector.get("rejected").and_then(Value::as_str) {
            Some(reason) => assert_eq!(
                (events, normalized.rejected),
                (Value::Array(vec![]), vec![(0, reason.to_owned())]),
                "{name}"
            ),
            None => {
                assert_eq!(events[0], vector["event"], "{name}");
                let body = vector["body"].as_str().expect("a body");
                assert_eq!(parse_batch(&normalized.events).expect("events")[0].data, Some(body), "{name}");
            }
        }
    }
}
