//! Consumers that are held: by their owner, by an update, or because they failed too often in a row.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use er_event::event::rfc3339_us;
use er_tenant::consumers::{owner, owner_of_state, seen_path, state_path, By, Seen, State, EVERY_STATE};
use futures::StreamExt as _;
use metrics::counter;
use serde_json::Value;
use tokio::sync::watch;
use tracing::{info, warn};
use wasmcloud_provider_sdk::get_connection;

use crate::follow::{Followed, Record};
use crate::publish::now_us;

/// A consumer whose emitter is not linked yet fails through no fault of its own, for so long after its delivery began.
const SETTLING: Duration = Duration::from_secs(30);
const PING_WAIT: Duration = Duration::from_secs(1);
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
    in_a_row: AtomicU32,
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

    /// Tells whoever waits for it that the state is acted upon. Returns whether that is written.
    pub async fn tell_seen(&self, revision: u64, paused: bool) -> bool {
        info!(tenant = self.tenant, consumer = self.consumer, paused, "state");
        let seen = serde_json::to_vec(&Seen { revision, paused }).unwrap_or_default();
        match self.bucket.put(seen_path(&self.tenant, &self.consumer), seen.into()).await {
            Ok(_) => true,
            Err(error) => {
                warn!(%error, "can't tell that a consumer's state is acted upon");
                false
            }
        }
    }

    /// The consumer took a call, or starts anew.
    pub fn clear(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
    }

    /// A whole call failed. `emits`: whether the consumer's emitter is linked; `timeout`: whether there was no answer, which
    /// may be its host's fault. An error says that it should be paused, and could not be.
    pub async fn strike(&self, cause: &str, timeout: bool, emits: bool) -> Result<(), String> {
        if (!emits && self.started.elapsed() < SETTLING) || (timeout && !tenant_host_answers().await) {
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

/// Whether a host that runs tenants' code is alive: what does not answer on one that is not, is not slow.
async fn tenant_host_answers() -> bool {
    let connection = get_connection();
    let (nats, inbox) = (&connection.nats, connection.nats.new_inbox());
    let look = async {
        let mut answers = nats.subscribe(inbox.clone()).await.ok()?;
        let subject = format!("wasmbus.ctl.v1.{}.host.ping", connection.lattice);
        nats.publish_with_reply(subject, inbox, "".into()).await.ok()?;
        while let Some(answer) = answers.next().await {
            let answer: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
            if answer["response"]["labels"]["eventrunner.role"] == "tenant" {
                return Some(());
            }
        }
        None
    };
    tokio::time::timeout(PING_WAIT, look).await.ok().flatten().is_some()
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
    fn a_state_that_cannot_be_read_holds() {
        assert!(State::parse("acme.a", b"{").unwrap().paused);
        assert!(!State::parse("acme.a", br#"{"paused":false,"by":"owner"}"#).unwrap().paused);
    }
}
