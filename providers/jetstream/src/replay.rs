//! Replays: a window of a tenant's stream, delivered again to one consumer beside its fresh events.
//!
//! A replay is a record in `ER_REPLAYS` and a task. The record says how far it is; who writes it over the revision that it
//! knows, works on it, so that of two providers one goes on. A message is published under an id of the replay and its place:
//! what is repeated after a crash is dropped by JetStream for as long as it remembers, and delivered twice past that.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::consumer::{pull, AckPolicy, DeliverPolicy};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::{Context, Message};
use er_event::event::{parse_batch, rfc3339_us, time_us, type_matches, BatchWriter};
use er_event::limits::BATCH_EVENTS_MAX;
use er_tenant::consumers::REPLAYS_BUCKET;
use futures::StreamExt as _;
use metrics::counter;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use crate::bindings::exports::eventrunner::platform::redelivery::Window;
use crate::fault::{fault, unavailable};
use crate::kv::entries;
use crate::payload::Payload;
use crate::provider::Parts;
use crate::publish::{now_us, publish_all, Outgoing};
use crate::{retry, streams};

/// Of one tenant, at once.
const RUNNING_MAX: usize = 4;
/// Records of a tenant that are kept.
const KEPT_MAX: usize = 100;
const EVENTS_PER_S_MAX: u32 = 100_000;
/// Messages between two looks at what still waits for the consumer, at most.
const MESSAGES_MAX: u64 = 64;
/// As many messages may wait for the consumer's retries; past that a replay waits.
const WAITING_MAX: u64 = 512;
const WAIT: Duration = Duration::from_millis(250);
/// While JetStream is away.
const AWAY_WAIT: Duration = Duration::from_secs(1);
/// Without a step for so long, a replay is given up.
const AWAY_MAX: Duration = Duration::from_secs(600);
const FETCH_WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Running,
    Done,
    Failed,
}

/// What is known of a replay, as `redelivery.replay` has it.
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
    /// The last message of the stream that was looked at.
    position: u64,
    done: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

struct Job {
    js: Context,
    bucket: Store,
    replay: Replay,
    revision: u64,
}

// === beginning ===

pub async fn begin(parts: &Parts, tenant: &str, window: Window, by: String) -> Result<String, Fault> {
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
        from: window.since,
        to: window.until,
        types: window.types,
        events_per_s: window.events_per_s,
        by,
        at: rfc3339_us(i64::try_from(at).unwrap_or(i64::MAX)),
        state: State::Running,
        sent: 0,
        position: 0,
        done: false,
        message: None,
    };
    let text = serde_json::to_string(&replay).map_err(|e| fault(FaultCode::Internal, e.to_string()))?;
    let revision = bucket.create(key(&replay), text.clone().into()).await.map_err(|e| unavailable("replays", &e))?;
    info!(tenant, id = replay.id, consumer = replay.consumer, by = replay.by, "audit: replay begun");
    tokio::spawn(Job { js: parts.js.clone(), bucket, replay, revision }.run());
    Ok(text)
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

fn key(replay: &Replay) -> String {
    format!("{}.{}", replay.tenant, replay.id)
}

async fn of_tenant(bucket: &Store, tenant: &str) -> anyhow::Result<Vec<(String, Replay)>> {
    let entries = entries(bucket, &format!("{tenant}.*"), None, 2 * KEPT_MAX).await?;
    Ok(entries
        .into_iter()
        .filter_map(|entry| Some((entry.key.clone(), serde_json::from_slice(&entry.value).ok()?)))
        .collect())
}

/// Takes up what was under way when the last provider ended.
pub fn resume(js: Context, bucket: Store) {
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
            let Ok(replay) = serde_json::from_slice::<Replay>(&entry.value) else { continue };
            if replay.state == State::Running {
                info!(tenant = replay.tenant, id = replay.id, position = replay.position, "replay goes on");
                let (js, bucket) = (js.clone(), bucket.clone());
                tokio::spawn(Job { js, bucket, replay, revision: entry.revision }.run());
            }
        }
    });
}

// === impl Job ===

impl Job {
    async fn run(mut self) {
        let mut last = Instant::now();
        loop {
            let before = self.replay.position;
            match self.work().await {
                Ok(true) => {
                    (self.replay.state, self.replay.done) = (State::Done, true);
                    break;
                }
                // Somebody else works on it.
                Ok(false) => return,
                Err(error) => {
                    warn!(id = self.replay.id, error = format!("{error:#}"), "replay waits");
                    if self.replay.position > before {
                        last = Instant::now();
                    }
                    if last.elapsed() > AWAY_MAX {
                        (self.replay.state, self.replay.done) = (State::Failed, true);
                        self.replay.message = Some(format!("{error:#}"));
                        break;
                    }
                    tokio::time::sleep(AWAY_WAIT).await;
                }
            }
        }
        let Replay { tenant, id, sent, state, .. } = &self.replay;
        info!(tenant, id, sent, ?state, "audit: replay ended");
        while let Err(error) = self.note().await {
            warn!(error = format!("{error:#}"), "a replay's end can't be noted, trying again");
            tokio::time::sleep(AWAY_WAIT).await;
        }
    }

    /// From where it is to the end of the window. False: somebody else took it over.
    async fn work(&mut self) -> anyhow::Result<bool> {
        let micros = |text: &str| time_us(text).with_context(|| format!("{text} is no time"));
        let (from, until) = (micros(&self.replay.from)?, micros(&self.replay.to)?);
        let stream = self.js.get_stream(streams::EVENTS).await?;
        let start = match self.replay.position {
            0 => DeliverPolicy::ByStartTime {
                start_time: time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(from) * 1_000)?,
            },
            position => DeliverPolicy::ByStartSequence { start_sequence: position + 1 },
        };
        let consumer = stream
            .create_consumer(pull::Config {
                filter_subject: streams::events_subject(&self.replay.tenant),
                ack_policy: AckPolicy::None,
                deliver_policy: start,
                memory_storage: true,
                num_replicas: 1,
                // The longest pause: a page of no more messages than the rate, each full.
                inactive_threshold: AWAY_MAX + Duration::from_secs(BATCH_EVENTS_MAX as u64),
                ..pull::Config::default()
            })
            .await?;
        let name = consumer.cached_info().name.clone();
        let ended = self.pages(&consumer, until).await;
        // It would expire by itself; asked to go, it goes now.
        let _ = stream.delete_consumer(&name).await;
        ended
    }

    async fn pages(
        &mut self,
        consumer: &async_nats::jetstream::consumer::PullConsumer,
        until_us: i64,
    ) -> anyhow::Result<bool> {
        let mut delivered = 0;
        let mut messages_max = 1;
        loop {
            self.room().await?;
            let started = Instant::now();
            let mut messages = consumer.fetch().max_messages(messages_max).expires(FETCH_WAIT).messages().await?;
            let (mut out, mut events, mut last) = (Vec::new(), 0, None);
            let before = delivered;
            let mut over = false;
            while let Some(message) = messages.next().await {
                let message = message.map_err(|e| anyhow::anyhow!(e))?;
                let info = message.info().map_err(|e| anyhow::anyhow!(e))?;
                delivered += 1;
                // Nobody acknowledges these, so JetStream does not send again what got lost.
                anyhow::ensure!(info.consumer_sequence == delivered, "a message was lost on its way");
                let published_us = info.published.unix_timestamp_nanos() / 1_000;
                if published_us >= i128::from(until_us) {
                    over = true;
                    break;
                }
                last = Some(info.stream_sequence);
                if let Some((outgoing, count)) = self.outgoing(&message, info.stream_sequence)? {
                    out.push(outgoing);
                    events += count;
                }
            }
            publish_all(&self.js, out).await?;
            counter!("eventrunner_redelivery_replayed_total").increment(events);
            self.replay.sent += events;
            self.replay.position = last.unwrap_or(self.replay.position);
            // At the stream's end, for now: what comes in later is not of this window's past.
            if over || (last.is_none() && consumer.clone().info().await?.num_pending == 0) {
                return Ok(true);
            }
            if !self.note().await? {
                return Ok(false);
            }
            messages_max = page(delivered - before, events, self.replay.events_per_s);
            tokio::time::sleep(pause(events, self.replay.events_per_s).saturating_sub(started.elapsed())).await;
        }
    }

    /// Waits until the consumer has taken most of what was replayed before.
    async fn room(&self) -> anyhow::Result<()> {
        let Replay { tenant, consumer, .. } = &self.replay;
        while !retry::has_room(&self.js, tenant, consumer, WAITING_MAX).await? {
            tokio::time::sleep(WAIT).await;
        }
        Ok(())
    }

    /// A message's events of the wanted types; none where it has none. What the consumer itself does not want, it leaves out.
    fn outgoing(&self, message: &Message, seq: u64) -> anyhow::Result<Option<(Outgoing, u64)>> {
        let Replay { id, tenant, consumer, types, .. } = &self.replay;
        let payload = Payload::of(message);
        let header = message.headers.as_ref().and_then(|headers| headers.get(streams::EVENTS_COUNT));
        let (payload, count) = if types.is_empty() {
            (payload, header.and_then(|count| count.as_str().parse().ok()).unwrap_or(1))
        } else {
            let plain = payload.unpack()?;
            let mut batch = BatchWriter::new();
            for event in parse_batch(std::str::from_utf8(&plain)?)? {
                if types.iter().any(|filter| type_matches(filter, &event.event_type)) {
                    batch.push(event.raw);
                }
            }
            let count = batch.len();
            (Payload::pack(batch.finish()), count)
        };
        let out = Outgoing {
            subject: streams::retry_subject(tenant, consumer),
            message_id: format!("replay-{id}-{seq}"),
            received_us: 0,
            headers: retry::headers(1, 0, count, &format!("p{id}")),
            payload,
        };
        Ok((count > 0).then_some((out, count as u64)))
    }

    /// Writes down how far it is. False: somebody else did.
    async fn note(&mut self) -> anyhow::Result<bool> {
        use async_nats::jetstream::kv::UpdateErrorKind;
        let text = serde_json::to_vec(&self.replay)?;
        match self.bucket.update(key(&self.replay), text.into(), self.revision).await {
            Ok(revision) => {
                self.revision = revision;
                Ok(true)
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How long so many events take at least.
fn pause(events: u64, events_per_s: u32) -> Duration {
    Duration::from_secs_f64(events as f64 / f64::from(events_per_s.max(1)))
}

/// Messages of the next page, by what the last one had: about the events of a second, so that the rate holds from one
/// second to the next.
fn page(messages: u64, events: u64, events_per_s: u32) -> usize {
    let rate = u64::from(events_per_s.max(1));
    let next = rate * messages / events.max(1);
    // Those may be large again, however small the last ones were.
    usize::try_from(next.clamp(1, rate.min(MESSAGES_MAX))).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_events_of_a_second_as_far_as_messages_can_be_counted() {
        assert_eq!(page(1, 1_000, 10), 1, "one message is the least");
        assert_eq!(page(2, 200, 1_000), 10);
        assert_eq!(page(64, 0, 10), 10);
        assert_eq!(page(1, 1, 5_000) as u64, MESSAGES_MAX);
        assert_eq!(page(64, 0, 5_000) as u64, MESSAGES_MAX, "nothing was wanted of the last page");
        assert_eq!(page(0, 0, 5_000), 1, "nothing was there");
        assert_eq!(pause(500, 1_000), Duration::from_millis(500));
    }

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
