//! Publishing with a PubAck: what returned `Ok` is on disk.

use std::future::Future;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::stream::LastRawMessageErrorKind as RawMessageErrorKind;
use async_nats::jetstream::Context;
use async_nats::HeaderMap;
use er_provider_kit::metrics::{retried, Stage};
use er_provider_kit::trace;
use metrics::{counter, histogram};
use tokio_util::sync::CancellationToken;
use tracing::{warn, Instrument as _};

use crate::ack::backoff;
use crate::payload::Payload;
use crate::streams;

/// Until what could not be written is written again.
const WRITE_AGAIN_MIN: Duration = Duration::from_millis(100);
const WRITE_AGAIN_MAX: Duration = Duration::from_secs(5);

/// A message to be published once.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub subject: String,
    /// JetStream drops a second message with the same id.
    pub message_id: String,
    /// When the first of its events came in, in microseconds.
    pub received_us: u64,
    pub headers: Vec<(&'static str, String)>,
    pub payload: Payload,
}

/// Publishes and waits for the PubAck. A duplicate counts as published; but a dead letter whose double was discarded or
/// redriven meanwhile is another one.
pub async fn publish(js: &Context, out: Outgoing) -> Result<(), PublishError> {
    if streams::of(&out.subject) != streams::DEAD {
        return put(js, out).await.map(drop);
    }
    let mut message_id = out.message_id.clone();
    loop {
        let ack = put(js, Outgoing { message_id, ..out.clone() }).await?;
        if !ack.duplicate || is_there(js, ack.sequence).await? {
            return Ok(());
        }
        // Each double is later than the one before, so this ends with the newest.
        message_id = format!("{}-after-{}", out.message_id, ack.sequence);
    }
}

/// Whether a dead letter still stands in its stream.
async fn is_there(js: &Context, seq: u64) -> Result<bool, PublishError> {
    let stream = js.get_stream(streams::DEAD).await.map_err(unknown)?;
    match stream.get_raw_message(seq).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(false),
        Err(error) => Err(unknown(error)),
    }
}

fn unknown(error: impl std::fmt::Display) -> PublishError {
    warn!(%error, "it is not known whether a dead letter is there");
    PublishErrorKind::Other.into()
}

async fn put(js: &Context, out: Outgoing) -> Result<PublishAck, PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", out.message_id.as_str());
    headers.insert(streams::RECEIVED_US, out.received_us.to_string().as_str());
    for (name, value) in &out.headers {
        headers.insert(*name, value.as_str());
    }
    let payload = out.payload.into_message(&mut headers);
    let (stream, started) = (streams::of(&out.subject), Instant::now());
    let span = trace::child(|| {
        trace::span!(
            "publish",
            otel.name = format!("publish {stream}"),
            otel.kind = "producer",
            messaging.system = "nats",
            messaging.operation.type = "send",
            messaging.destination.name = stream,
            messaging.message.body.size = payload.len() as i64
        )
    });
    if let Some(traceparent) = trace::header(&span) {
        headers.insert(trace::TRACEPARENT, traceparent.as_str());
    }
    let published =
        async { js.publish_with_headers(out.subject, headers, payload).await?.await }.instrument(span.clone()).await;
    match published {
        Ok(ack) => {
            trace::note(&span, "eventrunner.stream.sequence", || i64::try_from(ack.sequence).unwrap_or_default());
            histogram!("eventrunner_stream_publish_seconds", "stream" => stream).record(started.elapsed());
            Ok(ack)
        }
        Err(error) => {
            trace::failed(&span, word(&error));
            counter!("eventrunner_stream_publish_errors_total", "stream" => stream, "reason" => word(&error))
                .increment(1);
            Err(error)
        }
    }
}

fn word(error: &PublishError) -> &'static str {
    match error.kind() {
        PublishErrorKind::StreamNotFound => "no-stream",
        PublishErrorKind::TimedOut => "timeout",
        PublishErrorKind::BrokenPipe => "lattice",
        // Full, mostly: what the server says for itself is in the log of whoever publishes.
        _ => "refused",
    }
}

/// Publishes all at once, and waits for every PubAck.
pub async fn publish_all(js: &Context, all: Vec<Outgoing>) -> Result<(), PublishError> {
    futures::future::try_join_all(all.into_iter().map(|out| publish(js, out))).await.map(|_| ())
}

/// Writes down what became of a batch, however often that must be tried: to find it out once more would be another call of
/// whoever worked on it. An error says why not, where it was stopped before, or tried `times_max` times.
pub async fn written<F, E>(
    stage: Stage,
    stop: &CancellationToken,
    times_max: usize,
    write: impl Fn() -> F,
) -> Result<(), String>
where
    F: Future<Output = Result<(), E>>,
    E: ToString,
{
    let mut failures = 0;
    while let Err(error) = write().await {
        failures += 1;
        let (reason, wait) = (error.to_string(), backoff(WRITE_AGAIN_MIN, WRITE_AGAIN_MAX, failures as u64));
        warn!(reason, wait_ms = wait.as_millis() as u64, "what became of a batch can't be written");
        if failures == times_max {
            return Err(reason);
        }
        retried(stage, 1);
        tokio::select! {
            () = stop.cancelled() => return Err(reason),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(())
}

/// Microseconds since 1970 (UTC).
pub fn now_us() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
