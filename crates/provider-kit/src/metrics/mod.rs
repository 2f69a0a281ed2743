//! The Prometheus endpoint of a provider, what every provider reports of itself, and the counters that steps have in common.

mod documented;
mod exemplars;
mod serve;
mod snapshot;

pub use documented::{documented, Documented};
pub use serve::serve;
pub use snapshot::replace;

use metrics::counter;

/// Steps that have failures and repeats in common metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Admit,
    Engine,
    Policy,
    Delivery,
    Usage,
}

// === impl Stage ===

impl Stage {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admit => "admit",
            Self::Engine => "engine",
            Self::Policy => "policy",
            Self::Delivery => "delivery",
            Self::Usage => "usage",
        }
    }
}

/// A call of a step failed; `reason` is one of a few words.
pub fn failed(stage: Stage, reason: &'static str) {
    counter!("eventrunner_pipeline_errors_total", "stage" => stage.as_str(), "reason" => reason).increment(1);
}

/// Batches are tried again.
pub fn retried(stage: Stage, batches: usize) {
    counter!("eventrunner_pipeline_retries_total", "stage" => stage.as_str()).increment(batches as u64);
}

/// Events go no further. `by`: the step that says so, as dead letters name it.
pub fn dropped(by: String, reason: &'static str, intentional: bool, events: usize) {
    let intentional = if intentional { "true" } else { "false" };
    counter!(
        "eventrunner_pipeline_events_dropped_total",
        "stage" => by, "reason" => reason, "intentional" => intentional
    )
    .increment(events as u64);
}
