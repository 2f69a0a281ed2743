//! A durable pull consumer that is there whenever its stream is: made if missing, made again if deleted, and
//! patient while NATS is away.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Stream};
use async_nats::jetstream::Context;
use er_provider_kit::trace;
use futures::{FutureExt as _, StreamExt as _};
use tracing::{warn, Span};

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
}

// === impl Puller ===

impl Puller {
    pub fn new(js: Context, stream: &'static str, config: pull::Config, prefetch: Prefetch) -> Self {
        Self { js, stream, config, prefetch, open: None }
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

    /// Ends pulling, and gives back in order what was taken and what was asked for ahead. What is still on its way comes
    /// back by itself, when nobody acknowledged it.
    pub async fn close(mut self, mut taken: Vec<Delivery>) {
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

    async fn reopen(&self) -> anyhow::Result<Stream> {
        let name = self.config.durable_name.clone().unwrap_or_default();
        let stream = self.js.get_stream(self.stream).await?;
        // An existing consumer keeps its position; its deliver policy can't be changed and need not be.
        let consumer = match stream.get_consumer::<pull::Config>(&name).await {
            Ok(consumer) => consumer,
            Err(_) => stream.create_consumer(self.config.clone()).await?,
        };
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
