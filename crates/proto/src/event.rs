//! An event of the protobuf format as JSON text, written straight from the message.
//!
//! What is checked here is what JSON could not say, or would say otherwise; everything else is admission's affair, which
//! reads the text like that of any other event.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_event::event::rfc3339_us;
use er_event::json::write_string;
use er_event::limits::BATCH_EVENTS_MAX;
use er_event::{Kind, Problem};
use prost_types::Timestamp;

use crate::cloudevents::CloudEvent;
use crate::data;

pub use crate::cloudevents::cloud_event::cloud_event_attribute_value::Attr;
pub use crate::cloudevents::cloud_event::Data;

/// Members that are no entries of `attributes`.
const FIELDS: [&str; 6] = ["id", "source", "specversion", "type", "data", "data_base64"];
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, as protobuf bounds its timestamps.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Room for what an event has besides its data.
const ATTRIBUTES_BYTES: usize = 384;

/// The event in the JSON format.
///
/// # Errors
/// What can't be said in it, with the field that holds it.
pub fn json(event: &CloudEvent) -> Result<String, Problem> {
    let mut out = String::with_capacity(data::len(event) + ATTRIBUTES_BYTES);
    write(event, &mut out)?;
    Ok(out)
}

/// Events in the JSON batch format.
///
/// # Errors
/// As [`json`], with the event's place in the batch; and more events than a batch may have.
pub fn json_batch(events: &[CloudEvent]) -> Result<String, Problem> {
    // Before the work, not after it.
    if events.len() > BATCH_EVENTS_MAX {
        return Err(Problem::new(
            Kind::TooManyEvents,
            format!("the batch has {} events, more than {BATCH_EVENTS_MAX}", events.len()),
        )
        .mend("Send it in several requests."));
    }
    let bytes: usize = events.iter().map(|event| data::len(event) + ATTRIBUTES_BYTES).sum();
    let mut out = String::with_capacity(bytes + 2);
    out.push('[');
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(event, &mut out).map_err(|problem| problem.event(index))?;
    }
    out.push(']');
    Ok(out)
}

fn write(event: &CloudEvent, out: &mut String) -> Result<(), Problem> {
    out.push('{');
    // An empty string is how protobuf says that a field is absent.
    let fields =
        [("specversion", &event.spec_version), ("id", &event.id), ("source", &event.source), ("type", &event.r#type)];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        key(out, name);
        write_string(out, value);
    }
    for (name, value) in &event.attributes {
        if FIELDS.contains(&name.as_str()) {
            return Err(wrong(
                name,
                format!("`{name}` is no entry of `attributes`"),
                "Set the event's own field in its place.",
            ));
        }
        key(out, name);
        attribute(out, name, value.attr.as_ref())?;
    }
    data::write(event, out)?;
    out.push('}');
    Ok(())
}

/// `"name":`, with a comma before it unless it is the first.
pub(crate) fn key(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    write_string(out, name);
    out.push(':');
}

fn attribute(out: &mut String, name: &str, value: Option<&Attr>) -> Result<(), Problem> {
    match value {
        Some(Attr::CeBoolean(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Attr::CeInteger(value)) => out.push_str(&value.to_string()),
        Some(Attr::CeString(value) | Attr::CeUri(value) | Attr::CeUriRef(value)) => write_string(out, value),
        Some(Attr::CeBytes(value)) => {
            out.push('"');
            STANDARD.encode_string(value, out);
            out.push('"');
        }
        Some(Attr::CeTimestamp(value)) => {
            let text = timestamp(value).ok_or_else(|| {
                wrong(
                    name,
                    format!("`{name}` is no time: {} s and {} ns", value.seconds, value.nanos),
                    "Send a time of the years 1 to 9999, with 0 to 999,999,999 nanoseconds.",
                )
            })?;
            write_string(out, &text);
        }
        None => {
            return Err(wrong(
                name,
                format!("`{name}` has no value"),
                "Set one of its `ce_` fields, or leave the entry out.",
            ))
        }
    }
    Ok(())
}

/// RFC 3339, to the nanosecond.
fn timestamp(time: &Timestamp) -> Option<String> {
    if !SECONDS.contains(&time.seconds) || !(0..1_000_000_000).contains(&time.nanos) {
        return None;
    }
    let mut text = rfc3339_us(time.seconds * 1_000_000);
    if time.nanos > 0 {
        text.pop();
        let digits = format!("{:09}", time.nanos);
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
        text.push('Z');
    }
    Some(text)
}

fn wrong(field: &str, detail: String, mend: &str) -> Problem {
    Problem::new(Kind::InvalidEvent, detail).mend(mend).field(field)
}

// === impl CloudEvent ===

impl CloudEvent {
    /// The text of an attribute that is a string of some kind.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)?.attr.as_ref()? {
            Attr::CeString(value) | Attr::CeUri(value) | Attr::CeUriRef(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudevents::cloud_event::CloudEventAttributeValue;

    fn event(attributes: &[(&str, Attr)]) -> CloudEvent {
        CloudEvent {
            id: "1".into(),
            source: "/s".into(),
            spec_version: "1.0".into(),
            r#type: "t".into(),
            attributes: attributes
                .iter()
                .map(|(name, attr)| ((*name).to_string(), CloudEventAttributeValue { attr: Some(attr.clone()) }))
                .collect(),
            data: None,
        }
    }

    fn time(seconds: i64, nanos: i32) -> Attr {
        Attr::CeTimestamp(Timestamp { seconds, nanos })
    }

    #[test]
    fn attributes_of_every_type_become_the_json_of_that_type() {
        let event = event(&[
            ("bool", Attr::CeBoolean(true)),
            ("bytes", Attr::CeBytes(vec![0, 255])),
            ("int", Attr::CeInteger(i32::MIN)),
            ("quoted", Attr::CeString("a \"b\"".into())),
            ("time", time(1_714_979_289, 120_000_000)),
            ("uri", Attr::CeUri("https://example.com/a".into())),
            ("uriref", Attr::CeUriRef("../b".into())),
        ]);
        assert_eq!(
            json(&event).unwrap(),
            concat!(
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","bool":true,"bytes":"AP8=","int":-2147483648,"#,
                r#""quoted":"a \"b\"","time":"2024-05-06T07:08:09.12Z","uri":"https://example.com/a","uriref":"../b"}"#
            )
        );
    }

    #[test]
    fn times_are_told_to_the_nanosecond_and_within_four_digits_of_a_year() {
        let text = |seconds, nanos| timestamp(&Timestamp { seconds, nanos });
        assert_eq!(text(0, 1).as_deref(), Some("1970-01-01T00:00:00.000000001Z"));
        assert_eq!(text(-1, 999_999_999).as_deref(), Some("1969-12-31T23:59:59.999999999Z"));
        assert_eq!(text(*SECONDS.start(), 0).as_deref(), Some("0001-01-01T00:00:00Z"));
        assert_eq!(text(*SECONDS.end(), 0).as_deref(), Some("9999-12-31T23:59:59Z"));
        for (seconds, nanos) in [(*SECONDS.start() - 1, 0), (*SECONDS.end() + 1, 0), (0, -1), (0, 1_000_000_000)] {
            assert_eq!(text(seconds, nanos), None);
            let problem = json(&event(&[("time", time(seconds, nanos))])).unwrap_err();
            assert_eq!((problem.kind, problem.field.as_deref()), (Kind::InvalidEvent, Some("time")));
        }
    }

    #[test]
    fn what_is_a_field_can_be_no_attribute_too() {
        for name in FIELDS {
            let problem = json(&event(&[(name, Attr::CeString("x".into()))])).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some(name));
        }
        let mut empty = event(&[]);
        empty.attributes.insert("x".into(), CloudEventAttributeValue::default());
        assert_eq!(json(&empty).unwrap_err().field.as_deref(), Some("x"));
    }

    #[test]
    fn a_problem_in_a_batch_says_which_event() {
        let bad = event(&[("time", time(0, -1))]);
        let problem = json_batch(&[event(&[]), event(&[]), bad]).unwrap_err();
        assert_eq!((problem.index, problem.field.as_deref()), (Some(2), Some("time")));
        assert_eq!(json_batch(&[]).unwrap(), "[]");
        let two = json_batch(&[CloudEvent::default(), event(&[])]).unwrap();
        assert_eq!(two, r#"[{},{"specversion":"1.0","id":"1","source":"/s","type":"t"}]"#);
        assert!(json_batch(&vec![event(&[]); BATCH_EVENTS_MAX]).is_ok());
        assert_eq!(json_batch(&vec![event(&[]); BATCH_EVENTS_MAX + 1]).unwrap_err().kind, Kind::TooManyEvents);
    }
}
