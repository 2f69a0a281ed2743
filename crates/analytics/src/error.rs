//! What can go wrong, in sentences that say the mend, and one table from there to the faults of the interface.

use er_metering::limits::WINDOWS_MAX;
use er_metering::Time;

use crate::engine::Failure;

const FULL_RETRY_MS: u32 = 1_000;
const AWAY_RETRY_MS: u32 = 2_000;
const OPERATOR_RETRY_MS: u32 = 30_000;

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's input is wrong.
    #[error("{0}")]
    Invalid(String),
    #[error("that is more than {WINDOWS_MAX} windows; ask for a wider window or a shorter time")]
    Windows,
    #[error("usage before {kept_from} is no longer kept; ask from then on")]
    Gone { kept_from: Time },
    #[error("a sum is beyond what can be counted; ask for a narrower window or a shorter time")]
    Overflow,
    /// Nothing was taken.
    #[error("the analytics have as many records waiting as they may hold; send again")]
    Full,
    /// It may become durable, or not.
    #[error("the analytics did not confirm within {0} ms; the records may or may not be stored, send them again")]
    Slow(u128),
    #[error("the analytics did not answer within {0} ms; ask again")]
    Late(u128),
    #[error("the analytics are away: {0}")]
    Away(String),
    #[error("the analytics refuse: {0}")]
    Operator(String),
    #[error(
        "database {database} has schema version {found}, and this program knows {known}: a newer one has changed it; \
         run that one, or give this one another database"
    )]
    Newer { database: String, found: u32, known: u32 },
    #[error("the analytics are shutting down")]
    Closed,
    /// A defect of ours.
    #[error("the analytics can't do it: {0}")]
    Defect(String),
}

/// The kinds of faults that come from here, as `fault-code` of the interface has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Invalid,
    Exhausted,
    Unavailable,
    Internal,
}

// === impl Error ===

impl Error {
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid(_) | Self::Windows | Self::Gone { .. } | Self::Overflow => Code::Invalid,
            Self::Full => Code::Exhausted,
            Self::Slow(_) | Self::Late(_) | Self::Away(_) | Self::Operator(_) | Self::Newer { .. } | Self::Closed => {
                Code::Unavailable
            }
            Self::Defect(_) => Code::Internal,
        }
    }

    /// When it may be worth trying again.
    pub fn retry_after_ms(&self) -> Option<u32> {
        match self {
            Self::Full => Some(FULL_RETRY_MS),
            Self::Operator(_) | Self::Newer { .. } => Some(OPERATOR_RETRY_MS),
            _ => (self.code() == Code::Unavailable).then_some(AWAY_RETRY_MS),
        }
    }

    /// For the label of a metric.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) | Self::Windows | Self::Gone { .. } | Self::Overflow => "invalid",
            Self::Full => "full",
            Self::Slow(_) | Self::Late(_) => "slow",
            Self::Away(_) | Self::Closed => "away",
            Self::Operator(_) | Self::Newer { .. } => "operator",
            Self::Defect(_) => "defect",
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let message = failure.message().to_owned();
        match failure {
            _ if failure.needs_operator() => Self::Operator(message),
            _ if failure.is_passing() => Self::Away(message),
            _ => Self::Defect(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_is_to_be_tried_again() {
        for (error, code, retry) in [
            (Error::Windows, Code::Invalid, false),
            (Error::Full, Code::Exhausted, true),
            (Error::Slow(1), Code::Unavailable, true),
            (Failure::refused("Code: 516. no").into(), Code::Unavailable, true),
            (Failure::refused("Code: 62. no").into(), Code::Internal, false),
            (Error::Newer { database: "d".into(), found: 9, known: 2 }, Code::Unavailable, true),
        ] {
            assert_eq!((error.code(), error.retry_after_ms().is_some()), (code, retry), "{error}");
        }
    }
}
