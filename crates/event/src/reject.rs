//! Why a text of ours (a batch, a frame, a mapping) can't be read.

use crate::json::Fault;

/// A text that breaks a format of ours. What a client did wrong is a [`crate::Problem`] instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    #[error(transparent)]
    Json(#[from] Fault),
    #[error("not a CloudEvent: {0}")]
    Event(String),
    #[error("not a batch of events: {what} at byte {offset}")]
    Batch { offset: usize, what: &'static str },
    #[error("not a request frame: {what} at byte {offset}")]
    Frame { offset: usize, what: &'static str },
    #[error("mapping {name}: {what}")]
    Mapping { name: String, what: String },
    #[error("not a dead letter: {0}")]
    Dead(&'static str),
}
