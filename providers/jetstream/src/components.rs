//! The component functions that this provider calls, as typed calls.

use std::time::Duration;

use er_event::runs::{NoRuns, Runs};
use er_provider_kit::call::{CallError, Caller};
use er_provider_kit::codec::{Decoder, Encoder, Malformed};

const PROCESSOR: &str = "eventrunner:platform/processor@0.1.0";
const CONSUMER: &str = "eventrunner:platform/consumer@0.1.0";
const POLICY: &str = "eventrunner:platform/policy@0.1.0";
/// What is taken of a consumer's answer: a reason for each of 1,024 events.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// What is kept of a consumer's words: they go into the dead letter of every event of the batch.
const REASON_BYTES_MAX: usize = 2_048;
const COLLECTOR: &str = "eventrunner:platform/collector@0.1.0";

/// What `processor.process` made of a batch.
#[derive(Debug)]
pub struct Outcome {
    /// None: the batch as it was given.
    pub events: Option<Vec<String>>,
    pub dead: String,
    /// What the tenant's rules did: JSON.
    pub rules: Option<String>,
    /// For each raw event: rules evaluated.
    pub evaluations: Option<Runs>,
    /// For each raw event: 1 if it was there before.
    pub repeated: Option<Runs>,
}

/// A batch of one tenant's raw events, and how it is to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    pub tenant: &'a str,
    pub rules: Option<u64>,
    pub keep_h: Option<u32>,
    /// For each event what brought it.
    pub claims: &'a Runs,
    pub raw: &'a str,
}

/// Stored events of a tenant that are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    pub tenant: &'a str,
    /// Exact, or a prefix ending in `*`.
    pub event_type: Option<&'a str>,
    /// RFC 3339, inclusive.
    pub since: &'a str,
    /// RFC 3339, exclusive.
    pub until: &'a str,
}

/// What `processor.read-stored` answers.
#[derive(Debug)]
pub struct Stored {
    /// A batch, newest first.
    pub events: String,
    pub cursor: Option<String>,
}

/// An event that `consumer.handle` named as not handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub id: String,
    pub retry_after_ms: Option<u32>,
    pub reason: String,
}

/// What a policy says to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allow: bool,
    pub reason: String,
    pub revision: String,
    /// Why no policy decided.
    pub failure: Option<String>,
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
        /// Whether it says that a part it needs is away, which more attempts mend.
        transient: bool,
    },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    NoRuns(#[from] NoRuns),
}

// === impl ComponentError ===

impl ComponentError {
    /// Whether the component came to the end of its work: nothing that its host does or lacks explains it.
    pub fn is_its_own(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Call(CallError::TooLarge { .. }))
    }

    /// One word for what happened, as metrics have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Call(error) => error.word(),
            Self::Refused { transient: true, .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::Malformed(_) | Self::NoRuns(_) => "malformed",
        }
    }
}

// Discriminants of `types.fault-code` in the order of the WIT.
const FAULT_EXHAUSTED: u8 = 4;
const FAULT_UNAVAILABLE: u8 = 5;

pub async fn process(
    caller: &Caller,
    engine: &str,
    work: Work<'_>,
    deadline: Duration,
) -> Result<Outcome, ComponentError> {
    let claims = work.claims.to_string();
    let params = Encoder::with_capacity(work.tenant.len() + claims.len() + work.raw.len() + 64)
        .string(work.tenant)
        .optional_unsigned(work.rules)
        .optional_unsigned(work.keep_h.map(u64::from))
        .string(&claims)
        .string(work.raw)
        .finish();
    let answer = caller.call(engine, PROCESSOR, "process", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if answer.is_ok()? {
        let events = match answer.is_some()? {
            true => Some(answer.strings()?.into_iter().map(str::to_string).collect()),
            false => None,
        };
        let dead = answer.string()?.to_string();
        let rules = answer.optional_string()?.map(str::to_string);
        let evaluations = answer.optional_string()?.map(str::parse).transpose()?;
        let repeated = answer.optional_string()?.map(str::parse).transpose()?;
        return Ok(Outcome { events, dead, rules, evaluations, repeated });
    }
    Err(refused(answer))
}

/// At most `limit` events of a range.
pub async fn read_stored(
    caller: &Caller,
    engine: &str,
    range: Range<'_>,
    cursor: Option<&str>,
    limit: u32,
    deadline: Duration,
) -> Result<Stored, ComponentError> {
    let params = Encoder::default()
        .string(range.tenant)
        .optional_string(range.event_type)
        .string(range.since)
        .string(range.until)
        .optional_string(cursor)
        .unsigned(limit.into())
        .finish();
    let answer = caller.call(engine, PROCESSOR, "read-stored", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if answer.is_ok()? {
        let events = answer.string()?.to_string();
        return Ok(Stored { events, cursor: answer.optional_string()?.map(str::to_string) });
    }
    Err(refused(answer))
}

/// The `fault` of an answer.
fn refused(mut answer: Decoder<'_>) -> ComponentError {
    let mut read = || -> Result<ComponentError, Malformed> {
        let code = answer.byte()?;
        Ok(ComponentError::Refused {
            reason: answer.string()?.to_string(),
            transient: matches!(code, FAULT_EXHAUSTED | FAULT_UNAVAILABLE),
        })
    };
    read().unwrap_or_else(ComponentError::from)
}

pub async fn collect(caller: &Caller, billing: &str, records: &str, deadline: Duration) -> Result<(), ComponentError> {
    let params = Encoder::with_capacity(records.len() + 8).string(records).finish();
    let answer = caller.call(billing, COLLECTOR, "collect", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if answer.is_ok()? {
        Ok(())
    } else {
        Err(refused(answer))
    }
}

/// How many tenants were looked at; 0: nothing is left to do.
pub async fn close(caller: &Caller, billing: &str, settled_us: u64, deadline: Duration) -> Result<u64, ComponentError> {
    let params = Encoder::default().unsigned(settled_us).finish();
    let answer = caller.call(billing, COLLECTOR, "close", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if answer.is_ok()? {
        Ok(answer.unsigned()?)
    } else {
        Err(refused(answer))
    }
}

/// A decision for each question, in order.
pub async fn decide_many(
    caller: &Caller,
    provider: &str,
    questions: &[String],
    deadline: Duration,
) -> Result<Vec<Decision>, ComponentError> {
    let bytes: usize = questions.iter().map(|question| question.len() + 5).sum();
    let params = Encoder::with_capacity(bytes + 5).unsigned(questions.len() as u64);
    let params = questions.iter().fold(params, |params, question| params.string(question)).finish();
    let answer = caller.call(provider, POLICY, "decide-many", params, deadline).await?;
    let mut answer = Decoder::new(&answer);
    if !answer.is_ok()? {
        return Err(refused(answer));
    }
    // The count is not believed before the decisions are there.
    let mut decisions = Vec::new();
    for _ in 0..answer.unsigned()? {
        decisions.push(Decision {
            allow: answer.byte()? == 1,
            reason: answer.string()?.to_string(),
            revision: answer.string()?.to_string(),
            failure: answer.optional_string()?.map(str::to_string),
        });
    }
    Ok(decisions)
}

pub async fn handle(
    caller: &Caller,
    consumer: &str,
    events: &str,
    deadline: Duration,
) -> Result<Vec<Failure>, ComponentError> {
    let params = Encoder::with_capacity(events.len() + 8).string(events).finish();
    let answer = caller.call_within(consumer, CONSUMER, "handle", params, deadline, ANSWER_BYTES_MAX).await?;
    let mut answer = Decoder::new(&answer);
    if !answer.is_ok()? {
        return Err(ComponentError::Refused { reason: brief(answer.string()?), transient: false });
    }
    let count = answer.unsigned()?;
    let mut failures = Vec::new();
    for _ in 0..count {
        failures.push(Failure {
            id: answer.string()?.to_string(),
            retry_after_ms: answer.optional_u32()?,
            reason: brief(answer.string()?),
        });
    }
    Ok(failures)
}

/// The beginning of a consumer's words, where they are many.
fn brief(words: &str) -> String {
    if words.len() <= REASON_BYTES_MAX {
        return words.to_owned();
    }
    format!("{}… ({} bytes)", &words[..words.floor_char_boundary(REASON_BYTES_MAX)], words.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_words_the_beginning_is_kept() {
        assert_eq!(brief("ü"), "ü");
        let long = "ü".repeat(REASON_BYTES_MAX);
        let kept = brief(&format!("x{long}"));
        assert!(kept.starts_with("xü") && kept.ends_with("ü… (4097 bytes)") && kept.len() < REASON_BYTES_MAX + 20);
    }
}
