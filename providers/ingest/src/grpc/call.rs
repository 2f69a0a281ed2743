//! One call, as its metadata tell it: who, until when, and how it went.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use er_event::{Kind, Problem};
use er_provider_kit::trace::SpanContext;
use er_tenant::Principal;
use metrics::{counter, histogram};
use tokio::time::Instant;
use tonic::{Code, Request, Status};

use super::rations::Rooms;

/// Digits of a deadline, at most, as the protocol has it.
const TIMEOUT_DIGITS: usize = 8;

/// What the guard found out, for whoever serves the call.
#[derive(Clone)]
pub struct Call {
    pub principal: Arc<Principal>,
    pub credential: Arc<str>,
    /// The room that each message holds, in their order.
    pub rooms: Rooms,
    pub deadline: Option<Instant>,
    /// What the client is doing, where it said so.
    pub client: Option<SpanContext>,
}

// === impl Call ===

impl Call {
    /// The call of a request that passed the guard.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| Status::internal("the call passed no guard"))
    }
}

/// When the call's time is over, as `grpc-timeout` says.
pub fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, Problem> {
    let Some(value) = headers.get("grpc-timeout") else {
        return Ok(None);
    };
    let timeout = value.to_str().ok().and_then(timeout).ok_or_else(|| {
        Problem::new(Kind::HeaderInvalid, format!("the metadata `grpc-timeout` is no time: {value:?}"))
            .mend("Write up to 8 digits and one of H, M, S, m, u, n.")
    })?;
    // Beyond what a clock can say is as good as never.
    Ok(Instant::now().checked_add(timeout))
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > TIMEOUT_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Waits for the deadline; without one, for ever.
pub async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Counts a call that is over.
pub fn count(code: Code) {
    counter!("eventrunner_ingest_requests_total", "protocol" => "grpc", "status" => format!("{code:?}")).increment(1);
}

/// Notes how long a message, or a group of a stream's, took to be answered.
pub fn observe(since: Instant) {
    histogram!("eventrunner_ingest_request_seconds", "protocol" => "grpc").record(since.elapsed().as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit() {
        for (text, wanted) in [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(timeout(text), Some(wanted), "{text}");
        }
        for none in ["", "S", "1", "1s", "1.5S", "-1S", "+1S", "100000000S", "1 S", "1ü"] {
            assert_eq!(timeout(none), None, "{none}");
        }
    }

    #[test]
    fn a_deadline_that_is_none_is_refused_and_one_beyond_all_time_is_none() {
        let headers = |value: &'static str| {
            HeaderMap::from_iter([(
                axum::http::HeaderName::from_static("grpc-timeout"),
                axum::http::HeaderValue::from_static(value),
            )])
        };
        assert_eq!(deadline(&HeaderMap::new()), Ok(None));
        assert!(deadline(&headers("99999999H")).is_ok());
        assert!(matches!(deadline(&headers("1S")), Ok(Some(at)) if at > Instant::now()));
        assert_eq!(deadline(&headers("soon")).unwrap_err().kind, Kind::HeaderInvalid);
    }
}
