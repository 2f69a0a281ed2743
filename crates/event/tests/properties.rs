//! What must hold for any input. A failure prints its seed; `proptest-regressions` replays it.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use base64::Engine;
use er_event::admit::{admit, admit_emitted, Answer};
use er_event::event::{self, parse_batch, split, BatchWriter, EventRef};
use er_event::frame::{self, Encoding, FrameWriter, Request};
use er_event::json::{self, Pointers, What};
use er_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use er_event::normalize::{normalize, Mappings};
use proptest::prelude::*;
use serde_json::Value;

/// Text of characters that break things.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\"\\\\{}\\[\\],:a \n\u{0}\u{1f}\u{7f}é\u{85}😀]{0,12}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        awkward().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((prop_oneof![awkward(), "[a-c0-2]{0,2}"], inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// JSON with blanks where they may be.
fn text() -> impl Strategy<Value = String> {
    (value(), any::<bool>()).prop_map(|(value, pretty)| {
        if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.expect("JSON")
    })
}

/// JSON, and JSON with something wrong.
fn nearly() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"b\"",
        "\\",
        "\\u",
        "d800",
        "\\ud83d\\ude00",
        "0",
        "1",
        "-",
        ".",
        "e",
        "+",
        "true",
        "false",
        "null",
        " ",
        "\n",
        "é",
        "\u{1}",
    ]);
    prop_oneof![
        text(),
        (text(), any::<prop::sample::Index>(), "[\\PC]").prop_map(|(mut text, at, with)| {
            let at = text.char_indices().map(|(at, _)| at).nth(at.index(text.chars().count())).unwrap_or(0);
            text.insert_str(at, &with);
            text
        }),
        (text(), any::<prop::sample::Index>()).prop_map(|(mut text, at)| {
            let at = text.char_indices().map(|(at, _)| at).nth(at.index(text.chars().count())).unwrap_or(0);
            text.remove(at);
            text
        }),
        prop::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

type Pairs = Vec<(String, String)>;

/// Id, content type, whether the attributes are sent, attributes, headers, query, body.
fn request() -> impl Strategy<Value = (String, Option<String>, bool, Pairs, Pairs, Option<String>, Vec<u8>)> {
    let types = prop::sample::select(vec![
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
        "text/plain",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "nonsense",
    ]);
    let event = r#"\{"specversion":"1.0","id":"[a-z]{0,2}","source":"/[a-z ]{0,2}","type":"t"(,"time":(null|"x"|"2024-01-01T00:00:00Z"))?(,"data":[0-9]{1,2})?\}"#;
    let body = prop_oneof![
        nearly().prop_map(String::into_bytes),
        event.prop_map(String::into_bytes),
        prop::collection::vec(event, 0..4).prop_map(|events| format!("[{}]", events.join(",")).into_bytes()),
        any::<Vec<u8>>(),
    ];
    let name = prop::sample::select(vec!["specversion", "id", "source", "type", "time", "ext", "Bad-Name", "data"]);
    let attribute = prop_oneof![Just("1.0".to_owned()), "[a-z%0-9\"\\\\]{0,5}", awkward()];
    let header = prop::sample::select(vec!["x-github-event", "x-github-delivery", "idempotency-key", "x-a"]);
    (
        "[A-Z0-9]{1,26}",
        prop::option::of(types.prop_map(str::to_owned)),
        any::<bool>(),
        prop::collection::vec((name.prop_map(str::to_owned), attribute), 0..6),
        prop::collection::vec((header.prop_map(str::to_owned), awkward()), 0..3),
        prop::option::of(awkward()),
        body,
    )
}

proptest! {
    #[test]
    fn check_agrees_with_serde_json(text in nearly()) {
        let ours = json::check(&text);
        let theirs = serde_json::from_str::<Value>(&text);
        match (&ours, &theirs) {
            (Err(fault), Ok(_)) => prop_assert!(matches!(fault.what, What::DuplicateKey(_) | What::TooDeep), "{fault}"),
            (Ok(()), Err(error)) => prop_assert!(error.to_string().starts_with("number out of range"), "{error}"),
            _ => {}
        }
        if let Err(fault) = ours {
            prop_assert!(fault.offset <= text.len() && text.is_char_boundary(fault.offset));
            prop_assert_eq!(fault.line as usize, 1 + text[..fault.offset].matches('\n').count());
        }
    }

    #[test]
    fn lookup_agrees_with_serde_json(text in text(), pointers in prop::collection::vec("(/([a-c0-2]{0,2}|~0|~1|é)){0,3}", 1..5)) {
        let value: Value = serde_json::from_str(&text).expect("JSON");
        for (pointer, found) in pointers.iter().zip(json::lookup(&text, &Pointers::new(&pointers))) {
            let found = found.map(|raw| serde_json::from_str::<Value>(raw).expect("JSON"));
            prop_assert_eq!(found.as_ref(), value.pointer(pointer), "{}", pointer);
        }
    }

    #[test]
    fn strings_read_back_as_written(text in awkward()) {
        let mut raw = String::new();
        json::write_string(&mut raw, &text);
        let read = json::string(&raw);
        prop_assert_eq!(read.as_deref(), Some(text.as_str()));
        prop_assert_eq!(serde_json::from_str::<String>(&raw).expect("JSON"), text);
    }

    #[test]
    fn any_values_split_as_they_were_joined(texts in prop::collection::vec(text(), 0..8)) {
        let mut batch = BatchWriter::new();
        for text in &texts {
            batch.push(text);
        }
        let bytes = batch.bytes();
        let batch = batch.finish();
        prop_assert_eq!(batch.len(), bytes);
        prop_assert_eq!(split(&batch).expect("a batch"), texts);
    }

    #[test]
    fn an_event_shows_what_serde_json_sees(id in awkward(), source in awkward(), ext in awkward(), data in text()) {
        let quote = |text: &str| serde_json::to_string(text).expect("JSON");
        let raw = format!(r#" {{"id":{},"data":{data},"source":{}, "type":"t"}} "#, quote(&id), quote(&source));
        let event = EventRef::parse(&raw).expect("an event");
        prop_assert_eq!((&*event.id, &*event.source, &*event.event_type, event.data), (&*id, &*source, "t", Some(&*data)));
        let more = event::with_extension(&event::with_extension(&raw, "ext", "x"), "ext", &ext);
        let value: Value = serde_json::from_str(&more).expect("JSON");
        prop_assert_eq!(value["ext"].as_str(), Some(&*ext));
        let found = EventRef::parse(&more).expect("an event").extension("ext");
        prop_assert_eq!(found.as_deref(), Some(&*ext));
        prop_assert_eq!(&value["data"], &serde_json::from_str::<Value>(&data).expect("JSON"));
    }

    #[test]
    fn times_read_back(us in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
        prop_assert_eq!(event::time_us(&event::rfc3339_us(us)), Some(us));
    }

    #[test]
    fn any_text_is_a_time_or_not(text in prop_oneof![any::<String>(), "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"]) {
        if let Some(us) = event::time_us(&text) {
            // Offsets can lead out of the years that four digits can say.
            let again = event::time_us(&event::rfc3339_us(us)).expect("a time");
            prop_assert!(again == us || text.starts_with("0000-01-01") || text.starts_with("9999-12-31"));
        }
    }

    #[test]
    fn reading_never_panics(text in nearly()) {
        let _ = (split(&text), parse_batch(&text), EventRef::parse(&text).map(|event| event.extension("a").is_some()));
        let _ = (json::lookup(&text, &Pointers::new(["/a/b", "/0", "/a", ""])), json::string(&text));
        let _ = (event::with_extension(&text, "a", "b"), frame::read(&text), admit("t", &text));
        let _ = (er_event::dead::read_dead(&text), er_event::dead::DeadLetter::parse(&text), er_event::Problem::from_json(&text));
        let _ = normalize(&Mappings::builtin(), "t", &text.replace("\"t\"", "\"io.eventrunner.raw\""));
        let _ = Mappings::from_json(&text);
    }

    #[test]
    fn admission_takes_whole_requests_and_only_good_events(requests in prop::collection::vec(request(), 0..6)) {
        let mut writer = FrameWriter::new();
        let bodies: Vec<(String, Encoding)> = requests
            .iter()
            .map(|(.., body)| match std::str::from_utf8(body) {
                Ok(text) => (text.to_owned(), Encoding::Utf8),
                Err(_) => (base64::engine::general_purpose::STANDARD.encode(body), Encoding::Base64),
            })
            .collect();
        let all: Vec<Request<'_>> = requests
            .iter()
            .zip(&bodies)
            .map(|((id, content_type, with_attributes, attributes, headers, query, _), (body, encoding))| Request {
                id,
                received_us: 1,
                content_type: content_type.as_deref().map(Into::into),
                encoding: *encoding,
                attributes: if *with_attributes { attributes.clone() } else { vec![] },
                headers: headers.clone(),
                query: query.clone(),
                body,
            })
            .collect();
        all.iter().for_each(|request| writer.push(request));
        let frames = writer.finish();
        prop_assert_eq!(&frame::read(&frames).expect("frames"), &all);
        let admission = admit("acme", &frames).expect("frames");
        prop_assert_eq!(&admission, &admit("acme", &frames).expect("frames"));
        prop_assert_eq!(admission.answers.len(), all.len());
        json::check(&admission.answers_json()).expect("JSON");
        let mut events = 0;
        for entry in &admission.entries {
            json::check(&entry.events).or_else(|fault| if fault.what == What::TooDeep { Ok(()) } else { Err(fault) }).expect("JSON");
            prop_assert!(entry.events.len() <= BATCH_BYTES_MAX);
            for event in parse_batch(&entry.events).expect("events") {
                prop_assert!(!event.id.is_empty() && !event.source.is_empty() && !event.event_type.is_empty());
                prop_assert!(event.time.as_deref().and_then(event::time_us).is_some());
                prop_assert_eq!(event::partition_of("acme", &event) % 16, entry.partition);
                events += 1;
            }
            let normalized = normalize(&Mappings::builtin(), "acme", &entry.events).expect("a batch");
            let kept = split(&normalized.events).expect("a batch").len();
            prop_assert_eq!(kept + normalized.rejected.len(), split(&entry.events).expect("a batch").len());
        }
        let ids: usize = admission.answers.iter().map(|answer| if let Answer::Ids(ids) = answer { ids.len() } else { 0 }).sum();
        prop_assert_eq!(ids, events);
    }

    #[test]
    fn emitted_events_say_who_emitted_them(ids in prop::collection::vec("[a-c]{1,3}", 0..20), emitter in awkward(), hop in any::<u32>()) {
        let events: Vec<String> = ids.iter().map(|id| format!(r#"{{"id":"{id}","source":"/{id}","type":"t","erhop":7,"time":null}}"#)).collect();
        let batch = format!("[{}]", events.join(","));
        let (entries, count) = admit_emitted("acme", &batch, &emitter, hop, 0).expect("emitted");
        prop_assert_eq!(count, ids.len());
        let mut seen = 0;
        for entry in &entries {
            for event in parse_batch(&entry.events).expect("events") {
                json::check(event.raw).expect("JSON");
                let found = ["eremitter", "erhop", "specversion"].map(|name| event.extension(name));
                let hop = hop.to_string();
                let wanted = [emitter.as_str(), hop.as_str(), "1.0"].map(Some);
                prop_assert_eq!(found.each_ref().map(|value| value.as_deref()), wanted);
                prop_assert_eq!(event.time.as_deref(), Some("1970-01-01T00:00:00Z"));
                seen += 1;
            }
        }
        prop_assert_eq!(seen, count);
    }
}

#[test]
fn a_batch_over_the_limit_of_events_is_refused_and_at_the_limit_is_not() {
    let event = r#"{"specversion":"1.0","id":"a","source":"/s","type":"t"}"#;
    let answer = |count: usize| {
        let body = format!("[{}]", vec![event; count].join(","));
        let mut writer = FrameWriter::new();
        writer.push(&Request {
            id: "1",
            received_us: 1,
            content_type: Some("application/cloudevents-batch+json".into()),
            encoding: Encoding::Utf8,
            attributes: vec![],
            headers: vec![],
            query: None,
            body: &body,
        });
        admit("acme", &writer.finish()).expect("frames").answers.remove(0)
    };
    assert!(matches!(answer(BATCH_EVENTS_MAX), Answer::Ids(ids) if ids.len() == BATCH_EVENTS_MAX));
    assert!(
        matches!(answer(BATCH_EVENTS_MAX + 1), Answer::Problem(problem) if problem.kind.slug() == "too-many-events")
    );
}
