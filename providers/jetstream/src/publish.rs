//! Publishing with a PubAck: what returned `Ok` is on disk.

use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::Context;
use async_nats::HeaderMap;

use crate::payload::Payload;
use crate::streams;

/// A message to be published once.
#[derive(Debug)]
pub struct Outgoing {
    pub subject: String,
    /// JetStream drops a second message with the same id.
    pub message_id: String,
    /// When the first of its events came in, in microseconds.
    pub received_us: u64,
    pub headers: Vec<(&'static str, String)>,
    pub payload: Payload,
}

/// Publishes and waits for the PubAck. A duplicate counts as published.
pub async fn publish(js: &Context, out: Outgoing) -> Result<(), PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", out.message_id.as_str());
    headers.insert(streams::RECEIVED_US, out.received_us.to_string().as_str());
    for (name, value) in &out.headers {
        headers.insert(*name, value.as_str());
    }
    let payload = out.payload.into_message(&mut headers);
    js.publish_with_headers(out.subject, headers, payload).await?.await?;
    Ok(())
}

/// Publishes all at once, and waits for every PubAck.
pub async fn publish_all(js: &Context, all: Vec<Outgoing>) -> Result<(), PublishError> {
    futures::future::try_join_all(all.into_iter().map(|out| publish(js, out))).await.map(|_| ())
}

/// Microseconds since 1970 (UTC).
pub fn now_us() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
