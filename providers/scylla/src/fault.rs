//! One table from what can go wrong here to the faults of the interface.

use er_provider_scylla::store::Error;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

/// How long a caller waits before it tries again: calls under way end in milliseconds, a node is back in seconds, a
/// person takes a minute.
const BUSY_RETRY_MS: u32 = 200;
const AWAY_RETRY_MS: u32 = 2_000;
const PERSON_RETRY_MS: u32 = 30_000;

pub fn fault(code: FaultCode, detail: impl Into<String>, retry_after_ms: Option<u32>) -> Fault {
    Fault { code, detail: detail.into(), retry_after_ms }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let (code, retry_after_ms) = match &error {
            Error::Invalid(_) => (FaultCode::Invalid, None),
            Error::Busy => (FaultCode::Unavailable, Some(BUSY_RETRY_MS)),
            Error::Slow | Error::Overloaded(_) | Error::Away(_) | Error::Closed => {
                (FaultCode::Unavailable, Some(AWAY_RETRY_MS))
            }
            Error::SchemaNewer { .. } | Error::Denied(_) => (FaultCode::Unavailable, Some(PERSON_RETRY_MS)),
            Error::Refused(_) | Error::Corrupt(_) => (FaultCode::Internal, None),
        };
        fault(code, error.to_string(), retry_after_ms)
    }
}
