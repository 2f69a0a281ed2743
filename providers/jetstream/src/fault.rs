//! One table from what can go wrong here to the faults of the interfaces.

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use std::error::Error as _;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// How long a caller waits before it tries again when a part is away.
const AWAY_RETRY_MS: u32 = 1_000;
/// How long when a backlog is full.
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
    // JetStream's own refusal sits behind the client's error.
    let refusal = error.source().and_then(|source| source.downcast_ref::<jetstream::Error>());
    match (error.kind(), refusal.and_then(full)) {
        (_, Some(full)) => full,
        (PublishErrorKind::TimedOut, _) => fault(
            FaultCode::Unavailable,
            "JetStream did not confirm in time; the events may or may not be durable, send them again with the same ids",
        ),
        _ => unavailable("JetStream did not take the events", error),
    }
}

/// Whose limit was reached. JetStream has one code for both, so only its words tell.
fn full(refusal: &jetstream::Error) -> Option<Fault> {
    let detail = if refusal.to_string().contains("per subject") {
        "the tenant's backlog is full: its events wait for the engine; send again later"
    } else {
        "the platform's backlog is full: what waits of all tenants together leaves no room; send again later"
    };
    (refusal.error_code() == ErrorCode::STREAM_STORE_FAILED).then(|| fault(FaultCode::Exhausted, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nats-server 2.15 answers.
    fn refused(err_code: u64, description: &str) -> Option<Fault> {
        let answer = serde_json::json!({ "code": 503, "err_code": err_code, "description": description });
        full(&serde_json::from_value(answer).unwrap())
    }

    #[test]
    fn a_tenant_is_not_told_that_the_backlog_of_all_is_its_own() {
        let own = refused(10_077, "maximum messages per subject exceeded").unwrap();
        let all = refused(10_077, "maximum bytes exceeded").unwrap();
        assert!(own.detail.starts_with("the tenant's"), "{}", own.detail);
        assert!(all.detail.starts_with("the platform's"), "{}", all.detail);
        for fault in [own, all] {
            assert!(matches!(fault.code, FaultCode::Exhausted));
            assert_eq!(fault.retry_after_ms, Some(FULL_RETRY_MS));
        }
        assert!(refused(10_023, "insufficient resources").is_none());
    }
}
