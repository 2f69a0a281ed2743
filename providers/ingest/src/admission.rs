//! The ingest component's two functions as typed calls.

use std::sync::Arc;
use std::time::Duration;

use er_event::{Kind, Problem};
use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::codec::{Decoder, Encoder};
use er_provider_kit::metrics::{self, Stage};
use er_tenant::Principal;
use serde::Deserialize;

const ADMISSION: &str = "eventrunner:platform/admission@0.1.0";
/// How long a client waits before it tries again when a part is away.
const AWAY_RETRY_MS: u32 = 1_000;

// Discriminants of `types.fault-code` in the order of the WIT.
const FAULT_DENIED: u8 = 2;
const FAULT_EXHAUSTED: u8 = 4;
const FAULT_UNAVAILABLE: u8 = 5;

/// Calls the component that the provider's link names.
#[derive(Clone)]
pub struct Admission {
    pub caller: Caller,
    pub component: Arc<str>,
    pub timeout: Duration,
}

/// The answer for one request of a group.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    Ids { ids: Vec<String> },
    Problem { problem: Problem },
}

/// Why a whole group got no answers.
#[derive(Debug, Clone)]
pub enum GroupError {
    /// The component was entered and left without an answer: one request of the group may be the reason.
    Trapped,
    /// The same answer for every request of the group.
    All(Problem),
}

// === impl Answer ===

impl Answer {
    /// How many were taken.
    pub fn events(&self) -> usize {
        match self {
            Self::Ids { ids } => ids.len(),
            Self::Problem { .. } => 0,
        }
    }
}

// === impl Admission ===

impl Admission {
    /// Admits framed requests of one tenant; an answer a request, in order. A call that brought no answer is
    /// made once more: ids come from the frame, so that a repeat makes no second event.
    pub async fn admit(&self, tenant: &str, frames: &str) -> Result<Vec<Answer>, GroupError> {
        let params = Encoder::with_capacity(frames.len() + tenant.len() + 16).string(tenant).string(frames).finish();
        let mut result = self.call("admit", params.clone()).await;
        if matches!(result, Err(CallError::Timeout { .. } | CallError::NoResponders { .. })) {
            metrics::retried(Stage::Admit, 1);
            result = self.call("admit", params).await;
        }
        let answer = match result {
            Ok(answer) => answer,
            Err(CallError::Trapped { .. }) => return Err(GroupError::Trapped),
            Err(error) => return Err(GroupError::All(away(&error))),
        };
        let text = match decode(&answer) {
            Ok(text) => text,
            Err(refusal) => return Err(GroupError::All(refusal.problem())),
        };
        serde_json::from_str(text).map_err(|error| {
            GroupError::All(Problem::new(Kind::Internal, format!("the ingest component's answer: {error}")))
        })
    }

    /// Who holds the key.
    pub async fn authenticate(&self, api_key: &str) -> Result<Principal, Problem> {
        let params = Encoder::default().string(api_key).finish();
        let answer = match self.call("authenticate", params.clone()).await {
            Err(CallError::Timeout { .. } | CallError::Trapped { .. }) => self.call("authenticate", params).await,
            other => other,
        }
        .map_err(|error| away(&error))?;
        let text = decode(&answer).map_err(|refusal| refusal.problem())?;
        serde_json::from_str(text)
            .map_err(|error| Problem::new(Kind::Internal, format!("the ingest component's answer: {error}")))
    }

    async fn call(&self, function: &str, params: bytes::Bytes) -> Result<bytes::Bytes, CallError> {
        let answer = self.caller.call(&self.component, ADMISSION, function, params, self.timeout).await;
        if let Err(error) = &answer {
            metrics::failed(Stage::Admit, error.word());
        }
        answer
    }
}

/// A fault of the component.
struct Refusal {
    code: u8,
    detail: String,
    retry_after_ms: Option<u32>,
}

// === impl Refusal ===

impl Refusal {
    fn problem(self) -> Problem {
        let kind = match self.code {
            FAULT_DENIED => Kind::Unauthorized,
            FAULT_EXHAUSTED => Kind::Overloaded,
            FAULT_UNAVAILABLE => Kind::Unavailable,
            _ => Kind::Internal,
        };
        let problem = Problem::new(kind, self.detail);
        match self.retry_after_ms {
            Some(ms) => problem.retry_after_ms(ms),
            None => problem,
        }
    }
}

fn decode(answer: &[u8]) -> Result<&str, Refusal> {
    let malformed = |error: er_provider_kit::codec::Malformed| Refusal {
        code: u8::MAX,
        detail: error.to_string(),
        retry_after_ms: None,
    };
    let mut decoder = Decoder::new(answer);
    if decoder.is_ok().map_err(malformed)? {
        return decoder.string().map_err(malformed);
    }
    Err(Refusal {
        code: decoder.byte().map_err(malformed)?,
        detail: decoder.string().map_err(malformed)?.to_string(),
        retry_after_ms: decoder.optional_u32().map_err(malformed)?,
    })
}

fn away(error: &CallError) -> Problem {
    let kind = match error {
        CallError::Timeout { .. } => Kind::Timeout,
        _ => Kind::Unavailable,
    };
    Problem::new(kind, format!("nothing was confirmed as safe: {error}"))
        .mend("Send the same events with the same ids again.")
        .retry_after_ms(AWAY_RETRY_MS)
}
