//! The answer to one question.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Whether something may be done, why, and by which policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    pub allow: bool,
    /// One sentence for a person.
    pub reason: String,
    /// Which bundle and which data decided, as `<bundle>.<data>`: equal revisions answer equal questions equally. Empty
    /// where none is loaded.
    #[serde(serialize_with = "text")]
    pub revision: Arc<str>,
    /// Why no policy decided; none where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Why there is no decision by a policy. Each of them denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No policy was loaded yet.
    NotLoaded,
    /// The question is longer than a question may be, or not JSON.
    Input,
    /// The policy took more instructions or memory than it may.
    Exhausted,
    /// The policy trapped, or called what is not given here.
    Trapped,
    /// The policy has no answer to the question.
    Undefined,
    /// The policy's answer is none.
    Output,
    /// The data could be followed no longer: who changed meanwhile is not known.
    Stale,
    /// Whoever was to decide did not, in time.
    Timeout,
    /// Nobody was there to decide.
    Away,
}

// === impl Decision ===

impl Decision {
    /// The denial that a failure is.
    #[must_use]
    pub fn failed(failure: Failure, detail: impl std::fmt::Display, revision: &Arc<str>) -> Self {
        let reason = format!("denied, since no policy could decide: {detail}");
        Self { allow: false, reason, revision: Arc::clone(revision), failure: Some(failure) }
    }
}

// === impl Failure ===

impl Failure {
    pub const ALL: [Self; 9] = [
        Self::NotLoaded,
        Self::Input,
        Self::Exhausted,
        Self::Trapped,
        Self::Undefined,
        Self::Output,
        Self::Stale,
        Self::Timeout,
        Self::Away,
    ];

    /// For a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotLoaded => "not_loaded",
            Self::Input => "input",
            Self::Exhausted => "exhausted",
            Self::Trapped => "trapped",
            Self::Undefined => "undefined",
            Self::Output => "output",
            Self::Stale => "stale",
            Self::Timeout => "timeout",
            Self::Away => "away",
        }
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}
