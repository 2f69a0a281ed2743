//! A durable pull consumer that is there whenever its stream is: made if missing, made again if deleted, and
//! patient while NATS is away.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Stream};
use async_nats::jetstream::consumer::FromConsumer as _;
use async_nats::jetstream::Context;
use er_provider_kit::trace;
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{interval_at, Instant, Interval, MissedTickBehavior};
use tracing::{info, warn, Span};

use crate::ack::Delivery;
use crate::publish::now_us;

const REOPEN_WAIT: Duration = Duration::from_millis(250);
const EXPIRES: Duration = Duration::from_secs(30);
/// Nothing more is on its way when nothing came for so long.
const QUIET: Duration = Duration::from_millis(50);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How much is asked for ahead of being worked on.
#[derive(Debug, Clone, Copy)]
pub struct Prefetch {
    pub messages: usize,
    pub bytes: usize,
}

/// Pulls from one durable consumer.
pub struct Puller {
    js: Context,
    stream: &'static str,
    config: pull::Config,
    prefetch: Prefetch,
    open: Option<Stream>,
    /// When the durable consumer was made, in microseconds since 1970; 0 until it is known.
    since_us: u64,
    /// When to say again that what is held is worked on.
    pulse: Interval,
}

// === impl Puller ===

impl Puller {
    pub fn new(js: Context, stream: &'static str, config: pull::Config, prefetch: Prefetch) -> Self {
        // Two may get lost before a deadline passes.
        let every = config.ack_wait / 3;
        let mut pulse = interval_at(Instant::now() + every, every);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { js, stream, config, prefetch, open: None, since_us: 0, pulse }
    }

    /// When the place was made that messages come from, in microseconds since 1970: one of the same name that is made after it
    /// was deleted has another.
    pub fn since_us(&self) -> u64 {
        self.since_us
    }

    /// Waits for a message, then takes along what is there already, in order, at most `max`. Cancel safe: a
    /// message that was received is in the answer.
    pub async fn next(&mut self, max: usize) -> Vec<Delivery> {
        loop {
            let Some(open) = self.open.as_mut() else {
                match self.reopen().await {
                    Ok(stream) => self.open = Some(stream),
                    Err(error) => {
                        warn!(stream = self.stream, %error, "can't pull, trying again");
                        tokio::time::sleep(REOPEN_WAIT).await;
                    }
                }
                continue;
            };
            match open.next().await {
                Some(Ok(first)) => {
                    let mut taken = vec![Delivery::new(first)];
                    while taken.len() < max {
                        match open.next().now_or_never() {
                            Some(Some(Ok(message))) => taken.push(Delivery::new(message)),
                            _ => break,
                        }
                    }
                    return taken;
                }
                Some(Err(error)) => {
                    warn!(stream = self.stream, %error, "pull interrupted, opening it again");
                    self.open = None;
                    tokio::time::sleep(REOPEN_WAIT).await;
                }
                None => self.open = None,
            }
        }
    }

    /// Does `work`. However long that takes, nothing of what is held is delivered again meanwhile.
    pub async fn meanwhile<T>(&mut self, held: &[&Delivery], work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = self.pulse.tick() => {
                    for delivery in held {
                        delivery.working().await;
                    }
                }
            }
        }
    }

    /// Ends pulling until the next message is asked for, and gives back in order what was taken and what was asked for
    /// ahead. What is still on its way comes back by itself, when nobody acknowledged it.
    pub async fn give_back(&mut self, mut taken: Vec<Delivery>) {
        if let Some(mut open) = self.open.take() {
            let all = self.prefetch.messages * 2;
            while taken.len() < all {
                match tokio::time::timeout(QUIET, open.next()).await {
                    Ok(Some(Ok(message))) => taken.push(Delivery::new(message)),
                    _ => break,
                }
            }
            // Before they are given back, or they would come here again.
            drop(open);
        }
        for delivery in taken {
            delivery.retry(Duration::ZERO).await;
        }
    }

    async fn reopen(&mut self) -> anyhow::Result<Stream> {
        let name = self.config.durable_name.clone().unwrap_or_default();
        let stream = self.js.get_stream(self.stream).await?;
        let consumer = match stream.get_consumer::<pull::Config>(&name).await {
            Ok(consumer) => {
                let there = pull::Config::try_from_consumer_config(consumer.cached_info().config.clone());
                match brought_up(there.map_err(|e| anyhow::anyhow!(e))?, &self.config) {
                    Some(config) => {
                        info!(stream = self.stream, name, ack_wait = ?config.ack_wait, "its limits changed");
                        stream.update_consumer(config).await?
                    }
                    None => consumer,
                }
            }
            Err(_) => stream.create_consumer(self.config.clone()).await?,
        };
        let created_us = consumer.cached_info().created.unix_timestamp_nanos() / 1_000;
        self.since_us = u64::try_from(created_us).unwrap_or_default();
        Ok(consumer
            .stream()
            .max_messages_per_batch(self.prefetch.messages)
            .max_bytes_per_batch(self.prefetch.bytes)
            .expires(EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await?)
    }
}

/// What is done with messages of one tenant, as part of the trace that the first of them came by.
pub fn span(what: &'static str, stream: &'static str, tenant: &str, deliveries: &[Delivery]) -> Span {
    trace::follow(deliveries.iter().filter_map(Delivery::traced), || {
        let (first, delivered) = deliveries.first().map(Delivery::position).unwrap_or_default();
        let last = deliveries.last().map(Delivery::position).unwrap_or_default().0;
        let published_us = deliveries.first().map(Delivery::published_us).unwrap_or_default();
        let waited_us = if published_us == 0 { 0 } else { now_us().saturating_sub(published_us) };
        trace::span!(
            "pulled",
            otel.name = format!("{what} {stream}"),
            otel.kind = "consumer",
            messaging.system = "nats",
            messaging.operation.type = "process",
            messaging.destination.name = stream,
            messaging.batch.message_count = deliveries.len() as i64,
            eventrunner.tenant = tenant,
            eventrunner.events = deliveries.iter().map(Delivery::events).sum::<usize>() as i64,
            eventrunner.stream.first = first as i64,
            eventrunner.stream.last = last as i64,
            eventrunner.stream.delivered = delivered as i64,
            eventrunner.stream.waited_us = waited_us as i64
        )
    })
}

/// What is there with the limits that are wanted; none where it has them. It keeps its position: the deliver policy can't
/// be changed and need not be.
fn brought_up(there: pull::Config, wanted: &pull::Config) -> Option<pull::Config> {
    let limits = |config: &pull::Config| (config.ack_wait, config.max_ack_pending);
    (limits(&there) != limits(wanted)).then_some(pull::Config {
        ack_wait: wanted.ack_wait,
        max_ack_pending: wanted.max_ack_pending,
        ..there
    })
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::consumer::DeliverPolicy;

    use super::*;
    use crate::streams;

    #[test]
    fn an_existing_place_gets_the_limits_that_are_wanted_and_stays_where_it_is() {
        let durable = |seconds, from_start| {
            streams::durable("c".into(), "er.events.acme".into(), Duration::from_secs(seconds), from_start)
        };
        assert_eq!(brought_up(durable(36, true), &durable(36, false)), None);
        let config = brought_up(durable(36, true), &durable(90, false)).unwrap();
        assert_eq!((config.ack_wait, config.deliver_policy), (Duration::from_secs(90), DeliverPolicy::All));
        let more = pull::Config { max_ack_pending: -1, ..durable(36, true) };
        assert_eq!(brought_up(durable(36, true), &more), Some(more));
    }
}
