//! What can go wrong in the store, in sentences that say the mend, and which of it a repeat may mend.

use scylla::errors::{
    DbError, ExecutionError, MetadataError, NewSessionError, PrepareError, RequestAttemptError, UseKeyspaceError,
};

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller's input is wrong.
    #[error("{0}")]
    Invalid(String),
    /// Nothing was done: too much is under way already.
    #[error("the event store has as many calls under way as it may; send again")]
    Busy,
    /// It may have been done, or not.
    #[error("the event store's cluster did not answer in time; the events may or may not be stored, send them again")]
    Slow,
    /// As [`Error::Slow`], when the server says so itself.
    #[error(
        "the event store's cluster is overloaded, or replicas are away: {0}; see its nodes' state, and send again"
    )]
    Overloaded(String),
    #[error("the event store's cluster can't be reached: {0}; see whether the nodes of `nodes` run and answer")]
    Away(String),
    #[error(
        "the schema in keyspace `{keyspace}` is version {found} and this provider knows versions up to {known}; deploy a \
         provider that knows version {found}, or give it another `keyspace`"
    )]
    SchemaNewer { keyspace: String, found: i32, known: i32 },
    #[error("the event store's cluster lets this provider in or at a table no more: {0}; mend `username`, `password` or the user's permissions")]
    Denied(String),
    #[error("the event store is closed: it is shutting down")]
    Closed,
    /// The cluster and this program don't understand each other.
    #[error("the event store's cluster refused a statement: {0}; see whether the keyspace's tables are as deploy/scylla has them")]
    Refused(String),
    /// A row that this program can't have written.
    #[error("the event store holds a broken row: {0}")]
    Corrupt(&'static str),
}

// === impl Error ===

impl Error {
    /// For the label of a metric.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::Overloaded(_) => "overloaded",
            Self::Away(_) => "away",
            Self::SchemaNewer { .. } => "schema",
            Self::Denied(_) => "denied",
            Self::Closed => "closed",
            Self::Refused(_) | Self::Corrupt(_) => "failed",
        }
    }

    /// Whether the same statement, sent again at once, may succeed. Every statement of the store may be repeated.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Slow | Self::Overloaded(_) | Self::Away(_))
    }
}

impl From<ExecutionError> for Error {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::RequestTimeout(_) => Self::Slow,
            ExecutionError::LastAttemptError(error) => error.into(),
            ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => Self::Away(error.to_string()),
            ExecutionError::PrepareError(error) => error.into(),
            ExecutionError::UseKeyspaceError(error) => error.into(),
            ExecutionError::MetadataError(error) => error.into(),
            ExecutionError::SchemaAgreementError(_) => Self::Overloaded(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<RequestAttemptError> for Error {
    fn from(error: RequestAttemptError) -> Self {
        match &error {
            RequestAttemptError::BrokenConnectionError(_) => Self::Away(error.to_string()),
            RequestAttemptError::UnableToAllocStreamId => Self::Overloaded(error.to_string()),
            RequestAttemptError::DbError(kind, text) => match kind {
                DbError::Overloaded
                | DbError::IsBootstrapping
                | DbError::Unavailable { .. }
                | DbError::ReadTimeout { .. }
                | DbError::WriteTimeout { .. }
                | DbError::ReadFailure { .. }
                | DbError::WriteFailure { .. }
                | DbError::RateLimitReached { .. }
                | DbError::ServerError => Self::Overloaded(text.clone()),
                DbError::AuthenticationError | DbError::Unauthorized => Self::Denied(text.clone()),
                _ => Self::Refused(error.to_string()),
            },
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<PrepareError> for Error {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::ConnectionPoolError(error) => Self::Away(error.to_string()),
            PrepareError::AllAttemptsFailed { first_attempt } => first_attempt.into(),
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<UseKeyspaceError> for Error {
    fn from(error: UseKeyspaceError) -> Self {
        match error {
            UseKeyspaceError::RequestError(error) => error.into(),
            UseKeyspaceError::RequestTimeout(_) => Self::Slow,
            other => Self::Refused(other.to_string()),
        }
    }
}

impl From<MetadataError> for Error {
    fn from(error: MetadataError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<NewSessionError> for Error {
    fn from(error: NewSessionError) -> Self {
        match error {
            NewSessionError::UseKeyspaceError(error) => error.into(),
            NewSessionError::IllegalConfig(_) => Self::Refused(error.to_string()),
            other => Self::Away(other.to_string()),
        }
    }
}

pub fn invalid(detail: String) -> Error {
    Error::Invalid(detail)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether the statement is sent again, by what the server said.
    #[test]
    fn what_may_pass_is_told_from_what_does_not() {
        let (consistency, required) = (scylla::statement::Consistency::Quorum, 2);
        for (kind, word, passes) in [
            (DbError::Overloaded, "overloaded", true),
            (DbError::IsBootstrapping, "overloaded", true),
            (DbError::Unavailable { consistency, required, alive: 1 }, "overloaded", true),
            (DbError::ReadTimeout { consistency, received: 1, required, data_present: false }, "overloaded", true),
            (DbError::Unauthorized, "denied", false),
            (DbError::SyntaxError, "failed", false),
            (DbError::Invalid, "failed", false),
            (DbError::ProtocolError, "failed", false),
        ] {
            let error = Error::from(RequestAttemptError::DbError(kind.clone(), "so it is".into()));
            assert_eq!((error.word(), error.passes()), (word, passes), "{kind:?}");
            assert!(error.to_string().contains("so it is"), "{error}");
        }
        assert_eq!(Error::from(ExecutionError::RequestTimeout(Duration::from_secs(2))), Error::Slow);
        let away = Error::from(ExecutionError::EmptyPlan);
        assert!(matches!(away, Error::Away(_)) && away.passes());
    }
}
