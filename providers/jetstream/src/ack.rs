//! A received message as a token that must be spent.

use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use er_provider_kit::trace;
use metrics::counter;
use tracing::warn;

use crate::payload::Payload;
use crate::streams;

/// How long a message that has been delivered so often waits for the next time: `min` after the first, doubled up to `max`.
pub fn backoff(min: Duration, max: Duration, delivered: u64) -> Duration {
    let doublings = u32::try_from(delivered.saturating_sub(1).min(6)).unwrap_or(6);
    (min * 2u32.pow(doublings)).min(max)
}

/// What tells a message from all others of its stream.
pub type Place = (u64, u64);

/// A message that was pulled and not yet answered for. Dropped unspent it goes back to its stream at once, and
/// that is counted: it is a defect, but not a loss.
#[must_use]
#[derive(Debug)]
pub struct Delivery {
    message: Message,
    spent: bool,
}

// === impl Delivery ===

impl Delivery {
    pub fn new(message: Message) -> Self {
        Self { message, spent: false }
    }

    pub fn subject(&self) -> &str {
        &self.message.subject
    }

    pub fn payload(&self) -> Payload {
        Payload::of(&self.message)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.message.headers.as_ref()?.get(name).map(async_nats::HeaderValue::as_str)
    }

    /// Events of the message, as whoever published it counted them.
    pub fn events(&self) -> usize {
        self.header(streams::EVENTS_COUNT).and_then(|count| count.parse().ok()).unwrap_or(1)
    }

    /// Which redrive or replay brought the message; empty where none did.
    pub fn round(&self) -> &str {
        self.header(streams::ROUND).unwrap_or_default()
    }

    /// The span that published the message, where it is part of a trace.
    pub fn traced(&self) -> Option<trace::SpanContext> {
        trace::parse(self.header(trace::TRACEPARENT)?)
    }

    /// When the first event of the message came in, in microseconds; 0 where that is not known.
    pub fn received_us(&self) -> u64 {
        self.header(streams::RECEIVED_US).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// When the message came into its stream, in microseconds since 1970; 0 where that is not known.
    pub fn published_us(&self) -> u64 {
        let published = self.message.info().map(|info| info.published.unix_timestamp_nanos() / 1_000);
        published.ok().and_then(|us| u64::try_from(us).ok()).unwrap_or_default()
    }

    /// Position in the stream, and when the message came there: no other message has both, be the stream made anew.
    pub fn place(&self) -> Place {
        (self.position().0, self.published_us())
    }

    /// Position in the stream, and how often it has been delivered (1: the first time).
    pub fn position(&self) -> (u64, u64) {
        self.message
            .info()
            .map(|info| (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1)))
            .unwrap_or_default()
    }

    /// Lets go of what was read from the connection together with it: of a small message that is kept, that is most.
    pub fn detach(&mut self) {
        let payload = &mut self.message.message.payload;
        *payload = bytes::Bytes::copy_from_slice(payload);
    }

    /// Everything it asked for is durable elsewhere.
    pub async fn done(mut self) {
        self.spent = true;
        // A lost acknowledgement means a redelivery, which is harmless.
        if let Err(error) = self.message.ack().await {
            warn!(%error, "acknowledgement not sent");
        }
    }

    /// The same message is held a second time: that one says what becomes of it.
    pub fn leave_to_the_other(mut self) {
        self.spent = true;
    }

    /// Not to be delivered to anybody meanwhile: its deadline begins anew.
    pub async fn working(&self) {
        if let Err(error) = self.message.ack_with(AckKind::Progress).await {
            warn!(%error, "progress not told");
        }
    }

    /// To be delivered again, not before `after`.
    pub async fn retry(mut self, after: Duration) {
        self.spent = true;
        if let Err(error) = self.message.ack_with(AckKind::Nak(Some(after))).await {
            warn!(%error, "negative acknowledgement not sent");
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        counter!("eventrunner_stream_unspent_total").increment(1);
        let message = self.message.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { message.ack_with(AckKind::Nak(None)).await });
        }
    }
}
