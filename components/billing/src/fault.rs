//! One table from what the arithmetic refuses to the faults of the interfaces.

use er_metering::Error;

use crate::backend::{Fault, FaultCode};

/// For `?` on what `er-metering` answers.
pub trait OrFault<T> {
    fn or_fault(self) -> Result<T, Fault>;
}

impl<T> OrFault<T> for Result<T, Error> {
    fn or_fault(self) -> Result<T, Fault> {
        self.map_err(|error| {
            let code = match &error {
                Error::Billed { .. } | Error::State { .. } | Error::Early { .. } => FaultCode::Conflict,
                Error::NotCovered { .. } | Error::Missing { .. } | Error::Tenant { .. } => FaultCode::Internal,
                _ => FaultCode::Invalid,
            };
            fault(code, error)
        })
    }
}

pub fn fault(code: FaultCode, detail: impl ToString) -> Fault {
    Fault { code, detail: detail.to_string(), retry_after_ms: None }
}

pub fn invalid(detail: impl ToString) -> Fault {
    fault(FaultCode::Invalid, detail)
}

pub fn not_found(detail: impl ToString) -> Fault {
    fault(FaultCode::NotFound, detail)
}

/// What rests in a bucket is not what this component wrote.
pub fn defect(cause: impl ToString) -> Fault {
    fault(FaultCode::Internal, cause)
}
