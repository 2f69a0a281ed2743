//! Consumers that are held: by their owner, by an update, or because they failed too often in a row.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use er_event::event::rfc3339_us;
use er_tenant::consumers::{owner, owner_of_state, seen_path, state_path, By, Seen, State, EVERY_STATE};
use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::follow::{Followed, Record};
use crate::hosts;
use crate::publish::now_us;

/// How long the host of a consumer that is new must have been at leisure, so that it has taken in the consumer's links.
const LEISURE: Duration = Duration::from_secs(3);
/// A consumer that may emit gets its emitter's link about when its delivery begins; one that never gets it does without.
const EMITTER_WITHIN: Duration = Duration::from_secs(30);
/// Whatever its host does: after so long the fault is the consumer's.
const SETTLED_AFTER: Duration = Duration::from_secs(180);
/// Characters of a failure that are told with a pause.
const CAUSE_CHARS_MAX: usize = 300;

/// What one consumer's state is, and how often it failed in a row.
pub struct Strikes {
    bucket: Store,
    states: Followed<State>,
    tenant: String,
    consumer: String,
    max: u32,
    started: Instant,
    /// Whether it ever took a call: then its links are there.
    took_ever: AtomicBool,
    took: watch::Sender<Took>,
    /// Which host ran it when that was last asked.
    host: Mutex<Option<String>>,
    /// Since when its host answers at once, as far as it was asked.
    leisure: Mutex<Option<Instant>>,
    in_a_row: AtomicU32,
}

/// Since when a consumer takes calls, and how long after that it took the last that is told of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    first: Option<Instant>,
    pub told_s: Option<u64>,
}

// === impl Took ===

impl Took {
    /// A call was taken. Whether that is to be told: the first is, and those that make the time a quarter longer.
    fn note(&mut self, now: Instant) -> bool {
        let first = *self.first.get_or_insert(now);
        let lasts_s = now.saturating_duration_since(first).as_secs();
        let tell = self.told_s.is_none_or(|told_s| lasts_s > told_s + told_s / 4);
        if tell {
            self.told_s = Some(lasts_s);
        }
        tell
    }
}

impl Record for State {
    const FILTER: &'static str = EVERY_STATE;

    fn owner(key: &str) -> Option<&str> {
        owner_of_state(key)
    }

    /// One that can't be read holds its consumer: it may have said so.
    fn parse(owner: &str, value: &[u8]) -> anyhow::Result<Self> {
        Ok(serde_json::from_slice(value).unwrap_or_else(|error| {
            warn!(consumer = owner, %error, "a consumer's state can't be read: taken as paused");
            State {
                paused: true,
                by: By::Owner,
                reason: format!("its state can't be read: {error}"),
                at: String::new(),
                strikes: 0,
            }
        }))
    }
}

// === impl Strikes ===

impl Strikes {
    pub fn new(bucket: Store, states: Followed<State>, tenant: &str, consumer: &str, max: u32) -> Self {
        Self {
            bucket,
            states,
            tenant: tenant.into(),
            consumer: consumer.into(),
            max,
            started: Instant::now(),
            took_ever: AtomicBool::new(false),
            took: watch::Sender::default(),
            host: Mutex::default(),
            leisure: Mutex::default(),
            in_a_row: AtomicU32::new(0),
        }
    }

    /// Revision of the state (0: there is none), and whether the consumer is held.
    pub fn held(&self) -> (u64, bool) {
        let state = self.states.at(&owner(&self.tenant, &self.consumer));
        state.map_or((0, false), |(revision, state)| (revision, state.paused))
    }

    pub fn changes(&self) -> watch::Receiver<()> {
        self.states.changes()
    }

    /// What is to be told of the calls that it took since it was last started.
    pub fn takes(&self) -> watch::Receiver<Took> {
        self.took.subscribe()
    }

    /// Tells whoever waits for it what is acted upon. Returns whether that is written.
    pub async fn tell_seen(&self, seen: Seen) -> bool {
        let Seen { paused, took_s, .. } = seen;
        info!(tenant = self.tenant, consumer = self.consumer, paused, took_s, "state");
        let seen = serde_json::to_vec(&seen).unwrap_or_default();
        match self.bucket.put(seen_path(&self.tenant, &self.consumer), seen.into()).await {
            Ok(_) => true,
            Err(error) => {
                warn!(%error, "can't tell that a consumer's state is acted upon");
                false
            }
        }
    }

    /// The consumer took a call.
    pub fn took(&self) {
        self.took_ever.store(true, Ordering::Relaxed);
        self.in_a_row.store(0, Ordering::Relaxed);
        self.took.send_if_modified(|took| took.note(Instant::now()));
    }

    /// It starts anew.
    pub fn clear(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.took.send_replace(Took::default());
    }

    /// Whether a whole call may have failed only since the consumer's host has not taken in its links yet, which it does when
    /// it has compiled whatever was started before: a call of the emitter traps until then. `component`: the consumer in the lattice;
    /// `emits`: whether its emitter's link is here.
    pub async fn settling(&self, component: &str, emits: bool) -> bool {
        let age = self.started.elapsed();
        if self.took_ever.load(Ordering::Relaxed) || age > SETTLED_AFTER {
            return false;
        }
        let at_leisure = (emits || age > EMITTER_WITHIN) && self.answers(component).await;
        let mut leisure = self.leisure.lock();
        *leisure = at_leisure.then(|| leisure.unwrap_or_else(Instant::now));
        leisure.is_none_or(|since| since.elapsed() < LEISURE)
    }

    /// Whether its host says at once that it runs it. Notes which one that is.
    async fn answers(&self, component: &str) -> bool {
        let host = hosts::of(component).await;
        if host.is_some() {
            self.host.lock().clone_from(&host);
        }
        host.is_some()
    }

    /// Whether its host is alive: the one that ran it last, where none says that it does.
    async fn is_served(&self, component: &str) -> bool {
        if self.answers(component).await {
            return true;
        }
        let last = self.host.lock().clone();
        match last {
            Some(host) => hosts::alive(&host).await,
            None => false,
        }
    }

    /// A whole call of `component` failed. `timeout`: whether there was no answer, which may be its host's fault. An error says that it
    /// should be paused, and could not be.
    pub async fn strike(&self, component: &str, cause: &str, timeout: bool) -> Result<(), String> {
        if timeout && !self.is_served(component).await {
            return Ok(());
        }
        let strikes = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        counter!("eventrunner_delivery_strikes_total").increment(1);
        if self.max == 0 || strikes < self.max {
            return Ok(());
        }
        self.pause(strikes, cause).await.map_err(|e| format!("the consumer can't be paused: {e:#}"))
    }

    async fn pause(&self, strikes: u32, cause: &str) -> anyhow::Result<()> {
        let key = state_path(&self.tenant, &self.consumer);
        let there = self.bucket.entry(key.as_str()).await?;
        let revision = there.as_ref().map_or(0, |entry| entry.revision);
        let paused = there.and_then(|entry| serde_json::from_slice::<State>(&entry.value).ok());
        if paused.is_some_and(|state| state.paused) {
            return Ok(());
        }
        let state = State {
            paused: true,
            by: By::Strikes,
            reason: reason(strikes, cause),
            at: rfc3339_us(i64::try_from(now_us()).unwrap_or(i64::MAX)),
            strikes,
        };
        let value = serde_json::to_vec(&state)?.into();
        // Over 0 where nothing was there. Who changed it in between knows better.
        let written = match self.bucket.update(&key, value, revision).await {
            Err(error) if error.kind() != UpdateErrorKind::WrongLastRevision => Err(error).context("the state"),
            _ => Ok(()),
        };
        counter!("eventrunner_delivery_pauses_total").increment(1);
        warn!(tenant = self.tenant, consumer = self.consumer, strikes, cause, "paused");
        written
    }
}

fn reason(strikes: u32, cause: &str) -> String {
    let cause: String = cause.chars().take(CAUSE_CHARS_MAX).collect();
    format!(
        "paused after {strikes} calls in a row that failed as a whole; the last one: {cause}. Events wait, none is lost. Put \
         in a version that is mended, or resume it to try again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_what_happened_how_often_and_what_to_do() {
        let said = reason(5, &"x".repeat(1_000));
        assert!(
            said.contains("5 calls in a row") && said.contains("none is lost") && said.contains("resume"),
            "{said}"
        );
        assert!(said.chars().count() <= er_tenant::consumers::REASON_CHARS_MAX, "{}", said.len());
    }

    #[test]
    fn of_calls_that_are_taken_fewer_and_fewer_are_told() {
        let (start, mut took) = (Instant::now(), Took::default());
        let told: Vec<u64> = (0..10_000)
            .filter_map(|tenth| took.note(start + Duration::from_millis(100) * tenth).then_some(took.told_s)?)
            .collect();
        assert_eq!(told.len(), 27, "{told:?}");
        assert!(told.starts_with(&[0, 1, 2, 3, 4, 6, 8, 11]) && told.is_sorted(), "{told:?}");
        assert!(!took.note(start), "time does not go back");
    }

    #[test]
    fn a_state_that_cannot_be_read_holds() {
        assert!(State::parse("acme.a", b"{").unwrap().paused);
        assert!(!State::parse("acme.a", br#"{"paused":false,"by":"owner"}"#).unwrap().paused);
    }
}
