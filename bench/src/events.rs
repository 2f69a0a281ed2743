//! The events of every bench: 600 bytes each, GitHub webhooks in shape, rendered once and then only stamped.

use std::collections::HashSet;

use anyhow::Context as _;
use er_proto::cloudevents::cloud_event::CloudEventAttributeValue;
use er_proto::cloudevents::CloudEvent;
use er_proto::{Attr, Data};
use memchr::memmem;
use prost::Message as _;

use crate::door::Kind;

pub const EVENT_BYTES: usize = 600;

/// What comes before the number in an event's id: together they look like the UUIDs that GitHub sends.
const ID_PREFIX: &str = "0197c0de-0000-7000-8000-";
const ID_DIGITS: usize = 12;
const ID_ZERO: &str = "000000000000";
const TIME_ZERO: &str = "0000-00-00T00:00:00.000000Z";
/// Words of the free text that fills an event up to its size. Every event of a batch has a text of its own, as events
/// have: otherwise whatever compresses would look better than it is.
const WORDS: [&str; 64] = [
    "settings", "branch", "default", "reload", "twice", "expected", "order", "commit", "found", "empty", "cache",
    "expires", "minutes", "browser", "signed", "console", "the", "of", "in", "and", "until", "after", "when", "shows",
    "error", "request", "timeout", "release", "version", "merge", "conflict", "review", "deploy", "staging", "server",
    "latency", "memory", "thread", "panic", "stack", "trace", "token", "webhook", "payload", "schema", "invalid",
    "missing", "field", "number", "string", "parser", "builds", "fails", "passes", "flaky", "runner", "queue", "retry",
    "backoff", "limit", "exceeds", "quota", "tenant", "region",
];

/// Type, subject, and data with a hole for the filler. None of them is worth an alert to the sample consumer, which
/// looks into the data of `push` and `workflow_run` all the same: an alert would be one event more than was sent.
const KINDS: [(&str, &str, &str); 6] = [
    (
        "com.github.issues.opened",
        "1347",
        r#"{"action":"opened","issue":{"number":1347,"title":"Liste des branches: état périmé","state":"open","user":{"login":"octocat","id":583231},"labels":["bug","cache"],"body":"{}"},"repository":{"id":1296269,"full_name":"octo-org/app"}}"#,
    ),
    (
        "com.github.push",
        "refs/heads/main",
        r#"{"ref":"refs/heads/main","forced":false,"compare":"https://github.com/octo-org/app/compare/6113728f27ae...0d1a26e67d8f","repository":{"id":1296269,"full_name":"octo-org/app","html_url":"https://github.com/octo-org/app"},"message":"{}"}"#,
    ),
    (
        "com.github.workflow_run.completed",
        "30433642",
        r#"{"action":"completed","workflow_run":{"name":"CI","conclusion":"success","run_number":562,"html_url":"https://github.com/octo-org/app/actions/runs/30433642"},"repository":{"full_name":"octo-org/app","html_url":"https://github.com/octo-org/app"},"note":"{}"}"#,
    ),
    (
        "com.github.pull_request.synchronize",
        "42",
        r#"{"action":"synchronize","number":42,"before":"6113728f27ae","after":"0d1a26e67d8f","pull_request":{"draft":false,"commits":3,"additions":104,"deletions":33,"changed_files":7,"body":"{}"},"repository":{"full_name":"octo-org/app"}}"#,
    ),
    (
        "com.github.issue_comment.created",
        "1347",
        r#"{"action":"created","issue":{"number":1347},"comment":{"id":492700400,"user":{"login":"hubot"},"body":"I see \"304 Not Modified\" too.\n{}"},"repository":{"full_name":"octo-org/app"}}"#,
    ),
    (
        "com.github.star.created",
        "octocat",
        r#"{"action":"created","starred_at":"2025-05-15T15:21:03Z","sender":{"login":"octocat","type":"User","site_admin":false},"repository":{"full_name":"octo-org/app","stargazers_count":1903,"description":"{}"}}"#,
    ),
];

/// Where an event's number and time stand in the bytes that hold it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id_at: usize,
    time_at: usize,
}

/// Events in the bytes that go over the wire, and where to stamp them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// Where each event ends, where each is a message of its own.
    pub ends: Vec<usize>,
}

/// Everything that may come back from the store: templates with number and time blanked.
#[derive(Debug)]
pub struct Known(HashSet<String>);

/// The event at a place of a connection's batch, with nothing stamped.
fn template(index: usize, connection: usize) -> String {
    let (event_type, subject, data) = KINDS[index % KINDS.len()];
    let source = source(connection);
    let render = |filler: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{ID_PREFIX}{ID_ZERO}","source":"{source}","type":"{event_type}","subject":"{subject}","time":"{TIME_ZERO}","datacontenttype":"application/json","data":{}}}"#,
            data.replace("{}", filler)
        )
    };
    let room = EVENT_BYTES.saturating_sub(render("").len());
    render(&filler(index as u64 | (connection as u64) << 32, room))
}

/// The same event in the protobuf format.
fn message(index: usize, connection: usize) -> anyhow::Result<CloudEvent> {
    let json = template(index, connection);
    let event = er_event::EventRef::parse(&json).map_err(|cause| anyhow::anyhow!("a template: {cause}"))?;
    let text = |value: &str| CloudEventAttributeValue { attr: Some(Attr::CeString(value.to_string())) };
    let extension = |name: &str| event.extension(name).unwrap_or_default();
    Ok(CloudEvent {
        id: event.id.to_string(),
        source: event.source.to_string(),
        spec_version: "1.0".into(),
        r#type: event.event_type.to_string(),
        attributes: [
            ("subject", extension("subject").to_string()),
            ("datacontenttype", "application/json".into()),
            // As text, so that every time has as many bytes.
            ("time", TIME_ZERO.into()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_string(), text(&value)))
        .collect(),
        data: event.data.map(|data| Data::TextData(data.to_string())),
    })
}

/// So many bytes of text, the same for the same seed: words, and now and then a hash.
fn filler(seed: u64, bytes: usize) -> String {
    let mut state = seed;
    let mut text = String::with_capacity(bytes + 48);
    while text.len() < bytes {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut random = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        random = (random ^ (random >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        random ^= random >> 31;
        if random.is_multiple_of(12) {
            text.push_str(&format!("{random:016x}"));
        } else {
            text.push_str(WORDS[(random >> 32) as usize % WORDS.len()]);
        }
        text.push(' ');
    }
    text.truncate(bytes);
    text
}

/// The source of the events that come over one connection: a producer posts what is its own.
fn source(connection: usize) -> String {
    format!("https://github.com/octo-org/app-{connection:03}")
}

// === impl Batch ===

impl Batch {
    /// A structured event, or where `events` is more than one a batch of them, in the JSON format.
    pub fn new(events: usize, connection: usize) -> anyhow::Result<Self> {
        let array = events > 1;
        let mut bytes = Vec::with_capacity(events * (EVENT_BYTES + 1) + 2);
        let mut slots = Vec::with_capacity(events);
        bytes.extend(array.then_some(b'['));
        for index in 0..events {
            bytes.extend((index > 0).then_some(b','));
            let event = template(index, connection);
            let at = |what: &str| {
                event.find(what).map(|found| bytes.len() + found).with_context(|| format!("a template without {what}"))
            };
            slots.push(Slot { id_at: at(ID_PREFIX)? + ID_PREFIX.len(), time_at: at(TIME_ZERO)? });
            bytes.extend_from_slice(event.as_bytes());
        }
        bytes.extend(array.then_some(b']'));
        Ok(Self { bytes, slots, ends: Vec::new() })
    }

    /// The message of `PublishBatch`; for a stream the messages of its events, one after the other.
    pub fn protobuf(events: usize, connection: usize, stream: bool) -> anyhow::Result<Self> {
        let mut batch = Self::default();
        for index in 0..events {
            let event = message(index, connection)?.encode_to_vec();
            if !stream {
                // `repeated CloudEvent events = 1`
                batch.bytes.push(0x0A);
                prost::encode_length_delimiter(event.len(), &mut batch.bytes)?;
            }
            let at = |what: &str| {
                let found =
                    memmem::find(&event, what.as_bytes()).with_context(|| format!("a message without {what}"))?;
                anyhow::Ok(batch.bytes.len() + found)
            };
            let slot = Slot { id_at: at(ID_PREFIX)? + ID_PREFIX.len(), time_at: at(TIME_ZERO)? };
            batch.slots.push(slot);
            batch.bytes.extend_from_slice(&event);
            batch.ends.push(batch.bytes.len());
        }
        Ok(batch)
    }

    /// The same behind the head of a request that posts it.
    pub fn into_request(self, host: &str, api_key: &str) -> Self {
        let kind = if self.slots.len() > 1 { "cloudevents-batch+json" } else { "cloudevents+json" };
        let head = format!(
            "POST /events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {api_key}\r\n\
             content-type: application/{kind}\r\ncontent-length: {}\r\n\r\n",
            self.bytes.len()
        );
        let slots = self
            .slots
            .iter()
            .map(|slot| Slot { id_at: slot.id_at + head.len(), time_at: slot.time_at + head.len() })
            .collect();
        let bytes = [head.as_bytes(), &self.bytes].concat();
        Self { bytes, slots, ends: Vec::new() }
    }

    pub fn events(&self) -> usize {
        self.slots.len()
    }

    /// Numbers the events from `first` on, and gives them all one time.
    pub fn stamp(&mut self, first: u64, now_us: u64) {
        let time = rfc3339(now_us);
        for (number, slot) in (first..).zip(&self.slots) {
            digits(&mut self.bytes[slot.id_at..slot.id_at + ID_DIGITS], number);
            self.bytes[slot.time_at..slot.time_at + time.len()].copy_from_slice(&time);
        }
    }
}

// === impl Known ===

impl Known {
    /// Of so many connections, with batches of so many events that came in by this door.
    pub fn new(connections: usize, events: usize, door: Kind) -> anyhow::Result<Self> {
        let all = (0..connections).flat_map(|connection| (0..events).map(move |index| (index, connection)));
        let text = |(index, connection)| match door {
            Kind::Http => Ok(template(index, connection)),
            Kind::Batch | Kind::Stream => {
                er_proto::json(&message(index, connection)?).map_err(|problem| anyhow::anyhow!("{problem}"))
            }
        };
        all.map(text).collect::<anyhow::Result<_>>().map(Self)
    }

    /// The number of an event that is as it was sent, to the byte.
    pub fn number(&self, event: &str) -> Option<u64> {
        let id_at = event.find(ID_PREFIX)? + ID_PREFIX.len();
        let number = event.get(id_at..id_at + ID_DIGITS)?;
        let time_at = event.find("\"time\":\"")? + "\"time\":\"".len();
        let time = event.get(time_at..time_at + TIME_ZERO.len())?;
        let blank = event.replacen(number, ID_ZERO, 1).replacen(time, TIME_ZERO, 1);
        self.0.contains(&blank).then(|| number.parse().ok())?
    }
}

fn digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// `2025-01-31T12:00:00.000000Z`, without a heap.
pub fn rfc3339(us: u64) -> [u8; TIME_ZERO.len()] {
    let (days, second) = (us / 86_400_000_000, us / 1_000_000 % 86_400);
    // Days to date as in Howard Hinnant's `civil_from_days`.
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let mp = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let mut text = [0; TIME_ZERO.len()];
    text.copy_from_slice(TIME_ZERO.as_bytes());
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], second / 3_600);
    digits(&mut text[14..16], second / 60 % 60);
    digits(&mut text[17..19], second % 60);
    digits(&mut text[20..26], us % 1_000_000);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_size_and_is_an_event() {
        let mut batch = Batch::new(KINDS.len(), 7).unwrap();
        batch.stamp(41, 1_748_736_000_123_456);
        let text = std::str::from_utf8(&batch.bytes).unwrap();
        let events = er_event::event::parse_batch(text).unwrap();
        assert_eq!(events.len(), KINDS.len());
        for (index, event) in events.iter().enumerate() {
            assert_eq!(event.raw.len(), EVENT_BYTES, "{}", event.raw);
            assert_eq!(event.id, format!("{ID_PREFIX}{:012}", 41 + index));
            assert_eq!(event.time.as_deref(), Some("2025-06-01T00:00:00.123456Z"));
        }
    }

    #[test]
    fn what_comes_back_is_known_by_its_number_unless_a_byte_changed() {
        let known = Known::new(2, 1, Kind::Http).unwrap();
        let mut batch = Batch::new(1, 1).unwrap();
        batch.stamp(123_456, 1_700_000_000_000_000);
        let text = String::from_utf8(batch.bytes).unwrap();
        assert_eq!(known.number(&text), Some(123_456));
        assert_eq!(known.number(&text.replace("octocat", "octodog")), None);
        assert_eq!(known.number(&text.replace("app-001", "app-002")), None);
    }

    #[test]
    fn a_message_is_stamped_and_known_as_the_text_that_the_platform_makes_of_it() {
        let known = Known::new(1, 3, Kind::Batch).unwrap();
        for stream in [false, true] {
            let mut batch = Batch::protobuf(3, 0, stream).unwrap();
            batch.stamp(41, 1_748_736_000_123_456);
            let events: Vec<CloudEvent> = if stream {
                let starts = [0].into_iter().chain(batch.ends.iter().copied());
                let cut = |(start, end): (usize, &usize)| CloudEvent::decode(&batch.bytes[start..*end]).unwrap();
                starts.zip(&batch.ends).map(cut).collect()
            } else {
                er_proto::cloudevents::CloudEventBatch::decode(batch.bytes.as_slice()).unwrap().events
            };
            let numbers: Vec<_> = events.iter().map(|event| known.number(&er_proto::json(event).unwrap())).collect();
            assert_eq!(numbers, [Some(41), Some(42), Some(43)]);
        }
    }

    #[test]
    fn a_request_is_stamped_in_its_body() {
        let mut request = Batch::new(2, 0).unwrap().into_request("127.0.0.1:1", "er_demo_k");
        request.stamp(5, 0);
        let text = String::from_utf8(request.bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(
            body.contains("000000000005")
                && body.contains("000000000006")
                && body.contains("1970-01-01T00:00:00.000000Z")
        );
    }
}
