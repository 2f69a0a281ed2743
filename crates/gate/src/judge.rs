//! Asks the policy all that a request would do, and tells every refusal.

use std::sync::Arc;
use std::time::Duration;

use er_provider_opa::data::Names;
use er_provider_opa::Desk;
use tokio::time::{sleep, Instant};

use crate::question::Question;

/// How long a denial may take to be asked again of what counts now.
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// How long the first policy may take after the start of a gate.
const LOADED_WITHIN: Duration = Duration::from_secs(5);
const LOADED_POLL: Duration = Duration::from_millis(20);

/// One thing that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub about: String,
    pub reason: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Empty: all of it is allowed.
    pub refusals: Vec<Refusal>,
    /// Of the policy; empty where none is loaded.
    pub revision: Arc<str>,
}

/// Who decides.
#[derive(Debug, Clone)]
pub struct Judge {
    desk: Desk,
}

// === impl Judge ===

impl Judge {
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self { desk }
    }

    #[must_use]
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Decides what `questions` makes of who there is. What is denied is asked once more of the newest policy and tenants:
    /// a tenant that was made a moment ago may deploy.
    pub async fn decide(&self, caller: &str, questions: impl Fn(&Names) -> Vec<Question>) -> Verdict {
        let verdict = self.once(caller, &questions(&self.desk.names()));
        if verdict.refusals.is_empty() {
            return verdict;
        }
        self.loaded(LOADED_WITHIN).await;
        self.desk.refresh(AGAIN_WITHIN).await;
        self.once(caller, &questions(&self.desk.names()))
    }

    /// Waits while the first policy is being loaded.
    pub async fn loaded(&self, at_most: Duration) {
        let loading = || {
            let state = self.desk.state();
            state["revision"] == "" && state["refused"].is_null()
        };
        let deadline = Instant::now() + at_most;
        while loading() && Instant::now() < deadline {
            sleep(LOADED_POLL).await;
        }
    }

    fn once(&self, caller: &str, questions: &[Question]) -> Verdict {
        let mut verdict = Verdict { refusals: Vec::new(), revision: "".into() };
        for Question { about, asked, fault } in questions {
            let mut reasons: Vec<String> = fault.iter().cloned().collect();
            if let Some(question) = asked {
                let decision = self.desk.decide(caller, question).decision;
                if !decision.allow {
                    reasons.push(decision.reason.clone());
                }
                verdict.revision = Arc::clone(&decision.revision);
            }
            if !reasons.is_empty() {
                verdict.refusals.push(Refusal { about: about.clone(), reason: reasons.join("; ") });
            }
        }
        verdict
    }
}

// === impl Verdict ===

impl Verdict {
    /// Refused without asking the policy.
    #[must_use]
    pub fn refused(about: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { refusals: vec![Refusal { about: about.into(), reason: reason.into() }], revision: "".into() }
    }

    #[must_use]
    pub fn allows(&self) -> bool {
        self.refusals.is_empty()
    }
}
