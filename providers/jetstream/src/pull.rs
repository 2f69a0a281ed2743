//! A durable pull consumer that is there whenever its stream is: made if missing, made again if deleted, and
//! patient while NATS is away.

use std::future::Future;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind, Stream};
use async_nats::jetstream::consumer::FromConsumer as _;
use async_nats::jetstream::Context;
use er_provider_kit::trace;
use futures::future::BoxFuture;
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
    opening: Option<BoxFuture<'static, anyhow::Result<(Stream, u64)>>>,
    /// When the durable consumer was made, in microseconds since 1970; 0 until it is known.
    since_us: u64,
    /// When to say again that what is held is worked on.
    pulse: Interval,
    /// When the next message was last asked for, or came.
    looked: Instant,
}

// === impl Puller ===

impl Puller {
    pub fn new(js: Context, stream: &'static str, config: pull::Config, prefetch: Prefetch) -> Self {
        let pulse = pulse(config.ack_wait);
        Self { js, stream, config, prefetch, open: None, opening: None, since_us: 0, pulse, looked: Instant::now() }
    }

    /// When the place was made that messages come from, in microseconds since 1970: one of the same name that is made after it
    /// was deleted has another.
    pub fn since_us(&self) -> u64 {
        self.since_us
    }

    /// Waits for a message, then takes along what is there already, in order, at most `max`; all of it where pulling was
    /// interrupted. Cancel safe: a message that was received is in the answer.
    pub async fn next(&mut self, max: usize) -> Vec<Delivery> {
        // While messages were worked on nobody looked whether the server is there.
        let mut looked = self.looked.elapsed() < HEARTBEAT;
        self.looked = Instant::now();
        loop {
            let Some(open) = self.open.as_mut() else {
                let open = || reopen(self.js.clone(), self.stream, self.config.clone(), self.prefetch).boxed();
                // It goes on where it was when whoever asked for a message turned to something else.
                let opened = self.opening.get_or_insert_with(open).await;
                self.opening = None;
                match opened {
                    Ok((stream, since_us)) => {
                        self.open = Some(stream);
                        self.since_us = since_us;
                    }
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
                    self.looked = Instant::now();
                    return taken;
                }
                // What came before is in it still: it would come again only when it is too late for its order.
                Some(Err(error)) if error.kind() == MessagesErrorKind::MissingHeartbeat && !looked => looked = true,
                Some(Err(error)) => {
                    warn!(stream = self.stream, %error, "pull interrupted, opening it again");
                    // For the same reason.
                    let came = std::iter::from_fn(|| open.next().now_or_never()?)
                        .filter_map(|message| message.ok().map(Delivery::new));
                    let came: Vec<Delivery> = came.collect();
                    self.open = None;
                    if !came.is_empty() {
                        return came;
                    }
                    tokio::time::sleep(REOPEN_WAIT).await;
                }
                None => self.open = None,
            }
        }
    }

    /// Does `work`. However long that takes, nothing of what is held is delivered again meanwhile.
    pub async fn meanwhile<T>(&mut self, held: &[&Delivery], work: impl Future<Output = T>) -> T {
        meanwhile(&mut self.pulse, held, work).await
    }

    /// Ends pulling until the next message is asked for, and gives back in order what was taken and what was asked for
    /// ahead. What is still on its way comes back by itself, when nobody acknowledged it.
    pub async fn give_back(&mut self, mut taken: Vec<Delivery>) {
        if let Some(mut open) = self.open.take() {
            let all = taken.len() + self.prefetch.messages * 2;
            let mut looked = false;
            while taken.len() < all {
                match tokio::time::timeout(QUIET, open.next()).await {
                    Ok(Some(Ok(message))) => taken.push(Delivery::new(message)),
                    // As above: nobody looked for a while.
                    Ok(Some(Err(error))) if error.kind() == MessagesErrorKind::MissingHeartbeat && !looked => {
                        looked = true
                    }
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
}

/// The messages of a durable consumer, and when that was made, in microseconds since 1970.
async fn reopen(
    js: Context,
    stream_name: &'static str,
    config: pull::Config,
    prefetch: Prefetch,
) -> anyhow::Result<(Stream, u64)> {
    let name = config.durable_name.clone().unwrap_or_default();
    let stream = js.get_stream(stream_name).await?;
    let consumer = match stream.get_consumer::<pull::Config>(&name).await {
        Ok(consumer) => {
            let there = pull::Config::try_from_consumer_config(consumer.cached_info().config.clone());
            match brought_up(there.map_err(|e| anyhow::anyhow!(e))?, &config) {
                Some(config) => {
                    info!(stream = stream_name, name, ack_wait = ?config.ack_wait, "its limits changed");
                    stream.update_consumer(config).await?
                }
                None => consumer,
            }
        }
        Err(_) => stream.create_consumer(config).await?,
    };
    let created_us = consumer.cached_info().created.unix_timestamp_nanos() / 1_000;
    let messages = consumer
        .stream()
        .max_messages_per_batch(prefetch.messages)
        .max_bytes_per_batch(prefetch.bytes)
        .expires(EXPIRES)
        .heartbeat(HEARTBEAT)
        .messages()
        .await?;
    Ok((messages, u64::try_from(created_us).unwrap_or_default()))
}

/// When to say again that what is held is worked on. `ack_wait`: when it would be delivered again.
pub fn pulse(ack_wait: Duration) -> Interval {
    // Two may get lost before a deadline passes.
    let every = ack_wait / 3;
    let mut pulse = interval_at(Instant::now() + every, every);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pulse
}

/// As [`Puller::meanwhile`].
pub async fn meanwhile<T>(pulse: &mut Interval, held: &[&Delivery], work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = pulse.tick() => {
                for delivery in held {
                    delivery.working().await;
                }
            }
        }
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
