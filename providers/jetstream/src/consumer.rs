//! Delivery of a tenant's stream to one of its consumers: batches in order, retries beside them, nothing while it is held.

use std::sync::atomic::AtomicU32;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use er_provider_kit::call::Caller;
use er_tenant::consumers::durable;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::ack::Delivery;
use crate::delivery::{Away, Kind};
use crate::gate::Gate;
use crate::provider::Jetstream;
use crate::publish::now_us;
use crate::pull::{Prefetch, Puller};
use crate::retry::NOT_BEFORE_US;
use crate::settings::ConsumerSettings;
use crate::streams;
use crate::strikes::Strikes;
use crate::usage::UsageLog;

const PREFETCH: Prefetch = Prefetch { messages: 32, bytes: 2 << 20 };
/// Wait before a batch goes to a consumer that is not running again; not an attempt.
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// What the acknowledgement deadline adds to the call's.
const ACK_MARGIN: Duration = Duration::from_secs(30);
/// Until it is tried again to tell that a state is acted upon.
const TELL_WAIT: Duration = Duration::from_secs(1);

/// Delivers to one consumer.
#[derive(Clone)]
pub struct Consumer {
    pub js: Context,
    pub nats: async_nats::Client,
    pub caller: Caller,
    /// The component in the lattice.
    pub id: Arc<str>,
    /// As people call it.
    pub name: Arc<str>,
    /// As JetStream calls its place.
    pub durable: Arc<str>,
    pub settings: Arc<ConsumerSettings>,
    /// Hops of the events that the consumer is working on, for what it emits meanwhile.
    pub hop: Arc<AtomicU32>,
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
        // The revision that was acted upon, and told; 0: nobody ever said anything.
        let mut told = 0;
        while !stop.is_cancelled() {
            changes.mark_unchanged();
            let (revision, held) = self.strikes.held();
            if told != revision && self.strikes.tell_seen(revision, held).await {
                told = revision;
            }
            if held {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(TELL_WAIT), if told != revision => {}
                }
                continue;
            }
            self.strikes.clear();
            let halt = stop.child_token();
            let work = async { tokio::join!(self.fresh(halt.clone()), self.again(halt.clone())) };
            tokio::pin!(work);
            loop {
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
                    () = tokio::time::sleep(TELL_WAIT), if told != revision => {
                        if self.strikes.tell_seen(revision, held).await {
                            told = revision;
                        }
                    }
                }
            }
        }
    }

    async fn fresh(&self, stop: CancellationToken) {
        let [name, _] = streams::delivery_names(&self.durable);
        let config = streams::durable(
            name,
            streams::events_subject(&self.settings.tenant),
            self.settings.timeout + ACK_MARGIN,
            self.settings.from_start,
        );
        let mut puller = Puller::new(self.js.clone(), streams::EVENTS, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return puller.close(Vec::new()).await,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            let mut away = None;
            let mut groups = self.groups(deliveries).into_iter();
            while let Some(group) = groups.next() {
                if stop.is_cancelled() {
                    let left = group.into_iter().chain(groups.flatten()).collect();
                    return puller.close(left).await;
                }
                let result = match &away {
                    None => self.deliver(Kind::First, &group).await,
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
        let [_, name] = streams::delivery_names(&self.durable);
        let config = streams::durable(
            name,
            streams::retry_subject(&self.settings.tenant, &self.name),
            self.settings.timeout + ACK_MARGIN,
            true,
        );
        let mut puller = Puller::new(self.js.clone(), streams::RETRY, config, PREFETCH);
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => return puller.close(Vec::new()).await,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            let mut deliveries = deliveries.into_iter();
            while let Some(delivery) = deliveries.next() {
                if stop.is_cancelled() {
                    let left = std::iter::once(delivery).chain(deliveries).collect();
                    return puller.close(left).await;
                }
                let not_before: u64 = header(&delivery, NOT_BEFORE_US).unwrap_or_default();
                let early_us = not_before.saturating_sub(now_us());
                if early_us > 0 {
                    delivery.retry(Duration::from_micros(early_us)).await;
                    continue;
                }
                let group = vec![delivery];
                let result = self.deliver(Kind::Retry, &group).await;
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
