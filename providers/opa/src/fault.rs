//! One table from what can go wrong here to the faults of the interfaces.

use er_provider_opa::Error;

use crate::bindings::eventrunner::platform::types::{Fault, FaultCode};

const AWAY_RETRY_MS: u32 = 1_000;

pub fn fault(code: FaultCode, detail: impl Into<String>) -> Fault {
    let retry_after_ms = matches!(code, FaultCode::Unavailable).then_some(AWAY_RETRY_MS);
    Fault { code, detail: detail.into(), retry_after_ms }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Policy(_) | Error::Invalid(_) | Error::TooLarge { .. } => FaultCode::Invalid,
            Error::Unknown { .. } => FaultCode::NotFound,
            Error::Conflict => FaultCode::Conflict,
            Error::Away(_) => FaultCode::Unavailable,
        };
        fault(code, error.to_string())
    }
}
