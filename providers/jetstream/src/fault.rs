//! One table from what can go wrong here to the faults of the interfaces.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::ErrorCode;
use std::error::Error as _;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// How long a caller waits before it tries again when a part is away.
const AWAY_RETRY_MS: u32 = 1_000;
/// How long when a tenant's own backlog is full.
const FULL_RETRY_MS: u32 = 2_000;

pub fn fault(code: FaultCode, detail: impl Into<String>) -> Fault {
    let retry_after_ms = match code {
        FaultCode::Unavailable => Some(AWAY_RETRY_MS),
        FaultCode::Exhausted => Some(FULL_RETRY_MS),
        _ => None,
    };
    Fault { code, detail: detail.into(), retry_after_ms }
}

pub fn unavailable(what: &str, error: &dyn std::fmt::Display) -> Fault {
    fault(FaultCode::Unavailable, format!("{what}: {error}"))
}

pub fn publish_fault(error: &PublishError) -> Fault {
    // JetStream's own refusal sits behind the client's error; its code says whose limit it is.
    let refusal = error
        .source()
        .and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>())
        .map(async_nats::jetstream::Error::error_code);
    match (error.kind(), refusal) {
        (_, Some(ErrorCode::STREAM_STORE_FAILED)) => fault(
            FaultCode::Exhausted,
            "the tenant's backlog is full: its events wait for the engine; send again later",
        ),
        (PublishErrorKind::TimedOut, _) => fault(
            FaultCode::Unavailable,
            "JetStream did not confirm in time; the events may or may not be durable, send them again with the same ids",
        ),
        _ => unavailable("JetStream did not take the events", error),
    }
}
