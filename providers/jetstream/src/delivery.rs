//! One call of a consumer: with what it wants and may have, and what becomes of what it did not handle.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use er_event::dead::DeadLetter;
use er_event::event::{is_wanted, parse_batch, split, types, BatchWriter, EventRef, EMITTER, HOP, ROUTE};
use er_event::Runs;
use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::metrics::{failed, Stage};
use er_provider_kit::trace;
use metrics::{counter, histogram};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn, Instrument as _};

use crate::ack::Delivery;
use crate::components::{handle, ComponentError};
use crate::consumer::{header, Consumer};
use crate::gate::Denied;
use crate::lane::{Lane, Memory, Partial};
use crate::meter::{self, Called, Deliveries};
use crate::publish::{now_us, publish_all, written, Outgoing};
use crate::pull;
use crate::retry::{dead_letter, Policy, Unhandled, ATTEMPT, POLICY_STAGE};

/// How often what is to be tried again is written, until the call is made once more instead: some half a minute.
const WRITES_MAX: usize = 10;

/// What tells one call's events from another's.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    caller: &'a Caller,
    /// Which attempt, from 1.
    attempt: u32,
    received_us: u64,
    /// The same on every repeat.
    id: &'a str,
    /// Which redrive or replay brought them; empty where none did.
    round: &'a str,
}

/// The batch could not be brought to an end now, through no fault of its own.
#[derive(Debug)]
pub struct Away(pub String);

// === impl Consumer ===

impl Consumer {
    /// Brings messages to their end, unless it is stopped between two calls: they wait then, and what `memory` knows by then
    /// is not done again. `since_us`: when the place was made that they come from.
    pub async fn deliver(
        &self,
        lane: Lane,
        group: &[Delivery],
        since_us: u64,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Result<(), Away> {
        let attempt = group.first().and_then(|first| header(first, ATTEMPT));
        let span = pull::span("deliver", lane.stream(), &self.settings.tenant, group);
        trace::note(&span, "eventrunner.consumer", || self.name.to_string());
        trace::note(&span, "eventrunner.attempt", || i64::from(attempt.unwrap_or(1u32)));
        let result = self.bring(lane, group, since_us, memory, stop).instrument(span.clone()).await;
        if result.is_err() {
            trace::failed(&span, "waits");
        }
        result
    }

    async fn bring(
        &self,
        lane: Lane,
        group: &[Delivery],
        since_us: u64,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Result<(), Away> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        // A consumer of the same name that was deleted may have failed at the same events: its attempts are not this one's.
        let id = format!("{}.{since_us:x}.{}.{}", lane.word(), first.position().0, group.len());
        let attempt = header(first, ATTEMPT).unwrap_or(1);
        let caller = self.caller(lane);
        let call = Call { caller, attempt, received_us: first.received_us(), id: &id, round: first.round() };
        let batch = crate::batch::joined(group).map_err(|e| Away(e.to_string()))?;
        let text = std::str::from_utf8(&batch).map_err(|e| Away(e.to_string()))?;
        let count = group.iter().map(Delivery::events).sum();
        let broken = |e: er_event::Reject| Away(e.to_string());
        let begun = memory.partial_of() == Some(first.place());
        let whole = !begun && self.takes_all(text, count);
        let made = if whole && self.denied(types(text).map_err(broken)?.iter()).await?.is_empty() {
            let called = self.attempt(text, count, call, stop).await?;
            let mut metered = Deliveries::of(group.len());
            if called.failed.is_empty() {
                metered.note_whole(group, called.wall);
            } else {
                let events = split(text).map_err(|e| Away(e.to_string()))?;
                metered.note(&meter::owners(group), |place| bytes(&events, place), &called);
            }
            Partial { of: first.place(), since_us, calls: 1, events: count, metered }
        } else {
            self.deliver_wanted(text, group, since_us, call, memory, stop).await?
        };
        let name = format!("{}.{}", lane.word(), self.name);
        let used = made.metered.records(&self.settings.tenant, &name, self.settings.memory_mib, group).map_err(Away)?;
        let recorded = written(Stage::Delivery, stop, usize::MAX, || self.usage.record(used.clone())).await;
        if recorded.is_err() && group.len() == 1 {
            memory.note_partial(made);
        }
        recorded.map_err(Away)
    }

    /// Only the events that the consumer wants, in as many calls as its batch size asks for: of more than one are only those
    /// of a single message. Where it ends early, `memory` has the calls that were made. Gives what was done.
    async fn deliver_wanted(
        &self,
        text: &str,
        group: &[Delivery],
        since_us: u64,
        call: Call<'_>,
        memory: &mut Memory,
        stop: &CancellationToken,
    ) -> Result<Partial, Away> {
        let events = parse_batch(text).map_err(|e| Away(e.to_string()))?;
        let owners = meter::owners(group);
        let of = group.first().map(Delivery::place).unwrap_or_default();
        let mut made = (group.len() == 1).then(|| memory.take_partial(of)).flatten().unwrap_or_else(|| Partial {
            of,
            since_us,
            calls: 0,
            events: 0,
            metered: Deliveries::of(group.len()),
        });
        // By whoever wants other events, or more of them in a call, it is gone on with behind the same event.
        let left = events.iter().zip(owners.iter()).enumerate().skip(made.events);
        let (places, wanted): (Vec<usize>, Vec<_>) = left.filter(|(_, (event, _))| self.wants(event)).unzip();
        let calls = places.chunks(self.settings.batch_events_max).zip(wanted.chunks(self.settings.batch_events_max));
        for (places, part) in calls {
            let called = if stop.is_cancelled() {
                Err(Away("delivery is stopped".into()))
            } else {
                let call = Call { id: &format!("{}.{}", call.id, made.calls), ..call };
                self.deliver_part(part, call, &mut made.metered, stop).await
            };
            if let Err(away) = called {
                if made.calls > 0 {
                    memory.note_partial(made);
                }
                return Err(away);
            }
            made.calls += 1;
            made.events = places.last().map_or(made.events, |place| place + 1);
        }
        Ok(made)
    }

    /// What may go of one call's events. The policy is asked for each call: a decision does not outlive many of them.
    async fn deliver_part(
        &self,
        part: &[(&EventRef<'_>, u64)],
        call: Call<'_>,
        metered: &mut Deliveries,
        stop: &CancellationToken,
    ) -> Result<(), Away> {
        let types: BTreeSet<&Cow<'_, str>> = part.iter().map(|(event, _)| &event.event_type).collect();
        let denied = self.denied(types.into_iter()).await?;
        let (may, may_not): (Vec<_>, Vec<_>) =
            part.iter().copied().partition(|(event, _)| !denied.contains_key(&*event.event_type));
        if !may_not.is_empty() {
            self.drop_denied(may_not, &denied, call, stop).await?;
        }
        if may.is_empty() {
            return Ok(());
        }
        let mut batch = BatchWriter::new();
        may.iter().for_each(|(event, _)| batch.push(event.raw));
        let called = self.attempt(&batch.finish(), may.len(), call, stop).await?;
        let owners: Runs = may.iter().map(|(_, owner)| *owner).collect();
        let may: Vec<&str> = may.into_iter().map(|(event, _)| event.raw).collect();
        metered.note(&owners, |place| bytes(&may, place), &called);
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
        stop: &CancellationToken,
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
        written(Stage::Delivery, stop, usize::MAX, || publish_all(&self.js, letters.clone())).await.map_err(Away)
    }

    /// Whether the batch can go to the consumer as it is, without being looked into.
    fn takes_all(&self, text: &str, count: usize) -> bool {
        let any = |filters: &[String]| filters.is_empty() || filters.iter().any(|filter| filter == "*");
        any(&self.settings.types)
            && any(&self.settings.sources)
            && self.settings.routes.is_empty()
            && count <= self.settings.batch_events_max
            && !text.contains("\"eremitter\"")
    }

    /// A consumer does not see what it emitted itself: that would be a loop.
    fn wants(&self, event: &EventRef<'_>) -> bool {
        is_wanted(&self.settings.types, &event.event_type)
            && is_wanted(&self.settings.sources, &event.source)
            && self.routed_here(event)
            && event.extension(EMITTER).is_none_or(|emitter| emitter != *self.id)
    }

    /// Whether rules routed the event to one of the sub-streams that the consumer wants.
    fn routed_here(&self, event: &EventRef<'_>) -> bool {
        let routes = &self.settings.routes;
        let given = || event.extension(ROUTE).unwrap_or_default();
        routes.is_empty() || given().split(',').any(|route| routes.iter().any(|wanted| wanted == route))
    }

    /// `events`: a batch of `count` events.
    async fn attempt(
        &self,
        events: &str,
        count: usize,
        call: Call<'_>,
        stop: &CancellationToken,
    ) -> Result<Called, Away> {
        let under_way = self.calls.begin(furthest(events), count);
        let started = Instant::now();
        let answer = handle(call.caller, &self.id, events, self.settings.timeout).await;
        drop(under_way);
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
            Err(error) if !error.is_its_own() && self.settling().await => {
                info!(consumer = &*self.id, reason = %error, "a first call failed: its host may not have its links yet");
                return Err(Away(error.to_string()));
            }
            Err(error) => {
                whole = true;
                parsed = parse_batch(events).map_err(|e| Away(e.to_string()))?;
                let reason = error.to_string();
                warn!(consumer = &*self.id, call.attempt, events = parsed.len(), reason, "batch failed");
                let timeout = matches!(error, ComponentError::Call(CallError::Timeout { .. }));
                self.strikes.strike(&self.id, &reason, timeout).await.map_err(Away)?;
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
        self.retried.fetch_add(out.len(), Ordering::Relaxed);
        // Were each to wait here while the stream has no room, nothing would make any.
        written(Stage::Delivery, stop, WRITES_MAX, || publish_all(&self.js, out.clone())).await.map_err(Away)?;
        self.report(events.len(), count, unhandled.len(), call, wall, handled_us).await;
        Ok(Called { wall, failed })
    }

    async fn settling(&self) -> bool {
        self.strikes.settling(&self.id, self.provider.emitter(&self.id).is_some()).await
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

/// Hops of the furthest of these events: what is emitted while they are worked on is one further.
fn furthest(events: &str) -> u32 {
    if !events.contains("\"erhop\"") {
        return 0;
    }
    let events = parse_batch(events).unwrap_or_default();
    events.iter().filter_map(|event| event.extension(HOP)?.parse().ok()).max().unwrap_or_default()
}
