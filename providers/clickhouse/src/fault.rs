//! From what can go wrong to the faults of the interface.

use er_analytics::{Code, Error};

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = match error.code() {
            Code::Invalid => FaultCode::Invalid,
            Code::Exhausted => FaultCode::Exhausted,
            Code::Unavailable => FaultCode::Unavailable,
            Code::Internal => FaultCode::Internal,
        };
        Fault { code, retry_after_ms: error.retry_after_ms(), detail: error.to_string() }
    }
}
