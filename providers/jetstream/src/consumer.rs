//! Delivery of a tenant's stream to one of its consumers: batches in order, retries beside them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use er_event::event::{parse_batch, split, type_matches, BatchWriter, EventRef};
use er_event::Runs;
use er_provider_kit::call::{CallError, Caller};
use metrics::{counter, histogram};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ack::Delivery;
use crate::components::{handle, ComponentError};
use crate::meter::{self, Called, Deliveries};
use crate::publish::{now_us, publish_all};
use crate::pull::{Prefetch, Puller};
use crate::retry::{Policy, Unhandled, ATTEMPT, NOT_BEFORE_US};
use crate::settings::ConsumerSettings;
use crate::streams;
use crate::usage::UsageLog;

const PREFETCH: Prefetch = Prefetch { messages: 32, bytes: 2 << 20 };
/// Wait before a batch goes to a consumer that is not running again; not an attempt.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// What the acknowledgement deadline adds to the call's.
const ACK_MARGIN: Duration = Duration::from_secs(30);

/// Delivers to one consumer.
#[derive(Clone)]
pub struct Consumer {
    pub js: Context,
    pub nats: async_nats::Client,
    pub caller: Caller,
    /// The component in the lattice.
    pub id: Arc<str>,
    pub settings: Arc<ConsumerSettings>,
    /// Hops of the events that the consumer is working on, for what it emits meanwhile.
    pub hop: Arc<AtomicU32>,
    pub usage: UsageLog,
}

/// What tells one call's events from another's.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    /// Which attempt, from 1.
    attempt: u32,
    received_us: u64,
    /// The same on every repeat.
    id: &'a str,
}

/// The batch could not be brought to an end now, through no fault of its own.
#[derive(Debug)]
struct Away(String);

// === impl Consumer ===

impl Consumer {
    /// Runs until stopped; a call under way is finished first.
    pub async fn run(self, stop: CancellationToken) {
        info!(consumer = &*self.id, tenant = self.settings.tenant, "delivering");
        tokio::join!(self.fresh(stop.clone()), self.again(stop));
    }

    /// The consumer's name in JetStream, where dots and spaces have a meaning.
    fn durable(&self) -> String {
        self.id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' }).collect()
    }

    async fn fresh(&self, stop: CancellationToken) {
        let config = streams::durable(
            format!("consumer-{}", self.durable()),
            streams::events_subject(&self.settings.tenant),
            self.settings.timeout + ACK_MARGIN,
            self.settings.from_start,
        );
        let mut puller = Puller::new(self.js.clone(), streams::EVENTS, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            let mut away = None;
            for group in self.groups(deliveries) {
                let result = match &away {
                    None => self.deliver("deliver", &group).await,
                    Some(_) => Err(Away("behind a batch that waits".into())),
                };
                away = self.settle(group, result).await.or(away);
            }
            if away.is_some() {
                pause(&stop).await;
            }
        }
    }

    async fn again(&self, stop: CancellationToken) {
        let durable = self.durable();
        let config = streams::durable(
            format!("retry-{durable}"),
            streams::retry_subject(&self.settings.tenant, &durable),
            self.settings.timeout + ACK_MARGIN,
            true,
        );
        let mut puller = Puller::new(self.js.clone(), streams::RETRY, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            for delivery in deliveries {
                let not_before: u64 = header(&delivery, NOT_BEFORE_US).unwrap_or_default();
                let early_us = not_before.saturating_sub(now_us());
                if early_us > 0 {
                    delivery.retry(Duration::from_micros(early_us)).await;
                    continue;
                }
                let group = vec![delivery];
                let result = self.deliver("retry", &group).await;
                if self.settle(group, result).await.is_some() {
                    pause(&stop).await;
                }
            }
        }
    }

    /// Messages that go into one call: as many as the consumer's batch size allows.
    fn groups(&self, deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
        let mut groups: Vec<Vec<Delivery>> = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        for delivery in deliveries {
            let count = delivery.events();
            let size = delivery.payload().len();
            let fits =
                events + count <= self.settings.batch_events_max && bytes + size <= er_event::limits::BATCH_BYTES_MAX;
            match groups.last_mut() {
                Some(last) if fits => {
                    last.push(delivery);
                    events += count;
                    bytes += size;
                }
                _ => {
                    groups.push(vec![delivery]);
                    (events, bytes) = (count, size);
                }
            }
        }
        groups
    }

    async fn settle(&self, group: Vec<Delivery>, result: Result<(), Away>) -> Option<Away> {
        match result {
            Ok(()) => {
                for delivery in group {
                    delivery.done().await;
                }
                None
            }
            Err(away) => {
                debug!(consumer = &*self.id, reason = away.0, "batch waits");
                for delivery in group {
                    delivery.retry(AWAY_WAIT).await;
                }
                Some(away)
            }
        }
    }

    /// `what`: the kind of delivery, which with the message's place names what is metered.
    async fn deliver(&self, what: &str, group: &[Delivery]) -> Result<(), Away> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        let id = format!("{}-{}", first.position().0, group.len());
        let call = Call { attempt: header(first, ATTEMPT).unwrap_or(1), received_us: first.received_us(), id: &id };
        let batch = crate::batch::joined(group).map_err(|e| Away(e.to_string()))?;
        let text = std::str::from_utf8(&batch).map_err(|e| Away(e.to_string()))?;
        let mut metered = Deliveries::of(group.len());
        let count = group.iter().map(Delivery::events).sum();
        if self.takes_all(text, count) {
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
        let name = format!("{what}.{}", self.durable());
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
        let wanted: Vec<(&str, u64)> = events
            .iter()
            .zip(owners.iter())
            .filter(|(event, _)| self.wants(event))
            .map(|(event, owner)| (event.raw, owner))
            .collect();
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
        let wall = started.elapsed();
        histogram!("eventrunner_consumer_seconds").record(wall.as_secs_f64());
        let whole;
        let parsed;
        let unhandled: Vec<(usize, Unhandled)> = match answer {
            Ok(failures) if failures.is_empty() => {
                self.report(events.len(), count, 0, call, wall).await;
                return Ok(Called { wall, failed: Vec::new() });
            }
            Ok(failures) => {
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
            Err(error) => {
                whole = true;
                parsed = parse_batch(events).map_err(|e| Away(e.to_string()))?;
                let reason = error.to_string();
                warn!(consumer = &*self.id, call.attempt, events = parsed.len(), reason, "batch failed");
                parsed
                    .iter()
                    .enumerate()
                    .map(|(place, event)| (place, Unhandled { raw: event.raw, reason: reason.clone(), after: None }))
                    .collect()
            }
        };
        counter!("eventrunner_delivery_failures_total").increment(unhandled.len() as u64);
        let durable = self.durable();
        let policy = Policy {
            tenant: &self.settings.tenant,
            consumer: &durable,
            attempts_max: self.settings.attempts_max,
            backoff: self.settings.backoff,
        };
        let (failed, unhandled): (Vec<usize>, Vec<Unhandled>) = unhandled.into_iter().unzip();
        let out = policy.after(call.attempt, &unhandled, whole, call.received_us, call.id);
        publish_all(&self.js, out).await.map_err(|e| Away(e.to_string()))?;
        self.report(events.len(), count, unhandled.len(), call, wall).await;
        Ok(Called { wall, failed })
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
    async fn report(&self, bytes: usize, count: usize, failed: usize, call: Call<'_>, wall: Duration) {
        let Call { attempt, received_us, .. } = call;
        let handled_us = now_us();
        counter!("eventrunner_events_delivered_total").increment((count - failed.min(count)) as u64);
        if received_us > 0 && attempt == 1 {
            let latency = Duration::from_micros(handled_us.saturating_sub(received_us));
            histogram!("eventrunner_delivery_seconds").record(latency.as_secs_f64());
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

fn header<T: std::str::FromStr>(delivery: &Delivery, name: &str) -> Option<T> {
    delivery.header(name)?.parse().ok()
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(AWAY_WAIT) => {}
    }
}
