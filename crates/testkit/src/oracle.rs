//! An independent record of what the platform acknowledged, and what it made of it.
//!
//! It knows nothing of how the platform works and shares no code with it: it notes the exact bytes of each event's
//! data before they are sent, and which events got a 202, and compares them with what the store gives back and with
//! what a consumer says that it was handed.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::rng::Rng;
use crate::tenant::{encode, Tenant};

/// What the test consumers report with.
pub const SEEN: &str = "test.seen";
/// A whole look at everything costs; this lies between two of them.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
const SHOWN: usize = 5;
const POINT_READS: usize = 50;

/// What tells an event from every other of its tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub source: String,
    pub id: String,
}

#[derive(Debug, Clone)]
struct Sent {
    digest: String,
    acknowledged: bool,
}

/// The record of one tenant. What nobody noted as sent must not exist.
#[derive(Debug)]
pub struct Oracle {
    pub tenant: Tenant,
    sent: Mutex<HashMap<Key, Sent>>,
}

/// What became of the events of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub acknowledged: usize,
    pub found: usize,
    /// Acknowledged, and not there.
    pub missing: Vec<Key>,
    /// There, and never sent.
    pub spurious: Vec<Key>,
    /// There, with other data than was sent.
    pub corrupted: Vec<Key>,
    /// There more than once, counted once for each time too many.
    pub repeated: usize,
}

/// An event as it is found: who it is, and what it carries.
#[derive(Debug, Clone)]
struct Found {
    key: Key,
    digest: String,
}

// === impl Report ===

impl Report {
    /// Whether everything is where it should be, unchanged. Repetition is judged by whoever asks.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.spurious.is_empty() && self.corrupted.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} found: {} missing, {} spurious, {} corrupted, {} repeated",
            self.acknowledged,
            self.found,
            self.missing.len(),
            self.spurious.len(),
            self.corrupted.len(),
            self.repeated
        )?;
        for (name, keys) in [("missing", &self.missing), ("spurious", &self.spurious), ("corrupted", &self.corrupted)] {
            for key in keys.iter().take(SHOWN) {
                write!(f, "\n  {name}: {} of {}", key.id, key.source)?;
            }
        }
        Ok(())
    }
}

// === impl Oracle ===

impl Oracle {
    #[must_use]
    pub fn new(tenant: Tenant) -> Self {
        Self { tenant, sent: Mutex::default() }
    }

    /// Notes an event before it is sent for the first time. `data` is the JSON text of its data, byte for byte.
    pub fn sending(&self, source: &str, id: &str, data: &str) {
        let key = Key { source: source.into(), id: id.into() };
        self.sent.lock().insert(key, Sent { digest: digest(data), acknowledged: false });
    }

    /// Notes that the platform promised to keep an event.
    pub fn acknowledged(&self, source: &str, id: &str) {
        let key = Key { source: source.into(), id: id.into() };
        if let Some(sent) = self.sent.lock().get_mut(&key) {
            sent.acknowledged = true;
        }
    }

    /// How many events were acknowledged.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sent.lock().values().filter(|sent| sent.acknowledged).count()
    }

    /// Compares with all that the store has of this tenant.
    ///
    /// # Errors
    /// When the store can't be read, or what it gives is no event.
    pub async fn store(&self) -> anyhow::Result<Report> {
        let events = self.tenant.events("").await?;
        let mut found = Vec::with_capacity(events.len());
        for text in &events {
            let event = Event::read(text)?;
            if event.event_type != SEEN {
                found.push(Found { key: event.key(), digest: event.digest() });
            }
        }
        Ok(self.compare(found))
    }

    /// Compares with all that a consumer reported to have handled.
    ///
    /// # Errors
    /// When its reports can't be read.
    pub async fn consumer(&self, consumer: &str) -> anyhow::Result<Report> {
        Ok(self.compare(self.handled(consumer, "").await?))
    }

    /// In the order in which it was.
    async fn handled(&self, consumer: &str, since: &str) -> anyhow::Result<Vec<Found>> {
        let query = format!("type={SEEN}&from={}", encode(since));
        let mut found = Vec::new();
        // The API tells the newest first.
        for text in self.tenant.events(&query).await?.iter().rev() {
            let event = Event::read(text)?;
            if event.eremitter.as_deref() != Some(consumer) {
                continue;
            }
            let data = event.data.context("a report without data")?;
            let data: Seen<'_> = serde_json::from_str(data.get()).context("a report of another shape")?;
            found.extend(data.events.into_iter().map(|seen| Found {
                key: Key { source: seen.source.into_owned(), id: seen.id.into_owned() },
                digest: seen.sha256.to_string(),
            }));
        }
        Ok(found)
    }

    /// Whether a consumer reported, since `since` (RFC 3339), to have handled this event.
    ///
    /// # Errors
    /// When its reports can't be read.
    pub async fn was_handled(&self, consumer: &str, since: &str, source: &str, id: &str) -> anyhow::Result<bool> {
        let handled = self.handled(consumer, since).await?;
        Ok(handled.iter().any(|found| found.key.source == source && found.key.id == id))
    }

    /// The ids of a source's events in the order in which a consumer reported to have handled each for the first time.
    ///
    /// # Errors
    /// When its reports can't be read.
    pub async fn order(&self, consumer: &str, source: &str) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::new();
        let mut known = HashSet::new();
        for Found { key, .. } in self.handled(consumer, "").await? {
            if key.source == source && known.insert(key.id.clone()) {
                ids.push(key.id);
            }
        }
        Ok(ids)
    }

    /// Waits until nothing is missing, neither in the store nor at the consumer, and returns both reports: by the
    /// deadline as they are.
    ///
    /// # Errors
    /// When they can't be made.
    pub async fn settled(&self, consumer: &str, deadline: Duration) -> anyhow::Result<(Report, Report)> {
        let started = Instant::now();
        loop {
            let reports = match self.store().await {
                Ok(store) => self.consumer(consumer).await.map(|handled| (store, handled)),
                Err(error) => Err(error),
            };
            let late = started.elapsed() >= deadline;
            match reports {
                Ok((store, handled)) if late || (store.missing.is_empty() && handled.missing.is_empty()) => {
                    return Ok((store, handled))
                }
                Err(error) if late => return Err(error),
                _ => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Reads some of what was acknowledged one by one: the way of a query is not the way of a read.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn point_reads(&self, seed: u64) -> anyhow::Result<Report> {
        let mut chosen: Vec<(Key, Sent)> = self
            .sent
            .lock()
            .iter()
            .filter(|(_, sent)| sent.acknowledged)
            .map(|(key, sent)| (key.clone(), sent.clone()))
            .collect();
        chosen.sort_by(|a, b| a.0.cmp(&b.0));
        Rng::new(seed).shuffle(&mut chosen);
        chosen.truncate(POINT_READS);
        let mut report = Report { acknowledged: chosen.len(), ..Report::default() };
        for (key, sent) in chosen {
            match self.tenant.event(&key.source, &key.id).await? {
                None => report.missing.push(key),
                Some(text) => {
                    report.found += 1;
                    let event = Event::read(&text)?;
                    if event.key() != key || event.digest() != sent.digest {
                        report.corrupted.push(key);
                    }
                }
            }
        }
        Ok(report)
    }

    fn compare(&self, found: Vec<Found>) -> Report {
        let sent = self.sent.lock();
        let mut times: HashMap<&Key, usize> = HashMap::new();
        let mut report = Report::default();
        for event in &found {
            let seen = times.entry(&event.key).or_default();
            *seen += 1;
            report.repeated += usize::from(*seen > 1);
            match sent.get(&event.key) {
                None => report.spurious.push(event.key.clone()),
                Some(sent) if sent.digest != event.digest => report.corrupted.push(event.key.clone()),
                Some(_) => {}
            }
        }
        for key in sent.iter().filter(|(_, sent)| sent.acknowledged).map(|(key, _)| key) {
            report.acknowledged += 1;
            if !times.contains_key(key) {
                report.missing.push(key.clone());
            }
        }
        report.found = times.len();
        report.missing.sort();
        report
    }
}

/// SHA-256 of a JSON text as it stands, in hexadecimal digits.
#[must_use]
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An event as the JSON format has it, as far as it matters here.
#[derive(Deserialize)]
struct Event<'a> {
    id: String,
    source: String,
    #[serde(rename = "type")]
    event_type: String,
    eremitter: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<&'a RawValue>,
}

/// The data of a report.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(borrow)]
    events: Vec<SeenEvent<'a>>,
}

#[derive(Deserialize)]
struct SeenEvent<'a> {
    source: std::borrow::Cow<'a, str>,
    id: std::borrow::Cow<'a, str>,
    sha256: std::borrow::Cow<'a, str>,
}

// === impl Event ===

impl<'a> Event<'a> {
    fn read(text: &'a str) -> anyhow::Result<Self> {
        serde_json::from_str(text).with_context(|| format!("not an event: {text}"))
    }

    fn key(&self) -> Key {
        Key { source: self.source.clone(), id: self.id.clone() }
    }

    fn digest(&self) -> String {
        digest(self.data.or(self.data_base64).map_or("", RawValue::get))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use er_deploy::client::Client;

    fn oracle() -> Oracle {
        let client = Client::new("http://127.0.0.1:1", "http://127.0.0.1:1", "").unwrap();
        Oracle::new(Tenant { id: "t".into(), operator: client.clone(), client })
    }

    fn key(id: &str) -> Key {
        Key { source: "/s".into(), id: id.into() }
    }

    fn found(id: &str, data: &str) -> Found {
        Found { key: key(id), digest: digest(data) }
    }

    fn three_sent_two_acknowledged() -> Oracle {
        let oracle = oracle();
        for id in ["1", "2", "3"] {
            oracle.sending("/s", id, "{\"a\":1}");
        }
        oracle.acknowledged("/s", "1");
        oracle.acknowledged("/s", "2");
        oracle
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_what_was_sent_may_be() {
        let oracle = three_sent_two_acknowledged();
        let data = "{\"a\":1}";
        assert!(oracle.compare(vec![found("1", data), found("2", data)]).is_clean());
        assert!(oracle.compare(vec![found("1", data), found("2", data), found("3", data)]).is_clean());
        assert_eq!(oracle.compare(vec![found("1", data), found("3", data)]).missing, [key("2")]);
    }

    #[test]
    fn what_nobody_sent_is_spurious() {
        let report = three_sent_two_acknowledged().compare(vec![found("4", "{}")]);
        assert_eq!(report.spurious, [key("4")]);
    }

    #[test]
    fn one_byte_of_difference_is_corruption() {
        let report = three_sent_two_acknowledged().compare(vec![found("1", "{\"a\": 1}"), found("2", "{\"a\":1}")]);
        assert_eq!(report.corrupted, [key("1")]);
    }

    #[test]
    fn repetition_is_counted_and_is_not_a_loss() {
        let data = "{\"a\":1}";
        let report = three_sent_two_acknowledged().compare(vec![found("1", data), found("2", data), found("2", data)]);
        assert!(report.is_clean());
        assert_eq!((report.found, report.repeated), (2, 1));
    }

    #[test]
    fn the_digest_is_of_the_text_as_it_stands() {
        let event = Event::read(r#"{"id":"1","source":"/s","type":"t","data":{"a" : 1}}"#).unwrap();
        assert_eq!(event.digest(), digest("{\"a\" : 1}"));
        let event = Event::read(r#"{"id":"1","source":"/s","type":"t","data_base64":"AAE="}"#).unwrap();
        assert_eq!(event.digest(), digest("\"AAE=\""));
    }
}
