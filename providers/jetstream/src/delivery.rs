//! One call of a consumer: with what it wants and may have, and what becomes of what it did not handle.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use er_event::dead::DeadLetter;
use er_event::event::{parse_batch, split, type_matches, types, BatchWriter, EventRef};
use er_event::Runs;
use er_provider_kit::call::CallError;
use er_provider_kit::metrics::{failed, Stage};
use er_provider_kit::trace;
use metrics::{counter, histogram};
use tracing::{info, warn, Instrument as _};

use crate::ack::Delivery;
use crate::components::{handle, ComponentError};
use crate::consumer::{header, Consumer};
use crate::gate::Denied;
use crate::meter::{self, Called, Deliveries};
use crate::publish::{now_us, publish_all, Outgoing};
use crate::pull;
use crate::retry::{dead_letter, Policy, Unhandled, ATTEMPT};
use crate::streams;

/// The stage of dead letters that a policy made.
const POLICY_STAGE: &str = "policy";

/// What tells one call's events from another's.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    /// Which attempt, from 1.
    attempt: u32,
    received_us: u64,
    /// The same on every repeat.
    id: &'a str,
    /// Which redrive or replay brought them; empty where none did.
    round: &'a str,
}

/// The kinds of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    First,
    Retry,
}

/// The batch could not be brought to an end now, through no fault of its own.
#[derive(Debug)]
pub struct Away(pub String);

// === impl Kind ===

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::First => "deliver",
            Self::Retry => "retry",
        }
    }

    /// Where its messages come from.
    fn stream(self) -> &'static str {
        match self {
            Self::First => streams::EVENTS,
            Self::Retry => streams::RETRY,
        }
    }
}

// === impl Consumer ===

impl Consumer {
    /// Brings messages to their end. `what`: the kind of delivery, which with the message's place names what is metered.
    pub async fn deliver(&self, what: Kind, group: &[Delivery]) -> Result<(), Away> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        let span = pull::span("deliver", what.stream(), &self.settings.tenant, group);
        trace::note(&span, "eventrunner.consumer", self.name.to_string());
        trace::note(&span, "eventrunner.attempt", i64::from(header(first, ATTEMPT).unwrap_or(1u32)));
        let result = self.bring(what, group, first).instrument(span.clone()).await;
        if result.is_err() {
            trace::failed(&span, "waits");
        }
        result
    }

    async fn bring(&self, what: Kind, group: &[Delivery], first: &Delivery) -> Result<(), Away> {
        let id = format!("{}-{}", first.position().0, group.len());
        let attempt = header(first, ATTEMPT).unwrap_or(1);
        let call = Call { attempt, received_us: first.received_us(), id: &id, round: first.round() };
        let batch = crate::batch::joined(group).map_err(|e| Away(e.to_string()))?;
        let text = std::str::from_utf8(&batch).map_err(|e| Away(e.to_string()))?;
        let mut metered = Deliveries::of(group.len());
        let count = group.iter().map(Delivery::events).sum();
        let broken = |e: er_event::Reject| Away(e.to_string());
        if self.takes_all(text, count) && self.denied(types(text).map_err(broken)?.iter()).await?.is_empty() {
            let called = self.attempt(text, count, call).await?;
            if called.failed.is_empty() {
                metered.note_whole(group, called.wall);
            } else {
                let events = split(text).map_err(|e| Away(e.to_string()))?;
                metered.note(&meter::owners(group), |place| bytes(&events, place), &called);
            }
        } else {
            self.deliver_wanted(text, group, call, &mut metered).await?;
        }
        let name = format!("{}.{}", what.as_str(), self.name);
        let used = metered.records(&self.settings.tenant, &name, self.settings.memory_mib, group).map_err(Away)?;
        self.usage.record(used).await.map_err(Away)
    }

    /// Only the events that the consumer wants, in as many calls as its batch size asks for.
    async fn deliver_wanted(
        &self,
        text: &str,
        group: &[Delivery],
        call: Call<'_>,
        metered: &mut Deliveries,
    ) -> Result<(), Away> {
        let events = parse_batch(text).map_err(|e| Away(e.to_string()))?;
        let owners = meter::owners(group);
        let mut wanted: Vec<_> = events.iter().zip(owners.iter()).filter(|(event, _)| self.wants(event)).collect();
        let types: BTreeSet<&Cow<'_, str>> = wanted.iter().map(|(event, _)| &event.event_type).collect();
        let denied = self.denied(types.into_iter()).await?;
        if !denied.is_empty() {
            let kept = |event: &EventRef<'_>| !denied.contains_key(&*event.event_type);
            let (may, may_not) = wanted.into_iter().partition(|(event, _)| kept(event));
            wanted = may;
            self.drop_denied(may_not, &denied, call).await?;
        }
        let wanted: Vec<(&str, u64)> = wanted.into_iter().map(|(event, owner)| (event.raw, owner)).collect();
        for (index, part) in wanted.chunks(self.settings.batch_events_max).enumerate() {
            let mut batch = BatchWriter::new();
            part.iter().for_each(|(event, _)| batch.push(event));
            let id = format!("{}-{index}", call.id);
            let called = self.attempt(&batch.finish(), part.len(), Call { id: &id, ..call }).await?;
            let owners: Runs = part.iter().map(|(_, owner)| *owner).collect();
            let (part, _): (Vec<&str>, Vec<u64>) = part.iter().copied().unzip();
            metered.note(&owners, |place| bytes(&part, place), &called);
        }
        Ok(())
    }

    /// Which of these types may not go to the consumer. Where that is not known, the batch waits.
    async fn denied<'t>(&self, types: impl Iterator<Item = &'t Cow<'t, str>>) -> Result<Denied, Away> {
        self.gate.denied(types.map(|event_type| &**event_type)).await.map_err(|e| Away(format!("policy: {e}")))
    }

    /// The end of events that the policy keeps from the consumer.
    async fn drop_denied(
        &self,
        events: Vec<(&EventRef<'_>, u64)>,
        denied: &Denied,
        call: Call<'_>,
    ) -> Result<(), Away> {
        let letter = |(event, _): (&EventRef<'_>, u64)| {
            let denial = denied.get(&*event.event_type)?;
            let letter = DeadLetter {
                stage: POLICY_STAGE.into(),
                reason: denial.reason.clone(),
                attempts: call.attempt,
                consumer: Some(self.name.to_string()),
                revision: Some(denial.revision.clone()),
                time_us: i64::try_from(now_us()).unwrap_or(i64::MAX),
                event: event.raw.to_string(),
            };
            Some(dead_letter(&self.settings.tenant, call.received_us, call.round, &letter))
        };
        let letters: Vec<Outgoing> = events.into_iter().filter_map(letter).collect();
        publish_all(&self.js, letters).await.map_err(|e| Away(e.to_string()))
    }

    /// Whether the batch can go to the consumer as it is, without being looked into.
    fn takes_all(&self, text: &str, count: usize) -> bool {
        let any_type = self.settings.types.is_empty() || self.settings.types.iter().any(|t| t == "*");
        any_type
            && self.settings.routes.is_empty()
            && count <= self.settings.batch_events_max
            && !text.contains("\"eremitter\"")
    }

    /// A consumer does not see what it emitted itself: that would be a loop.
    fn wants(&self, event: &EventRef<'_>) -> bool {
        let types = &self.settings.types;
        (types.is_empty() || types.iter().any(|filter| type_matches(filter, &event.event_type)))
            && self.routed_here(event)
            && event.extension("eremitter").is_none_or(|emitter| emitter != *self.id)
    }

    /// Whether rules routed the event to one of the sub-streams that the consumer wants.
    fn routed_here(&self, event: &EventRef<'_>) -> bool {
        let routes = &self.settings.routes;
        let given = || event.extension("erroute").unwrap_or_default();
        routes.is_empty() || given().split(',').any(|route| routes.iter().any(|wanted| wanted == route))
    }

    /// `events`: a batch of `count` events.
    async fn attempt(&self, events: &str, count: usize, call: Call<'_>) -> Result<Called, Away> {
        self.note_hop(events);
        let started = Instant::now();
        let answer = handle(&self.caller, &self.id, events, self.settings.timeout).await;
        histogram!("eventrunner_delivery_batch_events").record(count as f64);
        let (wall, handled_us) = (started.elapsed(), now_us());
        histogram!("eventrunner_delivery_call_seconds").record(wall.as_secs_f64());
        if let Err(error) = &answer {
            failed(Stage::Delivery, error.word());
        }
        let whole;
        let parsed;
        let unhandled: Vec<(usize, Unhandled)> = match answer {
            Ok(failures) if failures.is_empty() => {
                self.strikes.took();
                self.report(events.len(), count, 0, call, wall, handled_us).await;
                return Ok(Called { wall, failed: Vec::new() });
            }
            Ok(failures) => {
                self.strikes.took();
                whole = false;
                parsed = parse_batch(events).map_err(|e| Away(e.to_string()))?;
                parsed
                    .iter()
                    .enumerate()
                    .filter_map(|(place, event)| {
                        let failure = failures.iter().find(|failure| failure.id == event.id)?;
                        let after = failure.retry_after_ms.map(|ms| Duration::from_millis(ms.into()));
                        Some((place, Unhandled { raw: event.raw, reason: failure.reason.clone(), after }))
                    })
                    .collect()
            }
            Err(error @ ComponentError::Call(CallError::NoResponders { .. } | CallError::Lattice(_))) => {
                return Err(Away(error.to_string()))
            }
            Err(error) if !matches!(error, ComponentError::Refused { .. }) && self.settling().await => {
                info!(consumer = &*self.id, reason = %error, "a first call failed: its host may not have its links yet");
                return Err(Away(error.to_string()));
            }
            Err(error) => {
                whole = true;
                parsed = parse_batch(events).map_err(|e| Away(e.to_string()))?;
                let reason = error.to_string();
                warn!(consumer = &*self.id, call.attempt, events = parsed.len(), reason, "batch failed");
                let timeout = matches!(error, ComponentError::Call(CallError::Timeout { .. }));
                self.strikes.strike(&reason, timeout).await.map_err(Away)?;
                parsed
                    .iter()
                    .enumerate()
                    .map(|(place, event)| (place, Unhandled { raw: event.raw, reason: reason.clone(), after: None }))
                    .collect()
            }
        };
        counter!("eventrunner_delivery_events_failed_total").increment(unhandled.len() as u64);
        let policy = Policy {
            tenant: &self.settings.tenant,
            consumer: &self.name,
            attempts_max: self.settings.attempts_max,
            backoff: self.settings.backoff,
            round: call.round,
        };
        let (failed, unhandled): (Vec<usize>, Vec<Unhandled>) = unhandled.into_iter().unzip();
        let out = policy.after(call.attempt, &unhandled, whole, call.received_us, call.id);
        publish_all(&self.js, out).await.map_err(|e| Away(e.to_string()))?;
        self.report(events.len(), count, unhandled.len(), call, wall, handled_us).await;
        Ok(Called { wall, failed })
    }

    async fn settling(&self) -> bool {
        self.strikes.settling(&self.id, self.provider.emitter(&self.id).is_some()).await
    }

    /// What the consumer emits while it works on these events is one hop further than the furthest of them.
    fn note_hop(&self, events: &str) {
        let hop = if events.contains("\"erhop\"") {
            parse_batch(events)
                .unwrap_or_default()
                .iter()
                .filter_map(|event| event.extension("erhop")?.parse::<u32>().ok())
                .max()
                .unwrap_or_default()
        } else {
            0
        };
        self.hop.store(hop, Ordering::Relaxed);
    }

    /// A delivery report on `er.report.delivery.<tenant>` for whoever listens: bench, demo, tests. Not durable.
    async fn report(&self, bytes: usize, count: usize, failed: usize, call: Call<'_>, wall: Duration, handled_us: u64) {
        let Call { attempt, received_us, .. } = call;
        counter!("eventrunner_delivery_events_total").increment((count - failed.min(count)) as u64);
        if received_us > 0 && attempt == 1 {
            let latency = Duration::from_micros(handled_us.saturating_sub(received_us));
            histogram!("eventrunner_delivery_ingest_to_consumer_seconds").record(latency.as_secs_f64());
        }
        let report = serde_json::json!({
            "consumer": &*self.id,
            "events": count,
            "failed": failed,
            "attempt": attempt,
            "bytes": bytes,
            "received_us": received_us,
            "handled_us": handled_us,
            "wall_us": u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        });
        let subject = format!("er.report.delivery.{}", self.settings.tenant);
        if let Err(error) = self.nats.publish(subject, report.to_string().into()).await {
            warn!(%error, "delivery report not sent");
        }
    }
}

/// Of one event of a batch.
fn bytes(events: &[&str], place: usize) -> u64 {
    events.get(place).map_or(0, |event| event.len() as u64)
}
