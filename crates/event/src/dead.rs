//! Events that could not go on, with the reason and what they were.
//!
//! In JSON a dead letter is `{"time","stage","reason","attempts","consumer"?,"revision"?,"event","original"?}`. Of an envelope around raw
//! JSON, `original` is the body as it was received, byte for byte, and `event` the envelope without it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{rfc3339_us, time_us, EventRef, RAW_TYPE};
use crate::json::{write_string, Elements, Members};
use crate::Reject;

/// One event that could not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where: `normalize`, `rules`, `deliver`, `policy`, …
    pub stage: String,
    /// One sentence for the tenant.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Which consumer could not handle it, if it came that far.
    pub consumer: Option<String>,
    /// Of the policy that let it go no further, if one did.
    pub revision: Option<String>,
    /// When it was given up, microseconds since 1970 (UTC).
    pub time_us: i64,
    /// The event's JSON text, whole: what must be published to try again.
    pub event: String,
}

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    time: Cow<'a, str>,
    stage: Cow<'a, str>,
    reason: Cow<'a, str>,
    #[serde(default)]
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Cow<'a, str>>,
}

const DATA: &str = ",\"data\":";

impl DeadLetter {
    /// The JSON text. An `event` that is not JSON (a defect of the platform) is kept as `original`, with `event` null.
    pub fn to_json(&self) -> String {
        let (event, original) = match self.parts() {
            Some((envelope, body)) => (Cow::Owned(format!("{envelope}}}")), Some(body)),
            None if serde_json::from_str::<&RawValue>(&self.event).is_ok() => (Cow::Borrowed(&*self.event), None),
            None => (Cow::Borrowed("null"), Some(&*self.event)),
        };
        let wire = serde_json::from_str(&event).map(|event| Wire {
            time: rfc3339_us(self.time_us).into(),
            stage: Cow::Borrowed(&self.stage),
            reason: Cow::Borrowed(&self.reason),
            attempts: self.attempts,
            consumer: self.consumer.as_deref().map(Cow::Borrowed),
            revision: self.revision.as_deref().map(Cow::Borrowed),
            event,
            original: original.map(Cow::Borrowed),
        });
        wire.and_then(|wire| serde_json::to_string(&wire)).unwrap_or_default()
    }

    /// Reads what [`DeadLetter::to_json`] wrote; further members are left aside.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| Reject::Dead("its JSON has another shape"))?;
        let event = match (wire.event.get(), wire.original) {
            (event, None) => event.to_owned(),
            ("null", Some(original)) => original.into_owned(),
            (event, Some(original)) => {
                let envelope = event.strip_suffix('}').ok_or(Reject::Dead("`event` is no object"))?;
                [envelope, DATA, &original, "}"].concat()
            }
        };
        Ok(DeadLetter {
            stage: wire.stage.into_owned(),
            reason: wire.reason.into_owned(),
            attempts: wire.attempts,
            consumer: wire.consumer.map(Cow::into_owned),
            revision: wire.revision.map(Cow::into_owned),
            time_us: time_us(&wire.time).ok_or(Reject::Dead("`time` is no time"))?,
            event,
        })
    }

    /// The body that was received, of an envelope around raw JSON.
    pub fn original(&self) -> Option<&str> {
        self.parts().map(|(_, body)| body)
    }

    /// Of an envelope as admission writes it, with `data` last: the text before that member, and the body.
    fn parts(&self) -> Option<(&str, &str)> {
        let event = EventRef::parse(&self.event).ok().filter(|event| event.event_type == RAW_TYPE)?;
        let body = event.data?;
        let envelope = event.raw.strip_suffix('}')?.strip_suffix(body)?.strip_suffix(DATA)?;
        Some((envelope, body))
    }
}

/// One element of an outcome's `dead` array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadItem<'a> {
    pub stage: Cow<'a, str>,
    pub reason: Cow<'a, str>,
    /// The event's JSON text.
    pub event: &'a str,
}

/// The `dead` array of an outcome: `[{"stage","reason","event"}]`, of (stage, reason, the event's JSON text).
pub fn dead_json(items: &[(&str, &str, &str)]) -> String {
    let mut out = String::from("[");
    for (index, (stage, reason, event)) in items.iter().enumerate() {
        out.push_str(if index == 0 { "{\"stage\":" } else { ",{\"stage\":" });
        write_string(&mut out, stage);
        out.push_str(",\"reason\":");
        write_string(&mut out, reason);
        out.push_str(",\"event\":");
        out.push_str(event);
        out.push('}');
    }
    out.push(']');
    out
}

/// Reads what [`dead_json`] wrote, by slices.
pub fn read_dead(text: &str) -> Result<Vec<DeadItem<'_>>, Reject> {
    let mut elements = Elements::of(text).ok_or(Reject::Dead("`dead` is no array"))?;
    let items = elements.by_ref().map(|item| read_item(item).ok_or(Reject::Dead("an item has another shape")));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    if elements.whole() {
        Ok(items)
    } else {
        Err(Reject::Dead("its JSON is broken"))
    }
}

fn read_item(item: &str) -> Option<DeadItem<'_>> {
    let (mut stage, mut reason, mut event) = (None, None, None);
    for member in Members::of(item)? {
        match &*member.key {
            "stage" => stage = crate::json::string(member.value),
            "reason" => reason = crate::json::string(member.value),
            "event" => event = Some(member.value),
            _ => {}
        }
    }
    Some(DeadItem { stage: stage?, reason: reason?, event: event? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(event: &str) -> DeadLetter {
        DeadLetter {
            stage: "normalize".into(),
            reason: "a \"reason\"\n".into(),
            attempts: 3,
            consumer: Some("mailer".into()),
            revision: Some("b.d".into()),
            time_us: 1_700_000_000_123_456,
            event: event.into(),
        }
    }

    #[test]
    fn a_dead_letter_reads_back_as_written() {
        for event in [
            r#"{"id":"1","source":"/s","type":"t","data":{"a":[1, 2]}}"#,
            "{\"id\":\"1\",\"source\":\"/raw\",\"type\":\"io.eventrunner.raw\",\"data\":{\"a\" :\n [1, \"\\u00e9\"]}}",
            r#"{"id":"1","data":1,"source":"/raw","type":"io.eventrunner.raw"}"#,
            "not JSON",
        ] {
            let letter = letter(event);
            let text = letter.to_json();
            crate::json::check(&text).unwrap();
            assert_eq!(DeadLetter::parse(&text).unwrap(), letter, "{text}");
        }
    }

    #[test]
    fn the_original_of_raw_json_is_kept_byte_for_byte() {
        let body = "{\"a\" :\r\n\t1.50e+1, \"é\":\"\\/\"}";
        let letter = letter(&format!(r#"{{"id":"1","source":"/raw","type":"io.eventrunner.raw","data":{body}}}"#));
        assert_eq!(letter.original(), Some(body));
        let json: serde_json::Value = serde_json::from_str(&letter.to_json()).unwrap();
        assert_eq!(json["original"], body);
        assert_eq!(json["event"]["id"], "1");
        assert!(json["event"].get("data").is_none());
        assert_eq!(json["time"], "2023-11-14T22:13:20.123456Z");
    }

    #[test]
    fn dead_items_read_back_as_written() {
        let items = [("normalize", "why \"so\"", "{\"id\":\"1\"}"), ("store", "é", "{}")];
        let text = dead_json(&items);
        let read = read_dead(&text).unwrap();
        let read: Vec<_> = read.iter().map(|item| (&*item.stage, &*item.reason, item.event)).collect();
        assert_eq!(read, items);
        assert_eq!(read_dead(&dead_json(&[])).unwrap(), []);
        for bad in ["", "{}", "[{}]", "[", r#"[{"stage":1,"reason":"","event":{}}]"#] {
            assert!(read_dead(bad).is_err(), "{bad}");
        }
    }
}
