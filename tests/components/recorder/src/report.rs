//! What a consumer was handed, as one event that says so.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The type of a report.
pub const SEEN: &str = "test.seen";

/// What is read of an event.
#[derive(Deserialize)]
pub struct Event<'a> {
    pub id: String,
    source: String,
    #[serde(rename = "type")]
    pub event_type: String,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Seen<'a> {
    id: &'a str,
    source: &'a str,
    r#type: &'a str,
    /// Of the data's JSON text as it stands.
    sha256: String,
}

#[derive(Serialize)]
struct Report<'a> {
    r#type: &'static str,
    source: &'static str,
    id: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    events: Vec<Seen<'a>>,
}

/// The events of a batch.
pub fn read(batch: &str) -> Result<Vec<Event<'_>>, String> {
    serde_json::from_str(batch).map_err(|cause| cause.to_string())
}

/// The batch to emit about what was handled; none when there is nothing to say.
pub fn about<'a>(events: impl Iterator<Item = &'a Event<'a>>) -> Result<Option<String>, String> {
    let events: Vec<Seen> = events.filter(|event| event.event_type != SEEN).map(seen).collect();
    if events.is_empty() {
        return Ok(None);
    }
    let data = Data { events };
    let text = serde_json::to_string(&data.events).map_err(|cause| cause.to_string())?;
    // Follows from what was handled: the same again is the same report again.
    let report = Report { r#type: SEEN, source: "/test/recorder", id: digest(&text), data };
    serde_json::to_string(&[report]).map(Some).map_err(|cause| cause.to_string())
}

fn seen<'a>(event: &'a Event<'a>) -> Seen<'a> {
    let sha256 = digest(event.data.or(event.data_base64).map_or("", RawValue::get));
    Seen { id: &event.id, source: &event.source, r#type: &event.event_type, sha256 }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_what_was_handled_but_not_reports() {
        let batch =
            r#"[{"id":"1","source":"/s","type":"a","data":{"x" : 1}},{"id":"2","source":"/s","type":"test.seen"}]"#;
        let events = read(batch).unwrap();
        let report: serde_json::Value = serde_json::from_str(&about(events.iter()).unwrap().unwrap()).unwrap();
        assert_eq!(report[0]["data"]["events"].as_array().unwrap().len(), 1);
        assert_eq!(report[0]["data"]["events"][0]["sha256"], digest(r#"{"x" : 1}"#));
        assert!(about(events[1..].iter()).unwrap().is_none());
    }
}
