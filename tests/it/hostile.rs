//! Twelve kinds of consumers that mean harm (`tests/hostile`), one after the other beside a neighbour under load: as new
//! code on hosts of its own, and those that reach for what a host shares on the neighbour's host as well.
//!
//! Of the neighbour nothing is lost, made up or late; neither the platform's host nor the neighbour's ever restarts where
//! the offender is not on it, and the offender's is there or back in seconds; and each event of the offender comes to its end with a reason, or waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use async_nats::jetstream;
use er_testkit::consumer::{PROBATION, PROVEN};
use er_testkit::{until, Component, Consumer, Part, Platform, Tenant};
use reqwest::Method;
use serde_json::{json, Value};

use crate::scene::Neighbour;
use crate::support::{alone, send, stored, warmed_up};

/// So many events that fail twice each are more than five strikes, however many of them share a call at first.
const EVENTS: usize = 8;
const ATTEMPTS: u64 = 2;
const STRIKES: u64 = 5;
/// What a call of one event may emit.
const EMITTED_MAX: usize = 1_024;
/// Calls at most: each attempt, and those before it was settled that the consumer's links are there. A guest whose call was
/// given up goes on, and emits what the next one may.
const CALLS_MAX: usize = 2 * EVENTS * ATTEMPTS as usize;
const ENDED_WITHIN: Duration = Duration::from_secs(300);
/// The offender's host, after it is gone: it is back in seconds, unless the machine does much else.
const BACK_WITHIN: Duration = Duration::from_secs(60);

const CUT_OFF: &str = "did not answer within 1000 ms";
const TRAPPED: &str = "trapped, or ran into a limit of its host";
const NO_ANSWER: &str = "the answer ends or breaks where a result was expected";

struct Kind {
    name: &'static str,
    component: Component,
    /// Of the offender's events, with their data.
    event: (&'static str, &'static str),
    /// What their dead letters say.
    reason: &'static str,
    /// Whether whole batches fail, so that the consumer is paused.
    strikes: bool,
}

const KINDS: [Kind; 12] = [
    by_event("endless loop", "test.loop", "1", CUT_OFF),
    by_event("memory bomb", "test.memory", "1", TRAPPED),
    by_event("stack overflow", "test.stack", "1", TRAPPED),
    by_event("huge output", "test.output", "24", "an answer of more than"),
    by_event("log flood", "test.flood", "1", CUT_OFF),
    by_event("emit storm", "test.storm", "1", CUT_OFF),
    by_event("slow answer", "test.slow", "60000", CUT_OFF),
    Kind { strikes: false, ..by_event("a thousand failures", "test.failures", "1", "test.failures: the thousandth") },
    by_component("trap at start", Component::TrapAtStart, TRAPPED),
    by_component("forbidden import", Component::ForbiddenImport, TRAPPED),
    by_component("invalid strings", Component::InvalidStrings, TRAPPED),
    by_component("wrong types", Component::WrongTypes, NO_ANSWER),
];

/// So many of them reach for what all on a host share: its cores, its memory, its connection, its log.
const REACHING_OUT: usize = 6;

const fn by_event(name: &'static str, event: &'static str, data: &'static str, reason: &'static str) -> Kind {
    Kind { name, component: Component::Hostile, event: (event, data), reason, strikes: true }
}

const fn by_component(name: &'static str, component: Component, reason: &'static str) -> Kind {
    Kind { name, component, event: ("t", "1"), reason, strikes: true }
}

/// `mallory`, with a consumer of one kind.
struct Offender<'k> {
    kind: &'k Kind,
    tenant: Tenant,
    consumer: Consumer,
    nats: async_nats::Client,
}

// === impl Offender ===

impl<'k> Offender<'k> {
    async fn start(platform: &Platform, kind: &'k Kind, host: Part) -> anyhow::Result<Self> {
        let tenant = platform.tenant("mallory").await?;
        let attempts = ATTEMPTS.to_string();
        // Those that are not to be cut off have the time that a call takes on a machine with much to do.
        let timeout_ms = if kind.reason == CUT_OFF { "1000" } else { "6000" };
        let settings = [("attempts_max", &*attempts), ("backoff_ms", "100"), ("timeout_ms", timeout_ms)];
        let role = if host == Part::ProbationHost { PROBATION } else { PROVEN };
        let consumer = platform.consumer_on(role, &tenant, kind.component, &settings).await?;
        if kind.component == Component::Hostile {
            warmed_up(&tenant, &consumer).await?;
        }
        Ok(Self { kind, tenant, consumer, nats: platform.nats().await? })
    }

    async fn provoke(&self) -> anyhow::Result<()> {
        let (event_type, data) = self.kind.event;
        for n in 0..EVENTS {
            send(&self.tenant, "/s", &n.to_string(), event_type, data).await?;
        }
        Ok(())
    }

    /// Whether it is paused; if so, for its strikes, in words that its owner understands.
    async fn paused(&self) -> anyhow::Result<bool> {
        let bucket = jetstream::new(self.nats.clone()).get_key_value("ER_CONSUMERS").await?;
        let found = bucket.get(format!("{}.{}.state", self.tenant.id, self.consumer.id)).await?;
        let Some(state) = found else { return Ok(false) };
        let state: Value = serde_json::from_slice(&state)?;
        if state["paused"] != true {
            return Ok(false);
        }
        ensure!(state["by"] == "strikes" && state["strikes"].as_u64() >= Some(STRIKES), "{state}");
        let said = state["reason"].as_str().context("no reason")?;
        ensure!(said.contains(self.kind.reason) && said.contains("resume"), "{state}");
        Ok(true)
    }

    /// What it emitted came in as far as it may, and no further.
    async fn emitted(&self) -> anyhow::Result<()> {
        let emitted = self.tenant.events("type=test.stormed").await?.len();
        let may = if self.kind.event.0 == "test.storm" { 1..=CALLS_MAX * EMITTED_MAX } else { 0..=0 };
        ensure!(may.contains(&emitted), "it emitted {emitted} events");
        Ok(())
    }

    async fn resume(&self) -> anyhow::Result<()> {
        let path = format!("/api/v1/consumers/{}:resume", self.consumer.id);
        let answer = self.tenant.client.call(Method::POST, &path, Some(&json!({}))).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(())
    }

    /// Every event came to its end, with a reason that says what happened.
    /// What fails as a whole is paused on the way, and let go on by its owner each time: what waited meanwhile is not lost.
    async fn ends(&self) -> anyhow::Result<()> {
        let pauses = AtomicUsize::new(0);
        let letters = until("dead letters of all events", ENDED_WITHIN, || async {
            if self.paused().await? {
                pauses.fetch_add(1, Ordering::Relaxed);
                self.resume().await?;
            }
            let letters = self.tenant.dead_letters().await?;
            ensure!(letters.len() >= EVENTS, "{} of {EVENTS}: {letters:?}", letters.len());
            Ok(Some(letters))
        })
        .await?;
        let pauses = pauses.into_inner();
        ensure!((pauses > 0) == self.kind.strikes, "it was paused {pauses} times");
        for n in 0..EVENTS {
            let id = n.to_string();
            let of: Vec<&Value> = letters.iter().filter(|letter| letter["event"]["id"] == id.as_str()).collect();
            let [letter] = of.as_slice() else { anyhow::bail!("event {id} has {} dead letters", of.len()) };
            ensure!(letter["stage"] == "deliver" && letter["consumer"] == self.consumer.id, "{letter}");
            ensure!(letter["attempts"] == ATTEMPTS, "{letter}");
            let said = letter["reason"].as_str().context("no reason")?;
            ensure!(said.contains(self.kind.reason), "expected {:?}: {letter}", self.kind.reason);
            // Whatever became of it, it is stored as any other.
            stored(&self.tenant, "/s", &id).await?;
        }
        ensure!(letters.len() == EVENTS, "{letters:?}");
        Ok(())
    }
}

/// A kind from its first event to its end; what there is to say of it.
async fn misbehaves(platform: &Platform, neighbour: &Neighbour, kind: &Kind, on: Part) -> anyhow::Result<String> {
    let started = Instant::now();
    let processes = &platform.processes;
    let others = [Part::PlatformHost, Part::TenantHost].into_iter().filter(|part| *part != on);
    let others: Vec<_> = others.map(|part| (part, processes.identity(part))).collect();
    let own = processes.identity(on);
    let offender = match Offender::start(platform, kind, on).await {
        Ok(offender) => offender,
        // The gate lets it not even start, and names what it reaches for; where there is no gate, nothing answers it.
        Err(refused) if kind.component == Component::ForbiddenImport => {
            ensure!(format!("{refused:#}").contains("eventrunner:platform/kv"), "{refused:#}");
            return Ok(format!("{:<20} refused at deployment", kind.name));
        }
        Err(error) => return Err(error),
    };
    offender.provoke().await?;
    offender.ends().await?;
    offender.emitted().await?;
    platform.retire(&offender.consumer).await?;
    processes.wait(on, BACK_WITHIN).await.context("the offender's host is not back")?;
    let (watched, slowest_ms) = neighbour.goes_on().await?;
    for (part, before) in others {
        ensure!(before.is_some() && processes.identity(part) == before, "{part:?} was restarted");
    }
    let survived = if processes.identity(on) == own { "stayed" } else { "restarted" };
    Ok(format!(
        "{:<20} {on:?} {:>5.1} s   host {survived}   neighbour: {watched} watched, the slowest {slowest_ms} ms",
        kind.name,
        started.elapsed().as_secs_f32()
    ))
}

#[test]
fn whoever_means_harm_harms_nobody_else() -> anyhow::Result<()> {
    alone(|platform: Arc<Platform>| async move {
        let neighbour = Neighbour::start(&platform, "alice").await?;
        let mut faults = Vec::new();
        let apart = KINDS.iter().map(|kind| (kind, Part::ProbationHost));
        let together = KINDS.iter().take(REACHING_OUT).map(|kind| (kind, Part::TenantHost));
        for (kind, on) in apart.chain(together) {
            match misbehaves(&platform, &neighbour, kind, on).await {
                Ok(said) => eprintln!("{said}"),
                Err(error) => {
                    eprintln!("{:<20} {on:?} {error:#}", kind.name);
                    faults.push(format!("{} on {on:?}: {error:#}", kind.name));
                }
            }
        }
        neighbour.stop().await?;
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    })
}
