//! Who decides: the policy that counts now, and what it decided before.

use std::sync::Arc;

use er_question::Input;
use parking_lot::RwLock;

use crate::{Decision, Failure, Ready};

/// Denies everything until the first [`Evaluator::activate`].
#[derive(Debug)]
pub struct Evaluator {
    current: RwLock<Option<Arc<Ready>>>,
    none: Arc<str>,
}

/// A decision, and whether it had been made before.
#[derive(Debug, Clone)]
pub struct Answer {
    pub decision: Arc<Decision>,
    pub cached: bool,
}

// === impl Evaluator ===

impl Default for Evaluator {
    fn default() -> Self {
        Self { current: RwLock::default(), none: "".into() }
    }
}

impl Evaluator {
    /// From now on this policy decides. Decisions under way are those of the one before.
    pub fn activate(&self, ready: Ready) {
        let ready = Arc::new(ready);
        let before = self.current.write().replace(ready);
        // Its instances and all it remembers are let go outside the lock.
        drop(before);
    }

    /// What decides now.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Ready>> {
        self.current.read().clone()
    }

    /// The revision that decides now; empty where none does.
    #[must_use]
    pub fn revision(&self) -> Arc<str> {
        self.current().map_or_else(|| Arc::clone(&self.none), |ready| Arc::clone(ready.revision()))
    }

    #[must_use]
    pub fn ask(&self, input: &Input<'_>) -> Answer {
        match input.text() {
            Ok(question) => self.decide(&question),
            Err(error) => self.failed(Failure::Input, &error),
        }
    }

    /// Decides on a question as JSON. The same text has the same answer for as long as the revision is the same.
    #[must_use]
    pub fn decide(&self, question: &str) -> Answer {
        let Some(ready) = self.current() else {
            return self.failed(Failure::NotLoaded, "no policy is loaded yet");
        };
        if let Some(decision) = ready.cache.get(question) {
            return Answer { decision, cached: true };
        }
        let decision = Arc::new(ready.fresh(question));
        // What failed may succeed the next time, and is not what the policy says.
        if decision.failure.is_none() {
            ready.cache.put(question, &decision);
        }
        Answer { decision, cached: false }
    }

    /// Decisions that are remembered now.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.current().map_or(0, |ready| ready.cache.len())
    }

    /// The denial that a failure outside the policy is.
    #[must_use]
    pub fn failed(&self, failure: Failure, detail: &str) -> Answer {
        Answer { decision: Arc::new(Decision::failed(failure, detail, &self.revision())), cached: false }
    }
}
