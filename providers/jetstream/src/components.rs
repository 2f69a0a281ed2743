//! The two component functions that this provider calls, as typed calls.

use std::time::Duration;

use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::codec::{Decoder, Encoder, Malformed};

const PROCESSOR: &str = "eventrunner:platform/processor@0.1.0";
const CONSUMER: &str = "eventrunner:platform/consumer@0.1.0";

/// What `processor.process` made of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// None: the batch as it was given.
    pub events: Option<Vec<String>>,
    pub dead: String,
    /// What the tenant's rules did: JSON.
    pub rules: Option<String>,
}

/// An event that `consumer.handle` named as not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub id: String,
    pub retry_after_ms: Option<u32>,
    pub reason: String,
}

/// Why a component's answer is none.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error(transparent)]
    Call(#[from] CallError),
    /// It ran and answered with an error: its own words.
    #[error("{reason}")]
    Refused {
        reason: String,
        retry_after_ms: Option<u32>,
        /// Whether it says that a part it needs is away, which more attempts mend.
        transient: bool,
    },
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

// Discriminants of `types.fault-code` in the order of the WIT.
const FAULT_EXHAUSTED: u8 = 4;
const FAULT_UNAVAILABLE: u8 = 5;

pub async fn process(
    caller: &Caller,
    engine: &str,
    tenant: &str,
    rules: Option<u64>,
    raw: &str,
    deadline: Duration,
) -> Result<Outcome, ComponentError> {
    let params = Encoder::with_capacity(tenant.len() + raw.len() + 32)
        .string(tenant)
        .optional_unsigned(rules)
        .string(raw)
        .finish();
    let answer = caller.call(engine, PROCESSOR, "process", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if answer.is_ok()? {
        let events = match answer.is_some()? {
            true => Some(answer.strings()?.into_iter().map(str::to_string).collect()),
            false => None,
        };
        let dead = answer.string()?.to_string();
        let rules = if answer.is_some()? { Some(answer.string()?.to_string()) } else { None };
        return Ok(Outcome { events, dead, rules });
    }
    let code = answer.byte()?;
    Err(ComponentError::Refused {
        reason: answer.string()?.to_string(),
        retry_after_ms: answer.optional_u32()?,
        transient: matches!(code, FAULT_EXHAUSTED | FAULT_UNAVAILABLE),
    })
}

pub async fn handle(
    caller: &Caller,
    consumer: &str,
    events: &str,
    deadline: Duration,
) -> Result<Vec<Failure>, ComponentError> {
    let params = Encoder::with_capacity(events.len() + 8).string(events).finish();
    let answer = caller.call(consumer, CONSUMER, "handle", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if !answer.is_ok()? {
        return Err(ComponentError::Refused {
            reason: answer.string()?.to_string(),
            retry_after_ms: None,
            transient: false,
        });
    }
    let count = answer.unsigned()?;
    let mut failures = Vec::new();
    for _ in 0..count {
        failures.push(Failure {
            id: answer.string()?.to_string(),
            retry_after_ms: answer.optional_u32()?,
            reason: answer.string()?.to_string(),
        });
    }
    Ok(failures)
}
