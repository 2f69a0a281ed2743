//! Faults of the linked interfaces, as problems.

use er_event::{Kind, Problem};

use crate::backend::{Fault, FaultCode};

/// How long to wait where nobody says.
pub const RETRY_AFTER_MS: u32 = 1000;

/// For `?` on calls through the backend.
pub trait OrProblem<T> {
    fn or_problem(self) -> Result<T, Problem>;
    /// As [`OrProblem::or_problem`], where what can be invalid is the body and not the query.
    fn of_body(self) -> Result<T, Problem>;
}

impl<T> OrProblem<T> for Result<T, Fault> {
    fn or_problem(self) -> Result<T, Problem> {
        self.map_err(problem)
    }

    fn of_body(self) -> Result<T, Problem> {
        self.map_err(|fault| match fault.code {
            FaultCode::Invalid => Problem::new(Kind::Unprocessable, fault.detail),
            _ => problem(fault),
        })
    }
}

pub fn problem(fault: Fault) -> Problem {
    let kind = match fault.code {
        // What reaches the linked interfaces unchecked comes from the query (cursors, positions, filters), or is told
        // with `of_body`.
        FaultCode::Invalid => Kind::InvalidQuery,
        FaultCode::NotFound => Kind::NotFound,
        FaultCode::Denied => Kind::Forbidden,
        FaultCode::Conflict => Kind::Conflict,
        FaultCode::Exhausted => Kind::RateLimited,
        FaultCode::Unavailable => Kind::Unavailable,
        FaultCode::Internal => Kind::Internal,
    };
    let problem = Problem::new(kind, fault.detail);
    match fault.retry_after_ms {
        Some(ms) => problem.retry_after_ms(ms),
        None if matches!(fault.code, FaultCode::Exhausted | FaultCode::Unavailable) => {
            problem.retry_after_ms(RETRY_AFTER_MS)
        }
        None => problem,
    }
}
