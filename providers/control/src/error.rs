//! Why an order is not taken, or can't be carried out now: a sentence for whoever gave it.

use async_nats::jetstream::kv;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Exhausted(String),
    /// Trying again helps.
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Internal(String),
}

// === impl Error ===

impl Error {
    pub(crate) fn bucket(error: impl std::fmt::Display) -> Self {
        Self::Away(format!("the records of consumers can't be reached: {error}"))
    }

    pub(crate) fn disk(what: &str, error: &std::io::Error) -> Self {
        Self::Internal(format!("{what}: {error}"))
    }
}

impl From<er_consumer::Refusal> for Error {
    fn from(refusal: er_consumer::Refusal) -> Self {
        Self::Invalid(refusal.to_string())
    }
}

impl From<kv::EntryError> for Error {
    fn from(error: kv::EntryError) -> Self {
        Self::bucket(error)
    }
}
