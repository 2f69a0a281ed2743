//! An event is the same event, whether it came in the protobuf format or in the JSON format. A failure prints its seed;
//! `proptest-regressions` replays it.

// Clippy allows these in test functions only, not in the helpers of a test file.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_event::admit::{admit, Admission, Answer};
use er_event::event::{rfc3339_us, split};
use er_event::frame::{Encoding, FrameWriter, Request};
use er_proto::cloudevents::cloud_event::CloudEventAttributeValue;
use er_proto::cloudevents::{CloudEvent, CloudEventBatch};
use er_proto::{json, json_batch, Attr, Data};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::{Any, Timestamp};
use serde_json::{json, Map, Value};

const EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// What admission makes of a body.
fn admitted(content_type: &str, body: &str) -> Admission {
    let mut frame = FrameWriter::new();
    frame.push(&Request {
        id: "request",
        received_us: 1_714_979_289_000_000,
        content_type: Some(content_type.into()),
        encoding: Encoding::Utf8,
        attributes: vec![],
        headers: vec![],
        query: None,
        body,
    });
    admit("acme", &frame.finish()).expect("a good frame")
}

fn events(admission: &Admission) -> Vec<Value> {
    let texts = admission.entries.iter().flat_map(|entry| split(&entry.events).expect("a batch"));
    texts.map(|text| serde_json::from_str(text).expect("an event is JSON")).collect()
}

/// Text without control characters, which attributes may not hold.
fn plain() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9\"\\\\{}/:éü日😀 ]{1,12}"
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\ü]{0,4}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An attribute in both formats.
fn attribute() -> impl Strategy<Value = (Attr, Value)> {
    // The years 1 to 9999, to the microsecond, which is what this test can write by itself.
    let time = -62_135_596_800_000_000_i64..253_402_300_799_000_000;
    prop_oneof![
        any::<bool>().prop_map(|flag| (Attr::CeBoolean(flag), json!(flag))),
        any::<i32>().prop_map(|number| (Attr::CeInteger(number), json!(number))),
        plain().prop_map(|text| (Attr::CeString(text.clone()), json!(text))),
        any::<Vec<u8>>().prop_map(|bytes| (Attr::CeBytes(bytes.clone()), json!(STANDARD.encode(bytes)))),
        "[a-z]{1,8}:/{2}[a-z/?#]{1,8}".prop_map(|uri| (Attr::CeUri(uri.clone()), json!(uri))),
        "[a-z/.]{1,8}".prop_map(|uri| (Attr::CeUriRef(uri.clone()), json!(uri))),
        time.prop_map(|us| {
            let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).expect("less than a second");
            (Attr::CeTimestamp(Timestamp { seconds: us.div_euclid(1_000_000), nanos }), json!(rfc3339_us(us)))
        }),
    ]
}

/// Data in both formats: its content type, the field, and what JSON holds.
fn data() -> impl Strategy<Value = (Option<&'static str>, Option<Data>, Map<String, Value>)> {
    let of = |name: &str, value: Value| Map::from_iter([(name.to_string(), value)]);
    prop_oneof![
        Just((None, None, Map::new())),
        (
            value(),
            prop::sample::select(vec![None, Some("application/json"), Some("application/vnd.a+json")]),
            any::<bool>()
        )
            .prop_map(move |(value, content_type, pretty)| {
                let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
                (content_type, Some(Data::TextData(text.expect("JSON"))), of("data", value))
            }),
        any::<String>().prop_map(move |text| (
            Some("text/plain"),
            Some(Data::TextData(text.clone())),
            of("data", json!(text))
        )),
        (any::<Vec<u8>>(), prop::sample::select(vec![None, Some("image/png")])).prop_map(
            move |(bytes, content_type)| {
                let text = STANDARD.encode(&bytes);
                (content_type, Some(Data::BinaryData(bytes)), of("data_base64", json!(text)))
            }
        ),
    ]
}

/// An event in the protobuf format, and what any JSON library would make of it.
fn both() -> impl Strategy<Value = (CloudEvent, Value)> {
    let names = prop::sample::select(vec!["a", "traceparent", "ext1", "partitionkey", "subject"]);
    let extensions = prop::collection::btree_map(names, attribute(), 0..4);
    ("[a-zA-Z0-9\"\\\\-]{1,10}", "/[a-z\"\\\\/]{1,8}", "[a-z.\"]{1,8}", extensions, data()).prop_map(
        |(id, source, event_type, extensions, (content_type, data, members))| {
            let mut json = members;
            let mut attributes = BTreeMap::new();
            let known = [("subject", false), ("partitionkey", false)];
            for (name, (attr, value)) in extensions {
                // These two are strings, and never empty.
                if known.contains(&(name, value.as_str().is_some_and(|text| !text.is_empty()))) {
                    continue;
                }
                attributes.insert(name.to_string(), CloudEventAttributeValue { attr: Some(attr) });
                json.insert(name.to_string(), value);
            }
            if let Some(content_type) = content_type {
                let attr = Some(Attr::CeString(content_type.to_string()));
                attributes.insert("datacontenttype".to_string(), CloudEventAttributeValue { attr });
                json.insert("datacontenttype".to_string(), json!(content_type));
            }
            for (name, value) in [("specversion", "1.0"), ("id", &id), ("source", &source), ("type", &event_type)] {
                json.insert(name.to_string(), json!(value));
            }
            let event = CloudEvent { id, source, spec_version: "1.0".into(), r#type: event_type, attributes, data };
            (event, Value::Object(json))
        },
    )
}

/// Whatever a client may send.
fn anything() -> impl Strategy<Value = CloudEvent> {
    let attr = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(Attr::CeString(text))),
        (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Some(Attr::CeTimestamp(Timestamp { seconds, nanos }))),
        attribute().prop_map(|(attr, _)| Some(attr)),
    ];
    let name = prop_oneof![
        any::<String>(),
        prop::sample::select(vec!["id", "time", "data", "data_base64", "datacontenttype", "specversion"])
            .prop_map(str::to_string),
    ];
    let hostile = "(1|\"x\")?[,}\\]{\\[]{0,3}(\"id\":\"2\")?[}\\]]{0,2}";
    let data = prop_oneof![
        Just(None),
        any::<String>().prop_map(|text| Some(Data::TextData(text))),
        hostile.prop_map(|text| Some(Data::TextData(text))),
        hostile.prop_map(|text| Some(Data::BinaryData(text.into_bytes()))),
        any::<Vec<u8>>().prop_map(|bytes| Some(Data::BinaryData(bytes))),
        (any::<String>(), any::<Vec<u8>>())
            .prop_map(|(type_url, value)| Some(Data::ProtoData(Any { type_url, value }))),
    ];
    let text = || prop_oneof![any::<String>(), plain()];
    let version = prop_oneof![Just("1.0".to_string()), any::<String>()];
    (text(), text(), version, text(), prop::collection::btree_map(name, attr, 0..3), data).prop_map(
        |(id, source, spec_version, event_type, attributes, data)| CloudEvent {
            id,
            source,
            spec_version,
            r#type: event_type,
            attributes: attributes.into_iter().map(|(name, attr)| (name, CloudEventAttributeValue { attr })).collect(),
            data,
        },
    )
}

proptest! {
    #[test]
    fn an_event_is_the_same_in_both_formats((event, wanted) in both()) {
        let bytes = event.encode_to_vec();
        let read = CloudEvent::decode(bytes.as_slice()).expect("what was written");
        let ours = admitted(EVENT, &json(&read).expect("a good event"));
        let theirs = admitted(EVENT, &wanted.to_string());
        prop_assert_eq!(&ours.answers, &theirs.answers);
        prop_assert!(matches!(&ours.answers[..], [Answer::Ids(ids)] if *ids == [event.id.clone()]), "{:?}", ours.answers);
        prop_assert_eq!(events(&ours), events(&theirs));
        let keys = |admission: &Admission| admission.entries.iter().map(|entry| entry.partition).collect::<Vec<_>>();
        prop_assert_eq!(keys(&ours), keys(&theirs));
    }

    #[test]
    fn a_batch_is_its_events_in_order(all in prop::collection::vec(both(), 0..8)) {
        let batch = CloudEventBatch { events: all.iter().map(|(event, _)| event.clone()).collect() };
        let read = CloudEventBatch::decode(batch.encode_to_vec().as_slice()).expect("what was written");
        let ours = admitted(BATCH, &json_batch(&read.events).expect("good events"));
        let theirs = admitted(BATCH, &Value::from_iter(all.iter().map(|(_, json)| json.clone())).to_string());
        prop_assert_eq!(&ours.answers, &theirs.answers);
        prop_assert_eq!(events(&ours), events(&theirs));
    }

    #[test]
    fn no_event_says_more_than_one_event(event in anything()) {
        let Ok(text) = json(&event) else { return Ok(()) };
        let read: BTreeMap<String, Value> = serde_json::from_str(&text).expect("an object");
        // Every member is a field or an attribute, or was told by a message of another schema.
        for name in read.keys() {
            let known = ["specversion", "id", "source", "type", "data", "data_base64", "datacontenttype", "dataschema"];
            prop_assert!(known.contains(&name.as_str()) || event.attributes.contains_key(name), "{name} in {text}");
        }
        let given = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
        prop_assert_eq!([given("id"), given("source"), given("type"), given("specversion")],
            [event.id.clone(), event.source.clone(), event.r#type.clone(), event.spec_version.clone()]);
        let batch = json_batch(&[event.clone(), event]).expect("it went well alone");
        prop_assert_eq!(serde_json::from_str::<Vec<Value>>(&batch).expect("an array").len(), 2);
    }
}
