//! One table from what can go wrong here to the faults of the interface.

use er_analytics::Code;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};
use er_provider_local::store::Error;

/// How long a caller waits before it tries again: a queue is emptied in milliseconds, a restart takes seconds.
const BUSY_RETRY_MS: u32 = 200;
const AWAY_RETRY_MS: u32 = 2_000;
const FULL_RETRY_MS: u32 = 30_000;

pub fn fault(code: FaultCode, detail: impl Into<String>, retry_after_ms: Option<u32>) -> Fault {
    Fault { code, detail: detail.into(), retry_after_ms }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, retry_after_ms) = match &error {
            Error::Invalid(_) => (FaultCode::Invalid, None),
            Error::Busy => (FaultCode::Unavailable, Some(BUSY_RETRY_MS)),
            Error::Slow | Error::Closed | Error::Storage(_) => (FaultCode::Unavailable, Some(AWAY_RETRY_MS)),
            Error::DiskFull { .. } => (FaultCode::Unavailable, Some(FULL_RETRY_MS)),
            Error::Corrupt(_) => (FaultCode::Internal, None),
        };
        fault(code, error.to_string(), retry_after_ms)
    }
}

impl From<er_analytics::Error> for Fault {
    fn from(error: er_analytics::Error) -> Self {
        let code = match error.code() {
            Code::Invalid => FaultCode::Invalid,
            Code::Exhausted => FaultCode::Exhausted,
            Code::Unavailable => FaultCode::Unavailable,
            Code::Internal => FaultCode::Internal,
        };
        fault(code, error.to_string(), error.retry_after_ms())
    }
}
