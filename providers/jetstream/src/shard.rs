//! One shard of `ER_RAW`: pull, hand to the engine, publish the outcome, acknowledge. In order per tenant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::Context;
use er_event::dead::{read_dead, DeadLetter};
use er_event::event::split;
use er_event::Runs;
use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::metrics::{dropped, failed, retried, Stage};
use er_provider_kit::trace;
use er_tenant::rules::NO_RULES;
use metrics::{counter, histogram};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn, Instrument as _};

use crate::ack::{self, Delivery};
use crate::batch::{group, Group};
use crate::components::{process, ComponentError, Outcome, Work};
use crate::meter;
use crate::payload::Payload;
use crate::publish::{now_us, publish_all, Outgoing};
use crate::pull::{Prefetch, Puller};
use crate::retry::dead_letter;
use crate::streams;
use crate::tenants::Tenants;
use crate::usage::UsageLog;

/// What the acknowledgement deadline adds to the call's: the publish of its outcome.
const ACK_MARGIN: Duration = Duration::from_secs(25);
const PREFETCH: Prefetch = Prefetch { messages: 64, bytes: 2 << 20 };
/// What one tenant may have waiting must not keep the others' away, so several times as many.
const UNACKNOWLEDGED_MAX: i64 = 4 * streams::RAW_MESSAGES_PER_TENANT_MAX;
/// Until what waits for its tenant's records to be mended is looked at again.
const UNREADABLE_WAIT: Duration = Duration::from_secs(10);
/// After so many failed deliveries the events of a message are tried one by one, to find the one that breaks it.
const ISOLATE_AFTER: u64 = 6;
/// How long a batch is kept for an engine that is not there, and how often it is looked for. Nothing was begun, so that to
/// ask again changes nothing; to give the batch back would count as a delivery that failed, and let others go ahead.
const AWAY_MAX: Duration = Duration::from_secs(5);
const AWAY_LOOK: Duration = Duration::from_millis(250);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often an event must fail alone, with a probe that works after each, to be given up.
const ATTEMPTS_ALONE: usize = 2;
/// Raw JSON, so that it takes every step. It rests in the operators' tenant, which has no events of its own.
const PROBE: &str = r#"[{"specversion":"1.0","id":"probe","source":"/raw","type":"io.eventrunner.raw","time":"1970-01-01T00:00:00Z","data":{}}]"#;

/// Feeds one shard to the engine.
#[derive(Clone)]
pub struct Shard {
    pub js: Context,
    pub nats: async_nats::Client,
    pub caller: Caller,
    pub engine: Arc<str>,
    pub timeout: Duration,
    pub tenants: Tenants,
    pub usage: UsageLog,
    pub index: u32,
}

// === impl Shard ===

impl Shard {
    pub async fn run(self, stop: CancellationToken) {
        let (name, filter) = (format!("engine-{}", self.index), format!("er.raw.{}.>", self.index));
        let config = pull::Config {
            max_ack_pending: UNACKNOWLEDGED_MAX,
            ..streams::durable(name, filter, self.timeout + ACK_MARGIN, true)
        };
        let mut puller = Puller::new(self.js.clone(), streams::RAW, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            self.round(deliveries).await;
        }
    }

    /// Tenants side by side, each tenant's messages in order.
    async fn round(&self, deliveries: Vec<Delivery>) {
        let mut tenants: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for delivery in deliveries {
            match streams::tenant_of_raw(delivery.subject()).map(str::to_string) {
                Some(tenant) => tenants.entry(tenant).or_default().push(delivery),
                None => {
                    error!(subject = delivery.subject(), "no tenant in the subject of a raw message");
                    delivery.retry(BACKOFF_MAX).await;
                }
            }
        }
        futures::future::join_all(tenants.into_iter().map(|(tenant, deliveries)| self.tenant(tenant, deliveries)))
            .await;
    }

    async fn tenant(&self, tenant: String, deliveries: Vec<Delivery>) {
        // What failed before goes alone, so that it can't take others along; and what was redriven, to be known as such.
        let again = deliveries.iter().any(|delivery| delivery.position().1 > 1 || delivery.round() != "");
        let mut groups = group(deliveries, if again { 1 } else { PREFETCH.messages }).into_iter();
        while let Some(next) = groups.next() {
            if let Err(wait) = self.settle(&tenant, next).await {
                // Order: what comes behind a failed batch waits with it.
                for behind in groups.by_ref() {
                    for delivery in behind.deliveries {
                        delivery.retry(wait).await;
                    }
                }
            }
        }
    }

    /// Brings a group to its outcome, or gives it back to the stream and says how long for.
    async fn settle(&self, tenant: &str, group: Group) -> Result<(), Duration> {
        let (first, delivered) = group.deliveries.first().map_or((0, 1), Delivery::position);
        let last = group.deliveries.last().map_or((0, 1), Delivery::position).0;
        let id = format!("{}-{first}-{last}", self.index);
        if let Some(record) = self.tenants.unreadable(tenant) {
            // Told once, by whoever could not read it.
            debug!(tenant, first, last, record, "raw batch waits for a record that can be read");
            for delivery in group.deliveries {
                delivery.retry(UNREADABLE_WAIT).await;
            }
            return Err(UNREADABLE_WAIT);
        }
        let started = Instant::now();
        let span = crate::pull::span("process", streams::RAW, tenant, &group.deliveries);
        let result = async {
            if delivered > ISOLATE_AFTER {
                self.isolate(tenant, &group, &id).await
            } else {
                self.together(tenant, &group, &id).await
            }
        }
        .instrument(span.clone())
        .await;
        histogram!("eventrunner_engine_call_seconds").record(started.elapsed().as_secs_f64());
        match result {
            Ok(()) => {
                for delivery in group.deliveries {
                    delivery.done().await;
                }
                Ok(())
            }
            Err(reason) => {
                let wait = backoff(delivered);
                trace::failed(&span, "retried");
                warn!(tenant, first, last, delivered, reason, wait_ms = wait.as_millis() as u64, "raw batch goes back");
                retried(Stage::Engine, 1);
                for delivery in group.deliveries {
                    delivery.retry(wait).await;
                }
                Err(wait)
            }
        }
    }

    async fn together(&self, tenant: &str, group: &Group, id: &str) -> Result<(), String> {
        let batch = group.batch().map_err(|e| e.to_string())?;
        let claims = group.claims();
        let outcome = self.process(tenant, &claims, text(&batch)?).await.map_err(|e| e.to_string())?;
        histogram!("eventrunner_engine_batch_events").record(group.count() as f64);
        let used = meter::raw(tenant, &group.deliveries, outcome.evaluations.as_ref(), outcome.repeated.as_ref())?;
        let unchanged = || (group.payload(&batch), group.count());
        let publish = self.publish(tenant, unchanged, outcome, id, group);
        futures::future::try_join(publish, self.usage.record(used)).await.map(|_| ())
    }

    async fn process(&self, tenant: &str, claims: &Runs, raw: &str) -> Result<Outcome, ComponentError> {
        let began = Instant::now();
        let outcome = loop {
            // One version for the whole batch.
            let (rules, keep_h) = (self.tenants.rules_of(tenant), self.tenants.keep_h_of(tenant));
            let work = Work { tenant, rules, keep_h, claims, raw };
            let outcome = process(&self.caller, &self.engine, work, self.timeout).await;
            let away = matches!(outcome, Err(ComponentError::Call(CallError::NoResponders { .. })));
            if !away || began.elapsed() >= AWAY_MAX {
                break outcome;
            }
            tokio::time::sleep(AWAY_LOOK).await;
        };
        match &outcome {
            Ok(outcome) => {
                let evaluations: u64 = outcome.evaluations.as_ref().map_or(0, |runs| runs.iter().sum());
                counter!("eventrunner_rules_evaluations_total").increment(evaluations);
            }
            Err(error) => failed(Stage::Engine, error.word()),
        }
        outcome
    }

    /// Publishes the outcome of a batch. `unchanged`: the batch itself, and how many events it holds.
    async fn publish(
        &self,
        tenant: &str,
        unchanged: impl FnOnce() -> (Payload, usize),
        outcome: Outcome,
        id: &str,
        group: &Group,
    ) -> Result<(), String> {
        let (received_us, _) = first(group);
        // The engine answers when all of it is stored.
        let latency = Duration::from_micros(now_us().saturating_sub(received_us));
        histogram!("eventrunner_engine_ingest_to_store_seconds").record(latency);
        let mut out = Vec::new();
        let ran = outcome.rules;
        let mut batches = Vec::new();
        match outcome.events {
            Some(events) => {
                for batch in events {
                    let count = split(&batch).map_err(|e| format!("engine's events: {e}"))?.len();
                    batches.push((Payload::pack(batch), count));
                }
            }
            None => batches.push(unchanged()),
        }
        for (index, (payload, count)) in batches.into_iter().enumerate().filter(|(_, (_, count))| *count > 0) {
            counter!("eventrunner_engine_events_total").increment(count as u64);
            out.push(Outgoing {
                subject: streams::events_subject(tenant),
                message_id: format!("events-{id}-{index}"),
                received_us,
                headers: vec![(streams::EVENTS_COUNT, count.to_string())],
                payload,
            });
        }
        if outcome.dead != "[]" {
            // What came before, or was redriven, is in a group of its own.
            let claim = if group.deliveries.len() == 1 { group.claims().iter().next() } else { None };
            let items = read_dead(&outcome.dead).map_err(|e| format!("engine's dead letters: {e}"))?;
            for item in items {
                let letter = given_up(item.stage.into_owned(), item.reason.into_owned(), 1, item.event);
                out.push(letter_of(tenant, group, claim, &letter));
            }
        }
        publish_all(&self.js, out).await.map_err(|e| e.to_string())?;
        if let Some(ran) = ran {
            self.report(tenant, ran).await;
        }
        Ok(())
    }

    /// What the rules did, on `er.report.rules.<tenant>` for whoever listens. Not durable.
    async fn report(&self, tenant: &str, ran: String) {
        let stats: serde_json::Value = serde_json::from_str(&ran).unwrap_or_default();
        let number = |name: &str| stats.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        counter!("eventrunner_rules_events_total").increment(number("events"));
        dropped("rules".into(), "dropped", true, usize::try_from(number("dropped")).unwrap_or_default());
        counter!("eventrunner_rules_events_emitted_total").increment(number("emitted"));
        let fired = stats.get("fired").and_then(serde_json::Value::as_object);
        let fired = fired.map_or(0, |fired| fired.values().filter_map(serde_json::Value::as_u64).sum());
        counter!("eventrunner_rules_fired_total").increment(fired);
        if let Err(error) = self.nats.publish(format!("er.report.rules.{tenant}"), ran.into()).await {
            warn!(%error, "rules report not sent");
        }
    }

    /// One event a call: the others reach their end, the one that breaks the engine becomes a dead letter.
    async fn isolate(&self, tenant: &str, group: &Group, id: &str) -> Result<(), String> {
        let batch = group.batch().map_err(|e| e.to_string())?;
        let events = split(text(&batch)?).map_err(|e| e.to_string())?;
        let mut dead = Vec::new();
        let (mut evaluations, mut repeated) = (Runs::default(), Runs::default());
        for ((index, event), claim) in events.iter().enumerate().zip(group.claims().iter()) {
            let alone = format!("[{event}]");
            let number = |runs: &Option<Runs>| runs.as_ref().and_then(|runs| runs.iter().next()).unwrap_or_default();
            match self.try_alone(tenant, &Runs::of(1, claim), &alone).await? {
                Ok(outcome) => {
                    evaluations.push(number(&outcome.evaluations));
                    repeated.push(number(&outcome.repeated));
                    let unchanged = || (Payload::pack(alone.clone()), 1);
                    self.publish(tenant, unchanged, outcome, &format!("{id}-{index}"), group).await?;
                }
                Err(reason) => {
                    evaluations.push(0);
                    repeated.push(0);
                    let attempts = u32::try_from(ISOLATE_AFTER).unwrap_or(u32::MAX);
                    let letter = given_up("engine".into(), reason, attempts, event);
                    dead.push(letter_of(tenant, group, Some(claim), &letter));
                }
            }
        }
        publish_all(&self.js, dead).await.map_err(|e| e.to_string())?;
        self.usage.record(meter::raw(tenant, &group.deliveries, Some(&evaluations), Some(&repeated))?).await
    }

    /// The event's outcome, or why it is the event's own fault that it has none: between two calls that work, its
    /// own does not. A component traps in the same way where something that it calls is away, and no event may be
    /// given up for that: the outer error says to come back later.
    async fn try_alone(&self, tenant: &str, claim: &Runs, alone: &str) -> Result<Result<Outcome, String>, String> {
        let mut last = None;
        for _ in 0..ATTEMPTS_ALONE {
            match self.process(tenant, claim, alone).await {
                Ok(outcome) => return Ok(Ok(outcome)),
                Err(
                    error @ (ComponentError::Refused { transient: true, .. }
                    | ComponentError::Call(CallError::NoResponders { .. } | CallError::Lattice(_))),
                ) => return Err(error.to_string()),
                Err(error) => last = Some(error.to_string()),
            }
            self.probe().await?;
        }
        Ok(Err(last.unwrap_or_default()))
    }

    /// Whether an event that breaks nothing gets through every step behind the engine: normalizer, rules, store.
    async fn probe(&self) -> Result<(), String> {
        let probe = Work {
            tenant: er_tenant::OPERATOR,
            rules: Some(NO_RULES),
            keep_h: None,
            claims: &Runs::of(1, 0),
            raw: PROBE,
        };
        match process(&self.caller, &self.engine, probe, self.timeout).await {
            Ok(outcome) if outcome.dead == "[]" => Ok(()),
            Ok(outcome) => Err(format!("the engine works on nothing at the moment: {}", outcome.dead)),
            Err(error) => Err(format!("the engine works on nothing at the moment: {error}")),
        }
    }
}

/// When the first event of a group came in, and by which redrive; a group with one is of one message.
fn first(group: &Group) -> (u64, &str) {
    group.deliveries.first().map_or((0, ""), |first| (first.received_us(), first.round()))
}

/// What is said of an event that goes no further.
fn given_up(stage: String, reason: String, attempts: u32, event: &str) -> DeadLetter {
    DeadLetter {
        stage,
        reason,
        attempts,
        consumer: None,
        revision: None,
        time_us: i64::try_from(now_us()).unwrap_or(i64::MAX),
        event: event.to_string(),
    }
}

/// The dead letter of an event of a group. `claim`: by which the store may know it.
fn letter_of(tenant: &str, group: &Group, claim: Option<u64>, letter: &DeadLetter) -> Outgoing {
    let (received_us, round) = first(group);
    let headers = claim.map(|claim| (streams::CLAIM, claim.to_string())).into_iter().collect();
    Outgoing { headers, ..dead_letter(tenant, received_us, round, letter) }
}

fn text(batch: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(batch).map_err(|e| format!("the raw batch is not UTF-8: {e}"))
}

fn backoff(delivered: u64) -> Duration {
    ack::backoff(BACKOFF_MIN, BACKOFF_MAX, delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_takes_every_step_and_passes() {
        let event = split(PROBE).unwrap()[0];
        assert_eq!(er_event::EventRef::parse(event).unwrap().event_type, er_event::RAW_TYPE);
        let mappings = er_event::normalize::Mappings::builtin();
        let done = er_event::normalize::normalize(&mappings, er_tenant::OPERATOR, PROBE).unwrap();
        assert!(done.rejected.is_empty(), "{:?}", done.rejected);
    }

    #[test]
    fn backs_off_exponentially_up_to_a_ceiling() {
        assert_eq!(backoff(1), BACKOFF_MIN);
        assert_eq!(backoff(3), BACKOFF_MIN * 4);
        assert_eq!(backoff(500), BACKOFF_MAX);
    }
}
