//! Delivery of a tenant's stream to one of its consumers: batches in order, retries beside them, nothing while it is held.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::Context;
use er_provider_kit::call::Caller;
use er_tenant::consumers::{durable, Seen};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ack::{Delivery, Place};
use crate::delivery::Away;
use crate::gate::Gate;
use crate::lane::{Calls, Lane, Memory};
use crate::provider::Jetstream;
use crate::publish::now_us;
use crate::pull::{Prefetch, Puller};
use crate::retry::{self, NOT_BEFORE_US};
use crate::settings::ConsumerSettings;
use crate::streams;
use crate::strikes::Strikes;
use crate::usage::UsageLog;

const PREFETCH: Prefetch = Prefetch { messages: 32, bytes: 2 << 20 };
/// Wait before a batch goes to a consumer that is not running again; not an attempt.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// What the acknowledgement deadline adds to the call's.
const ACK_MARGIN: Duration = Duration::from_secs(30);
/// Messages of a consumer that may wait to be tried again, before fresh ones wait, too: what fails of them would go there.
const RETRIES_WAITING_MAX: u64 = 2_000;
/// Messages that are written to be tried again between two looks at how many wait.
pub const LOOK_AFTER: usize = 1_000;
/// Until it is tried again to tell that a state is acted upon.
const TELL_WAIT: Duration = Duration::from_secs(1);

/// Delivers to one consumer.
#[derive(Clone)]
pub struct Consumer {
    pub js: Context,
    pub nats: async_nats::Client,
    /// Of each lane: what it calls is a tenant's code.
    pub callers: [Caller; 2],
    /// The component in the lattice.
    pub id: Arc<str>,
    /// As people call it.
    pub name: Arc<str>,
    /// As JetStream calls its place.
    pub durable: Arc<str>,
    pub settings: Arc<ConsumerSettings>,
    pub calls: Arc<Calls>,
    /// Messages that were written to be tried again since it was looked at how many wait; as many as it takes to look, at first.
    pub retried: Arc<AtomicUsize>,
    pub usage: UsageLog,
    pub gate: Gate,
    pub strikes: Arc<Strikes>,
    pub provider: Jetstream,
}

/// What a consumer is called where dots and spaces have a meaning, and what its place in the streams is called: by the name
/// that its link gives it, else by its component.
pub fn names(id: &str, settings: &ConsumerSettings) -> (String, String) {
    match &settings.consumer {
        Some(name) => (name.clone(), durable(&settings.tenant, name)),
        None => {
            let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
            let name: String = id.chars().map(plain).collect();
            (name.clone(), name)
        }
    }
}

// === impl Consumer ===

impl Consumer {
    /// Runs until stopped; a call under way is finished first.
    pub async fn run(self, stop: CancellationToken) {
        info!(consumer = &*self.id, name = &*self.name, tenant = self.settings.tenant, "delivering");
        let mut changes = self.strikes.changes();
        let mut takes = self.strikes.takes();
        // What was acted upon, and told. That there is such a consumer is told first.
        let mut told = None;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            self.strikes.clear();
            let (revision, paused) = self.strikes.held();
            let seen = Seen { revision, paused, took_s: None };
            self.tell(seen, &mut told).await;
            if paused {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(TELL_WAIT), if told != Some(seen) => {}
                }
                continue;
            }
            let halt = stop.child_token();
            let work = async { tokio::join!(self.lane(Lane::Fresh, &halt), self.lane(Lane::Again, &halt)) };
            tokio::pin!(work);
            loop {
                let seen = Seen { took_s: takes.borrow_and_update().told_s, ..seen };
                // Whatever that takes, calls go on.
                tokio::select! {
                    _ = &mut work => return,
                    () = self.tell(seen, &mut told) => {}
                }
                tokio::select! {
                    _ = &mut work => return,
                    _ = changes.changed() => {
                        let (now, held) = self.strikes.held();
                        if now != revision || held {
                            halt.cancel();
                            work.await;
                            break;
                        }
                    }
                    _ = takes.changed() => {}
                    () = tokio::time::sleep(TELL_WAIT), if told != Some(seen) => {}
                }
            }
        }
    }

    /// Tells what is acted upon, unless it was.
    async fn tell(&self, seen: Seen, told: &mut Option<Seen>) {
        if *told != Some(seen) && self.strikes.tell_seen(seen).await {
            *told = Some(seen);
        }
    }

    pub fn caller(&self, lane: Lane) -> &Caller {
        let [fresh, again] = &self.callers;
        match lane {
            Lane::Fresh => fresh,
            Lane::Again => again,
        }
    }

    /// Works on a lane until it is stopped. Whoever goes on, be it another version, goes on with what was begun.
    async fn lane(&self, lane: Lane, stop: &CancellationToken) {
        let mut memory = Memory::after(self.provider.take_begun(&self.durable, lane));
        match lane {
            Lane::Fresh => self.fresh(&mut memory, stop).await,
            Lane::Again => self.again(&mut memory, stop).await,
        }
        if let Some(partial) = memory.into_partial() {
            self.provider.note_begun(&self.durable, lane, partial);
        }
    }

    async fn fresh(&self, memory: &mut Memory, stop: &CancellationToken) {
        let [name, _] = streams::delivery_names(&self.durable);
        let config = streams::durable(
            name,
            streams::events_subject(&self.settings.tenant),
            self.settings.timeout + ACK_MARGIN,
            self.settings.from_start,
        );
        let mut puller = Puller::new(self.js.clone(), streams::EVENTS, config, PREFETCH);
        let mut waits = false;
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return puller.give_back(Vec::new()).await,
                deliveries = puller.next(PREFETCH.messages) => unsettled(memory, deliveries).await,
            };
            let since_us = puller.since_us();
            memory.forget_others(since_us);
            let mut groups: VecDeque<_> =
                groups(deliveries, self.settings.batch_events_max, memory.partial_of()).into();
            while let Some(group) = groups.pop_front() {
                if stop.is_cancelled() {
                    let left = group.into_iter().chain(groups.into_iter().flatten());
                    return puller.give_back(left.collect()).await;
                }
                let left: Vec<&Delivery> = group.iter().chain(groups.iter().flatten()).collect();
                let work = async {
                    let brought = async {
                        self.room().await?;
                        self.deliver(Lane::Fresh, &group, since_us, memory, stop).await
                    };
                    let brought = brought.await;
                    if let Err(away) = &brought {
                        if !stop.is_cancelled() && !std::mem::replace(&mut waits, true) {
                            warn!(consumer = &*self.id, reason = away.0, "fresh events wait");
                        }
                        pause(stop).await;
                    }
                    brought
                };
                match puller.meanwhile(&left, work).await {
                    Ok(()) => {
                        waits = false;
                        done(group, memory).await;
                    }
                    // Order: whatever is behind it waits with it. To give them back would let go ahead what is on its way
                    // meanwhile.
                    Err(_) => groups.push_front(group),
                }
            }
        }
    }

    async fn again(&self, memory: &mut Memory, stop: &CancellationToken) {
        let [_, name] = streams::delivery_names(&self.durable);
        let subject = streams::retry_subject(&self.settings.tenant, &self.name);
        let config = pull::Config {
            // What waits for its time counts as unacknowledged: with a limit, enough of it would keep the rest away.
            max_ack_pending: -1,
            ..streams::durable(name, subject, self.settings.timeout + ACK_MARGIN, true)
        };
        let mut puller = Puller::new(self.js.clone(), streams::RETRY, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return puller.give_back(Vec::new()).await,
                deliveries = puller.next(PREFETCH.messages) => unsettled(memory, deliveries).await,
            };
            let since_us = puller.since_us();
            memory.forget_others(since_us);
            let mut deliveries: VecDeque<_> = deliveries.into();
            while let Some(delivery) = deliveries.pop_front() {
                if stop.is_cancelled() {
                    let left = std::iter::once(delivery).chain(deliveries).collect();
                    return puller.give_back(left).await;
                }
                let not_before: u64 = header(&delivery, NOT_BEFORE_US).unwrap_or_default();
                let early_us = not_before.saturating_sub(now_us());
                if early_us > 0 {
                    delivery.retry(Duration::from_micros(early_us)).await;
                    continue;
                }
                let group = vec![delivery];
                let left: Vec<&Delivery> = group.iter().chain(&deliveries).collect();
                let work = self.deliver(Lane::Again, &group, since_us, memory, stop);
                match puller.meanwhile(&left, work).await {
                    Ok(()) => done(group, memory).await,
                    Err(away) => {
                        debug!(consumer = &*self.id, reason = away.0, "batch waits");
                        for delivery in group {
                            delivery.retry(AWAY_WAIT).await;
                        }
                        pause(stop).await;
                    }
                }
            }
        }
    }

    /// Whether what fails of a call can be written down to be tried again. JetStream is asked only when enough was
    /// written since it was.
    async fn room(&self) -> Result<(), Away> {
        if self.retried.load(Ordering::Relaxed) < LOOK_AFTER {
            return Ok(());
        }
        match retry::has_room(&self.js, &self.settings.tenant, &self.name, RETRIES_WAITING_MAX).await {
            Ok(true) => {
                self.retried.store(0, Ordering::Relaxed);
                Ok(())
            }
            Ok(false) => Err(Away("there is no more room for what is to be tried again".into())),
            Err(error) => Err(Away(format!("it is not known what waits to be tried again: {error:#}"))),
        }
    }
}

/// Messages that go into one call: as many as the consumer's batch size allows. `begun`: the message of which some calls were
/// made, which goes alone.
fn groups(deliveries: Vec<Delivery>, events_max: usize, begun: Option<Place>) -> Vec<Vec<Delivery>> {
    let mut groups: Vec<Vec<Delivery>> = Vec::new();
    let (mut events, mut bytes) = (0, 0);
    let mut open = false;
    for delivery in deliveries {
        let count = delivery.events();
        let size = delivery.payload().len();
        let alone = begun == Some(delivery.place());
        let fits = open && !alone && events + count <= events_max && bytes + size <= er_event::limits::BATCH_BYTES_MAX;
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
        open = !alone;
    }
    groups
}

async fn done(group: Vec<Delivery>, memory: &mut Memory) {
    for delivery in group {
        memory.note_settled(delivery.place());
        delivery.done().await;
    }
}

/// Those that were not brought to their end already, each once. What was asked for ahead can wait past its deadline here, and is
/// sent again then.
async fn unsettled(memory: &Memory, deliveries: Vec<Delivery>) -> Vec<Delivery> {
    let mut unsettled = Vec::with_capacity(deliveries.len());
    let mut places = HashSet::with_capacity(deliveries.len());
    for delivery in deliveries {
        if delivery.position().1 > 1 && memory.is_settled(delivery.place()) {
            delivery.done().await;
        } else if !places.insert(delivery.place()) {
            delivery.leave_to_the_other();
        } else {
            unsettled.push(delivery);
        }
    }
    unsettled
}

pub fn header<T: std::str::FromStr>(delivery: &Delivery, name: &str) -> Option<T> {
    delivery.header(name)?.parse().ok()
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(AWAY_WAIT) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn settings(consumer: Option<&str>) -> ConsumerSettings {
        let consumer = consumer.map(|name| ("consumer".to_owned(), name.to_owned()));
        let map: HashMap<_, _> = [("tenant".to_owned(), "acme".to_owned())].into_iter().chain(consumer).collect();
        ConsumerSettings::parse("x", &map).unwrap()
    }

    #[test]
    fn a_place_is_kept_under_the_name_that_was_given() {
        let named = ("alert".into(), "acme=alert".into());
        assert_eq!(names("acme_alert-alert", &settings(Some("alert"))), named);
        assert_eq!(names("acme_alert-v2", &settings(Some("alert"))), named);
        assert_eq!(names("acme.x y", &settings(None)), ("acme_x_y".into(), "acme_x_y".into()));
    }
}
