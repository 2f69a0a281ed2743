//! Replays: a window of a tenant's stored events, delivered again to one consumer beside its fresh ones.
//!
//! A replay is a record in `ER_REPLAYS` and a task. The record says how far it is; who writes it over the revision that it
//! knows, works on it, so that of two providers one goes on. A message is published under an id of the replay and its slice
//! of the window: what is repeated after a crash is dropped by JetStream for as long as it remembers, and delivered twice
//! past that.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::Context;
use bytes::Bytes;
use er_event::event::{is_wanted, parse_batch, rfc3339_us, time_us, BatchWriter, DROPPED};
use er_event::stored::PAGE_EVENTS_MAX;
use er_provider_kit::Caller;
use er_tenant::consumers::REPLAYS_BUCKET;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::archive::{Archive, Span, SLICE_US};
use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::redelivery::Window;
use crate::fault::{fault, unavailable};
use crate::kv::{entries, last};
use crate::payload::Payload;
use crate::provider::Parts;
use crate::publish::{now_us, publish, Outgoing};
use crate::{retry, streams};

/// Of one tenant, at once.
const RUNNING_MAX: usize = 4;
/// Records of a tenant that are kept.
const KEPT_MAX: usize = 100;
const EVENTS_PER_S_MAX: u32 = 100_000;
/// As many messages may wait for the consumer's retries; past that a replay waits.
const WAITING_MAX: u64 = 512;
const WAIT: Duration = Duration::from_millis(250);
/// While JetStream is away.
const AWAY_WAIT: Duration = Duration::from_secs(1);
/// Without a step for so long, a replay is given up.
const AWAY_MAX: Duration = Duration::from_secs(600);
/// A step that fails after so long fails for another reason than the one before it.
const STREAK: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Done,
    Failed,
}

/// What is told of a replay, as `redelivery.replay` has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Replay {
    id: String,
    tenant: String,
    consumer: String,
    from: String,
    to: String,
    types: Vec<String>,
    events_per_s: u32,
    by: String,
    at: String,
    state: State,
    /// Events that were handed to the consumer's retries.
    sent: u64,
    /// Up to here, events of the window were handed over.
    #[serde(default)]
    reached: String,
    done: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// A replay as it is kept: what is told of it, and what is needed to go on with it.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    #[serde(flatten)]
    replay: Replay,
    /// How much of the window is read at once, in microseconds.
    #[serde(default = "first_slice")]
    slice_us: i64,
    /// Who wrote this: tells what one wrote from what another wrote who works on the same.
    #[serde(default)]
    worker: u64,
    /// When the consumer's place was made: another of that name has another. 0: that was not written down yet.
    #[serde(default)]
    place_us: u64,
}

fn first_slice() -> i64 {
    SLICE_US
}

struct Job {
    js: Context,
    caller: Caller,
    archive: Archive,
    bucket: Store,
    record: Record,
    revision: u64,
}

/// How the work on a replay ended.
enum End {
    Over,
    /// Nobody takes what is replayed any more.
    NoConsumer,
    /// Somebody else works on it.
    TakenOver,
}

/// A slice of the window that was handed over.
struct Done {
    until_us: i64,
    /// How much time the next is of.
    next_us: i64,
    events: u64,
}

// === beginning ===

pub async fn begin(parts: &Parts, tenant: &str, place_us: u64, window: Window, by: String) -> Result<String, Fault> {
    let away = |e: anyhow::Error| unavailable("replays", &format!("{e:#}"));
    check(&window)?;
    let bucket = parts.bucket(REPLAYS_BUCKET).map_err(away)?;
    let known = of_tenant(&bucket, tenant).await.map_err(away)?;
    if known.iter().filter(|(_, replay)| replay.state == State::Running).count() >= RUNNING_MAX {
        return Err(fault(
            FaultCode::Exhausted,
            format!("{RUNNING_MAX} replays of {tenant} run already; wait for one"),
        ));
    }
    for (key, old) in known.iter().rev().skip(KEPT_MAX - 1) {
        if old.done {
            bucket.purge(key).await.map_err(|e| unavailable("replays", &e))?;
        }
    }
    let at = now_us();
    let replay = Replay {
        // In the order of time.
        id: format!("{at:016x}"),
        tenant: tenant.to_owned(),
        consumer: window.consumer,
        reached: window.since.clone(),
        from: window.since,
        to: window.until,
        types: window.types,
        events_per_s: window.events_per_s,
        by,
        at: rfc3339_us(i64::try_from(at).unwrap_or(i64::MAX)),
        state: State::Running,
        sent: 0,
        done: false,
        message: None,
    };
    let internal = |e: serde_json::Error| fault(FaultCode::Internal, e.to_string());
    let told = serde_json::to_string(&replay).map_err(internal)?;
    let record = Record { replay, slice_us: SLICE_US, worker: token(), place_us };
    let kept = serde_json::to_vec(&record).map_err(internal)?;
    let revision = bucket.create(record.key(), kept.into()).await.map_err(|e| unavailable("replays", &e))?;
    let Replay { id, consumer, by, .. } = &record.replay;
    info!(tenant, id, consumer, by, "audit: replay begun");
    let (js, caller, archive) = (parts.js.clone(), parts.caller.clone(), parts.archive.clone());
    tokio::spawn(Job { js, caller, archive, bucket, record, revision }.run());
    Ok(told)
}

fn check(window: &Window) -> Result<(), Fault> {
    let bad = |detail: String| Err(fault(FaultCode::Invalid, detail));
    match (time_us(&window.since), time_us(&window.until)) {
        (Some(since), Some(until)) if since < until => {}
        _ => return bad(format!("from {} to {} is no window of RFC 3339 times", window.since, window.until)),
    }
    if !(1..=EVENTS_PER_S_MAX).contains(&window.events_per_s) {
        return bad(format!("events_per_s is {}, and must be 1 to {EVENTS_PER_S_MAX}", window.events_per_s));
    }
    if window.types.len() > 32 {
        return bad(format!("{} types, and at most 32 are possible", window.types.len()));
    }
    Ok(())
}

/// Newest first.
pub async fn list(parts: &Parts, tenant: &str) -> Result<String, Fault> {
    let away = |e: anyhow::Error| unavailable("replays", &format!("{e:#}"));
    let known = of_tenant(&parts.bucket(REPLAYS_BUCKET).map_err(away)?, tenant).await.map_err(away)?;
    let replays: Vec<&Replay> = known.iter().rev().map(|(_, replay)| replay).collect();
    Ok(serde_json::json!({ "replays": replays }).to_string())
}

async fn of_tenant(bucket: &Store, tenant: &str) -> anyhow::Result<Vec<(String, Replay)>> {
    let entries = entries(bucket, &format!("{tenant}.*"), None, 2 * KEPT_MAX).await?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| Some((entry.key.clone(), serde_json::from_slice(&entry.value).ok()?)))
        .collect())
}

/// Takes up what was under way when the last provider ended.
pub fn resume(parts: &Parts) -> anyhow::Result<()> {
    let bucket = parts.bucket(REPLAYS_BUCKET)?;
    let (js, caller, archive) = (parts.js.clone(), parts.caller.clone(), parts.archive.clone());
    tokio::spawn(async move {
        let all = loop {
            match entries(&bucket, "*.*", None, usize::MAX).await {
                Ok(all) => break all,
                Err(error) => {
                    warn!(error = format!("{error:#}"), "replays can't be read, trying again");
                    tokio::time::sleep(AWAY_WAIT).await;
                }
            }
        };
        for entry in all {
            let Ok(record) = serde_json::from_slice::<Record>(&entry.value) else { continue };
            if record.replay.state == State::Running {
                let Replay { tenant, id, reached, .. } = &record.replay;
                info!(tenant, id, reached, "replay goes on");
                let (js, caller, archive) = (js.clone(), caller.clone(), archive.clone());
                let (bucket, revision) = (bucket.clone(), entry.revision);
                let record = Record { worker: token(), ..record };
                tokio::spawn(Job { js, caller, archive, bucket, record, revision }.run());
            }
        }
    });
    Ok(())
}

// === impl Record ===

impl Record {
    fn key(&self) -> String {
        format!("{}.{}", self.replay.tenant, self.replay.id)
    }

    fn reached_us(&self) -> anyhow::Result<i64> {
        match self.replay.reached.as_str() {
            // Written by a version that counted messages.
            "" => micros(&self.replay.from),
            reached => micros(reached),
        }
    }

    fn end(&mut self, state: State, message: Option<String>) {
        self.replay.state = state;
        self.replay.done = true;
        self.replay.message = message;
    }
}

// === impl Job ===

impl Job {
    async fn run(mut self) {
        let mut failing = None;
        loop {
            let (before, began) = (self.record.replay.reached.clone(), Instant::now());
            match self.work().await {
                Ok(End::Over) => break self.record.end(State::Done, None),
                Ok(End::NoConsumer) => {
                    let gone = format!("the consumer `{}` is gone", self.record.replay.consumer);
                    break self.record.end(State::Failed, Some(gone));
                }
                Ok(End::TakenOver) => return,
                Err(error) => {
                    warn!(id = self.record.replay.id, error = format!("{error:#}"), "replay waits");
                    // It came further, or waited for its consumer for long: this failure is a new one.
                    if self.record.replay.reached != before || began.elapsed() > STREAK {
                        failing = None;
                    }
                    if failing.get_or_insert_with(Instant::now).elapsed() > AWAY_MAX {
                        break self.record.end(State::Failed, Some(format!("{error:#}")));
                    }
                    tokio::time::sleep(AWAY_WAIT).await;
                }
            }
        }
        let Replay { tenant, id, sent, state, .. } = &self.record.replay;
        info!(tenant, id, sent, ?state, "audit: replay ended");
        while let Err(error) = self.note().await {
            warn!(error = format!("{error:#}"), "a replay's end can't be noted, trying again");
            tokio::time::sleep(AWAY_WAIT).await;
        }
    }

    /// From where it is to the end of the window.
    async fn work(&mut self) -> anyhow::Result<End> {
        let (mut from_us, until_us) = (self.record.reached_us()?, micros(&self.record.replay.to)?);
        while from_us < until_us {
            let Some(slice) = self.slice(from_us, until_us).await? else { return Ok(End::NoConsumer) };
            from_us = slice.until_us;
            self.record.slice_us = slice.next_us;
            self.record.replay.reached = rfc3339_us(from_us);
            self.record.replay.sent += slice.events;
            if !self.note().await? {
                return Ok(End::TakenOver);
            }
        }
        // It may have gone while the last of them was written.
        Ok(if self.is_there().await? { End::Over } else { End::NoConsumer })
    }

    /// Hands the next slice of the window over, no faster than is wanted. None: there is nobody to hand it to.
    async fn slice(&self, from_us: i64, until_us: i64) -> anyhow::Result<Option<Done>> {
        if !self.room().await? {
            return Ok(None);
        }
        let mut started = Instant::now();
        let Replay { tenant, types, events_per_s, .. } = &self.record.replay;
        // Whoever wants several types is given all of a page to choose from.
        let event_type = match types.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        };
        let limit = (*events_per_s).clamp(1, PAGE_EVENTS_MAX);
        let span = Span { tenant, event_type, from_us, until_us };
        let slice = self.archive.slice(&self.caller, &span, self.record.slice_us, limit).await?;
        let (span, mut page) = (Span { until_us: slice.until_us, ..span }, slice.page);
        let mut events = 0;
        for number in 0_u32.. {
            let id = format!("{from_us}-{}-{number}", slice.until_us);
            let count = self.hand_over(&page.events, &id).await?;
            counter!("eventrunner_redelivery_replayed_total").increment(count);
            events += count;
            tokio::time::sleep(pause(count, *events_per_s).saturating_sub(started.elapsed())).await;
            let Some(cursor) = page.cursor else { break };
            if !self.room().await? {
                return Ok(None);
            }
            started = Instant::now();
            page = self.archive.page(&self.caller, &span, Some(&cursor), limit).await?;
        }
        Ok(Some(Done { until_us: slice.until_us, next_us: slice.next_us, events }))
    }

    /// Waits until the consumer has taken most of what was replayed before. False: it is gone.
    async fn room(&self) -> anyhow::Result<bool> {
        let Replay { tenant, consumer, .. } = &self.record.replay;
        while self.is_there().await? {
            if retry::has_room(&self.js, tenant, consumer, WAITING_MAX).await? {
                return Ok(true);
            }
            tokio::time::sleep(WAIT).await;
        }
        Ok(false)
    }

    /// Whether the consumer is still the one that the replay was begun for. Where there is none any more, what was written
    /// while it went is removed: it would wait for the next one of that name.
    async fn is_there(&self) -> anyhow::Result<bool> {
        let (place_us, Replay { tenant, consumer, .. }) = (self.record.place_us, &self.record.replay);
        match retry::place(&self.js, tenant, consumer).await? {
            Some(there) => Ok(place_us == 0 || place_us == there),
            None => {
                let stream = self.js.get_stream(streams::RETRY).await.context("the stream of retries")?;
                stream.purge().filter(streams::retry_subject(tenant, consumer)).await?;
                Ok(false)
            }
        }
    }

    /// Publishes a page's events of the wanted types, oldest first, and says how many they are. What the consumer itself does
    /// not want, it leaves out.
    async fn hand_over(&self, page: &str, place: &str) -> anyhow::Result<u64> {
        let Replay { id, tenant, consumer, types, .. } = &self.record.replay;
        let mut batch = BatchWriter::new();
        for event in parse_batch(page)?.iter().rev() {
            // What a rule dropped is stored, and goes to nobody.
            if is_wanted(types, &event.event_type) && event.extension(DROPPED).is_none() {
                batch.push(event.raw);
            }
        }
        let count = batch.len();
        if count > 0 {
            let out = Outgoing {
                subject: streams::retry_subject(tenant, consumer),
                message_id: format!("replay-{id}-{place}"),
                received_us: 0,
                headers: retry::headers(1, 0, count, &format!("p{id}")),
                payload: Payload::pack(batch.finish()),
            };
            publish(&self.js, out).await?;
        }
        Ok(count as u64)
    }

    /// Writes down how far it is. False: somebody else did.
    async fn note(&mut self) -> anyhow::Result<bool> {
        use async_nats::jetstream::kv::UpdateErrorKind;
        let (key, text) = (self.record.key(), Bytes::from(serde_json::to_vec(&self.record)?));
        match self.bucket.update(&key, text.clone(), self.revision).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(true)
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                // What is there may be what was written, and not acknowledged in time.
                let last = last(&self.bucket, &key).await?.filter(|last| last.payload == text);
                self.revision = last.as_ref().map_or(self.revision, |last| last.sequence);
                Ok(last.is_some())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// How long so many events take at least.
fn pause(events: u64, events_per_s: u32) -> Duration {
    Duration::from_secs_f64(events as f64 / f64::from(events_per_s.max(1)))
}

fn token() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    std::hash::RandomState::new().build_hasher().finish()
}

fn micros(text: &str) -> anyhow::Result<i64> {
    time_us(text).with_context(|| format!("{text} is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(since: &str, until: &str, events_per_s: u32) -> Window {
        Window { consumer: "a".into(), since: since.into(), until: until.into(), types: vec![], events_per_s }
    }

    #[test]
    fn windows_are_checked_on_both_sides() {
        let (a, b) = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z");
        assert!(check(&window(a, b, 1)).is_ok() && check(&window(a, b, EVENTS_PER_S_MAX)).is_ok());
        for bad in
            [window(b, a, 1), window(a, a, 1), window("x", b, 1), window(a, b, 0), window(a, b, EVENTS_PER_S_MAX + 1)]
        {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
        let many = Window { types: vec!["t".into(); 33], ..window(a, b, 1) };
        assert!(check(&many).is_err());
    }
}
