//! One shard of `ER_RAW`: pull, hand to the engine, publish the outcome, acknowledge. In order per tenant.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::Context;
use er_event::dead::{read_dead, DeadLetter};
use er_event::event::split;
use er_event::Runs;
use er_metering::Record;
use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::metrics::{dropped, failed, retried, Stage};
use er_provider_kit::trace;
use er_tenant::rules::NO_RULES;
use futures::stream::FuturesUnordered;
use futures::StreamExt as _;
use metrics::{counter, histogram};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn, Instrument as _};

use crate::ack::{self, Delivery, Place};
use crate::batch::{group, Group};
use crate::components::{process, ComponentError, Outcome, Work};
use crate::lane::Memory;
use crate::meter;
use crate::payload::Payload;
use crate::permits::{Permit, Permits};
use crate::publish::{now_us, publish_all, written, Outgoing};
use crate::pull::{Prefetch, Puller};
use crate::queues::{Queues, Size, PATIENCE};
use crate::retry::dead_letter;
use crate::streams;
use crate::tenants::Tenants;
use crate::usage::UsageLog;

/// What the acknowledgement deadline adds to the call's: the publish of its outcome.
const ACK_MARGIN: Duration = Duration::from_secs(25);
const PREFETCH: Prefetch = Prefetch { messages: 64, bytes: 2 << 20 };
/// Until what waits for its tenant's records to be mended is looked at again.
const UNREADABLE_WAIT: Duration = Duration::from_secs(10);
/// What a failure of the engine counts; and one that says only that a part which it needs is away.
const FAULT: u64 = 5;
const AWAY: u64 = 1;
/// After so much the messages of a group are tried one by one.
const APART_AFTER: u64 = 2 * FAULT;
/// After so much the events of a message are, to find the one that breaks it.
const ISOLATE_AFTER: u64 = ATTEMPTS_TOGETHER as u64 * FAULT;
const ATTEMPTS_TOGETHER: u32 = 6;
/// How long a batch is kept for an engine that is not there, and how often it is looked for. Nothing was begun, so that to
/// ask again changes nothing, and it is no failure of the batch's.
const AWAY_MAX: Duration = Duration::from_secs(5);
const AWAY_LOOK: Duration = Duration::from_millis(250);
const SHED_MAX: Duration = Duration::from_secs(30);
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
    /// Those of all shards.
    pub permits: Permits,
    pub index: u32,
}

/// Why a group has no outcome yet.
struct Failure {
    reason: String,
    /// [`FAULT`] or [`AWAY`]; nothing where delivery is stopped.
    counts: u64,
}

/// What is known of the events of a message that go one by one: those at its start.
#[derive(Default)]
struct Isolated {
    evaluations: Runs,
    repeated: Runs,
    dead: Vec<Outgoing>,
}

/// Messages that are here, and those that came to their end lately: each may come a second time.
#[derive(Default)]
struct Places {
    here: HashSet<Place>,
    memory: Memory,
}

/// A turn that is over: whose it was, and which of its messages were settled or went back.
struct Ended {
    tenant: String,
    settled: Vec<Place>,
    back: Vec<Place>,
}

/// What becomes of a group that was not brought to its outcome.
enum Unsettled {
    /// Its messages go one by one; so much its failures count.
    Apart(u64),
    /// It goes back to the stream, and so does what is behind it, for so long.
    Back(Duration),
}

// === impl Places ===

impl Places {
    fn note(&mut self, ended: Ended) {
        for place in ended.settled {
            self.here.remove(&place);
            self.memory.note_settled(place);
        }
        for place in ended.back {
            self.here.remove(&place);
        }
    }
}

// === impl Shard ===

impl Shard {
    pub async fn run(self, stop: CancellationToken) {
        let (name, filter) = (format!("engine-{}", self.index), format!("er.raw.{}.>", self.index));
        let config = pull::Config {
            // What waits of some must not keep the others' away.
            max_ack_pending: -1,
            ..streams::durable(name, filter, self.ack_wait(), true)
        };
        let mut puller = Puller::new(self.js.clone(), streams::RAW, config, PREFETCH);
        let (mut queues, mut places) = (Queues::default(), Places::default());
        let mut turns = FuturesUnordered::new();
        let mut pulse = crate::pull::pulse(self.ack_wait());
        // Somebody may have begun to take long.
        let mut look = tokio::time::interval(PATIENCE);
        while !stop.is_cancelled() {
            let now = Instant::now();
            while let Some((tenant, deliveries)) = queues.begin(now) {
                turns.push(self.turn(tenant, deliveries, &stop));
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                Some(ended) = turns.next(), if !turns.is_empty() => {
                    queues.end(&ended.tenant, Instant::now());
                    places.note(ended);
                }
                _ = pulse.tick() => {
                    for waiting in queues.waiting() {
                        waiting.working().await;
                    }
                }
                deliveries = puller.next(PREFETCH.messages), if queues.wants_more(now) => {
                    queue(&mut queues, &mut places, deliveries).await;
                }
                _ = look.tick() => {}
            }
        }
        // Calls under way are finished; what waits behind them goes back after what they give back.
        while !turns.is_empty() {
            tokio::select! {
                _ = turns.next() => {}
                _ = pulse.tick() => {
                    for waiting in queues.waiting() {
                        waiting.working().await;
                    }
                }
            }
        }
        puller.give_back(queues.take_waiting()).await;
    }

    fn ack_wait(&self) -> Duration {
        self.timeout + ACK_MARGIN
    }

    /// Brings a tenant's messages to their end, in order, and says whose they were. What can't be worked on now is tried again
    /// where it is: nothing goes ahead of it.
    async fn turn(&self, tenant: String, deliveries: Vec<Delivery>, stop: &CancellationToken) -> Ended {
        // What may have been here before goes alone: a dead letter of it has the claim that it was stored by.
        let came = |delivery: &Delivery| delivery.position().1 > 1 || delivery.round() != "";
        let mut ended = Ended { tenant, settled: Vec::new(), back: Vec::new() };
        let groups = group(deliveries, came);
        let mut groups: VecDeque<(Group, u64)> = groups.into_iter().map(|group| (group, 0)).collect();
        let mut pulse = crate::pull::pulse(self.ack_wait());
        while let Some((next, tried)) = groups.pop_front() {
            let behind = groups.iter().flat_map(|(group, _)| &group.deliveries);
            let held: Vec<&Delivery> = next.deliveries.iter().chain(behind).collect();
            let work = async {
                match stop.is_cancelled() {
                    true => Err(Unsettled::Back(Duration::ZERO)),
                    false => self.settle(&ended.tenant, &next, tried, stop).await,
                }
            };
            match crate::pull::meanwhile(&mut pulse, &held, work).await {
                Ok(()) => {
                    for delivery in next.deliveries {
                        ended.settled.push(delivery.place());
                        delivery.done().await;
                    }
                }
                Err(Unsettled::Apart(tried)) => {
                    for group in group(next.deliveries, |_| true).into_iter().rev() {
                        groups.push_front((group, tried));
                    }
                }
                Err(Unsettled::Back(wait)) => {
                    let left = std::iter::once((next, tried)).chain(groups.drain(..));
                    for delivery in left.flat_map(|(group, _)| group.deliveries) {
                        ended.back.push(delivery.place());
                        delivery.retry(wait).await;
                    }
                }
            }
        }
        ended
    }

    /// Brings a group to its outcome, however often that must be tried. `tried`: what its failures so far count.
    async fn settle(
        &self,
        tenant: &str,
        group: &Group,
        mut tried: u64,
        stop: &CancellationToken,
    ) -> Result<(), Unsettled> {
        let first = group.deliveries.first().map_or(0, |first| first.position().0);
        let last = group.deliveries.last().map_or(0, |last| last.position().0);
        let id = format!("{}-{first}-{last}", self.index);
        let mut isolated = Isolated::default();
        let mut failures = 0;
        loop {
            if let Some(record) = self.tenants.unreadable(tenant) {
                // Told once, by whoever could not read it.
                debug!(tenant, first, last, record, "raw batch waits for a record that can be read");
                return Err(Unsettled::Back(UNREADABLE_WAIT));
            }
            let started = Instant::now();
            let span = crate::pull::span("process", streams::RAW, tenant, &group.deliveries);
            let result = async {
                if tried >= ISOLATE_AFTER {
                    self.isolate(tenant, group, &id, &mut isolated, stop).await
                } else {
                    self.together(tenant, group, &id, tried, stop).await
                }
            }
            .instrument(span.clone())
            .await;
            histogram!("eventrunner_engine_call_seconds").record(started.elapsed().as_secs_f64());
            let Err(failure) = result else { return Ok(()) };
            if stop.is_cancelled() {
                return Err(Unsettled::Back(Duration::ZERO));
            }
            failures += 1;
            let wait = backoff(failures);
            trace::failed(&span, "retried");
            let reason = &failure.reason;
            warn!(tenant, first, last, failures, reason, wait_ms = wait.as_millis() as u64, "raw batch waits");
            retried(Stage::Engine, 1);
            tried += failure.counts;
            tokio::select! {
                () = stop.cancelled() => return Err(Unsettled::Back(Duration::ZERO)),
                () = tokio::time::sleep(wait) => {}
            }
            if tried >= APART_AFTER && group.deliveries.len() > 1 {
                return Err(Unsettled::Apart(tried));
            }
        }
    }

    /// `tried`: as [`Self::settle`] has it.
    async fn together(
        &self,
        tenant: &str,
        group: &Group,
        id: &str,
        tried: u64,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        // Before it is unpacked: it may wait.
        let permit = self.permit(tenant, stop).await?;
        let batch = group.batch().map_err(|e| fault(e.to_string()))?;
        let claims = group.claims();
        let text = text(&batch).map_err(fault)?;
        let outcome = self.process(permit, &claims, text).await?;
        if tried > 0 && group.deliveries.len() > 1 && outcome.dead != "[]" {
            return Err(fault("what is given up of it is to be known by its own claim".to_owned()));
        }
        histogram!("eventrunner_engine_batch_events").record(group.count() as f64);
        let used = meter::raw(tenant, &group.deliveries, outcome.evaluations.as_ref(), outcome.repeated.as_ref());
        let used = used.map_err(fault)?;
        let unchanged = || (group.payload(&batch), group.count());
        let publish = self.publish(tenant, unchanged, outcome, id, group, stop);
        futures::future::try_join(publish, self.meter(used, stop)).await.map(|_| ())
    }

    async fn permit(&self, tenant: &str, stop: &CancellationToken) -> Result<Permit, Failure> {
        tokio::select! {
            () = stop.cancelled() => Err(stopped("it is stopped".to_owned())),
            permit = self.permits.begin(tenant, self.index) => Ok(permit),
        }
    }

    async fn meter(&self, used: Vec<Record>, stop: &CancellationToken) -> Result<(), Failure> {
        written(Stage::Engine, stop, usize::MAX, || self.usage.record(used.clone())).await.map_err(stopped)
    }

    async fn process(&self, permit: Permit, claims: &Runs, raw: &str) -> Result<Outcome, ComponentError> {
        let began = Instant::now();
        let outcome = loop {
            let tenant = permit.tenant();
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
            // It says nothing of how long its calls take.
            Err(error) if is_away(error) => drop(permit),
            outcome => permit.end(matches!(outcome, Err(ComponentError::Call(CallError::Timeout { .. })))),
        }
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
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
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
                    let count = split(&batch).map_err(|e| fault(format!("its events: {e}")))?.len();
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
            let items = read_dead(&outcome.dead).map_err(|e| fault(format!("its dead letters: {e}")))?;
            for item in items {
                let letter = given_up(item.stage.into_owned(), item.reason.into_owned(), 1, item.event);
                out.push(letter_of(tenant, group, claim, &letter));
            }
        }
        self.write(&out, stop).await?;
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

    /// What is there to be written is not made again: another time it might be another.
    async fn write(&self, out: &[Outgoing], stop: &CancellationToken) -> Result<(), Failure> {
        written(Stage::Engine, stop, usize::MAX, || publish_all(&self.js, out.to_vec())).await.map_err(stopped)
    }

    /// One event a call: the others reach their end, the one that breaks the engine becomes a dead letter. `done`: what is known
    /// already of those at the start; they are not worked on again.
    async fn isolate(
        &self,
        tenant: &str,
        group: &Group,
        id: &str,
        done: &mut Isolated,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let batch = group.batch().map_err(|e| e.to_string());
        let events = match batch.as_ref().map_err(Clone::clone).and_then(|batch| events(batch, group.count())) {
            Ok(events) => events,
            Err(reason) => {
                // A defect of the platform's, or somebody else's message. It would hold its tenant up for good.
                let text = match &batch {
                    Ok(batch) => String::from_utf8_lossy(batch).into_owned(),
                    // Two of them are not the same.
                    Err(_) => format!("raw message {id}, packed: {}", group.packed()),
                };
                error!(tenant, reason, "a raw batch that can't be read is given up");
                let letter = given_up("engine".into(), reason, ATTEMPTS_TOGETHER, &text);
                return self.write(&[letter_of(tenant, group, None, &letter)], stop).await;
            }
        };
        let claims = group.claims();
        for ((index, event), claim) in events.iter().enumerate().zip(claims.iter()).skip(done.evaluations.len()) {
            let alone = format!("[{event}]");
            let number = |runs: &Option<Runs>| runs.as_ref().and_then(|runs| runs.iter().next()).unwrap_or_default();
            let (evaluated, repeated) = match self.try_alone(tenant, &Runs::of(1, claim), &alone, stop).await? {
                Ok(outcome) => {
                    let numbers = (number(&outcome.evaluations), number(&outcome.repeated));
                    let unchanged = || (Payload::pack(alone.clone()), 1);
                    self.publish(tenant, unchanged, outcome, &format!("{id}-{index}"), group, stop).await?;
                    numbers
                }
                Err(reason) => {
                    let letter = given_up("engine".into(), reason, ATTEMPTS_TOGETHER, event);
                    done.dead.push(letter_of(tenant, group, Some(claim), &letter));
                    (0, 0)
                }
            };
            done.evaluations.push(evaluated);
            done.repeated.push(repeated);
        }
        let used =
            meter::raw(tenant, &group.deliveries, Some(&done.evaluations), Some(&done.repeated)).map_err(fault)?;
        self.write(&done.dead, stop).await?;
        self.meter(used, stop).await
    }

    /// The event's outcome, or why it is the event's own fault that it has none: between two calls that work, its
    /// own does not. A component traps in the same way where something that it calls is away, and no event may be
    /// given up for that: the outer error says to come back later.
    async fn try_alone(
        &self,
        tenant: &str,
        claim: &Runs,
        alone: &str,
        stop: &CancellationToken,
    ) -> Result<Result<Outcome, String>, Failure> {
        let mut last = None;
        for _ in 0..ATTEMPTS_ALONE {
            match self.process(self.permit(tenant, stop).await?, claim, alone).await {
                Ok(outcome) => return Ok(Ok(outcome)),
                Err(error) if is_away(&error) => return Err(error.into()),
                Err(error) => last = Some(error.to_string()),
            }
            self.probe().await.map_err(|reason| Failure { reason, counts: AWAY })?;
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

/// What was pulled to whom it belongs.
async fn queue(queues: &mut Queues<Delivery>, places: &mut Places, deliveries: Vec<Delivery>) {
    let now = Instant::now();
    for mut delivery in deliveries {
        let place = delivery.place();
        if delivery.position().1 > 1 && places.memory.is_settled(place) {
            delivery.done().await;
            continue;
        }
        if !places.here.insert(place) {
            delivery.leave_to_the_other();
            continue;
        }
        let Some(tenant) = streams::tenant_of_raw(delivery.subject()).map(str::to_owned) else {
            error!(subject = delivery.subject(), "no tenant in the subject of a raw message");
            places.here.remove(&place);
            delivery.retry(BACKOFF_MAX).await;
            continue;
        };
        delivery.detach();
        let size = Size { events: delivery.events(), bytes: delivery.payload().len() };
        if let Err(delivery) = queues.put(&tenant, delivery, size, now) {
            debug!(tenant, "too much waits here behind a batch that takes long");
            places.here.remove(&place);
            let wait = ack::backoff(BACKOFF_MAX, SHED_MAX, delivery.position().1);
            delivery.retry(wait).await;
        }
    }
}

// === impl Failure ===

impl From<ComponentError> for Failure {
    fn from(error: ComponentError) -> Self {
        Self { reason: error.to_string(), counts: if is_away(&error) { AWAY } else { FAULT } }
    }
}

fn fault(reason: String) -> Failure {
    Failure { reason, counts: FAULT }
}

/// `reason`: what it was at.
fn stopped(reason: String) -> Failure {
    Failure { reason, counts: 0 }
}

/// Whether the engine, or a part that it needs, is not there: which says nothing of what it was given.
fn is_away(error: &ComponentError) -> bool {
    matches!(
        error,
        ComponentError::Refused { transient: true, .. }
            | ComponentError::Call(CallError::NoResponders { .. } | CallError::Lattice(_))
    )
}

/// The events of a batch that is said to have so many.
fn events(batch: &[u8], count: usize) -> Result<Vec<&str>, String> {
    let events = split(text(batch)?).map_err(|e| format!("the raw batch is no batch: {e}"))?;
    match events.len() {
        there if there == count => Ok(events),
        there => Err(format!("the raw batch has {there} events, and says that it has {count}")),
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
    fn a_batch_that_is_not_what_it_says_has_no_events() {
        assert_eq!(events(br#"[{"a":1},2]"#, 2), Ok(vec![r#"{"a":1}"#, "2"]));
        for (batch, count) in [(&b"[1,2]"[..], 3), (b"[1,2", 2), (b"[\"\xff\"]", 1)] {
            assert!(events(batch, count).is_err(), "{batch:?}");
        }
    }

    #[test]
    fn backs_off_exponentially_up_to_a_ceiling() {
        assert_eq!(backoff(1), BACKOFF_MIN);
        assert_eq!(backoff(3), BACKOFF_MIN * 4);
        assert_eq!(backoff(500), BACKOFF_MAX);
    }
}
