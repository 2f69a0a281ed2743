//! A tenant's rules on its events. The set was compiled when it was saved; here it is fetched and run.

use std::time::{SystemTime, UNIX_EPOCH};

use bindings::eventrunner::platform::kv;
use bindings::eventrunner::platform::types::{Fault, FaultCode};
use bindings::exports::eventrunner::platform::rules::{Guest, Ruled};
use er_event::event::split;
use er_event::Runs;
use er_rules::{compile, evaluate, unpack, Rules};
use er_tenant::rules::{set_path, texts_path, Texts, NO_RULES, RULES_BUCKET};

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "rules-component" });
    use super::Component;
    export!(Component);
}

/// A version that is not there any more was replaced while the batch was on its way.
const RETRY_AFTER_MS: u32 = 100;

struct Component;

impl Guest for Component {
    fn evaluate(tenant: String, version: u64, events: String) -> Result<Ruled, Fault> {
        if version == NO_RULES {
            let count = split(&events).map_err(|cause| fault(FaultCode::Invalid, cause))?.len();
            return Ok(Ruled {
                events: vec![events],
                dropped: Vec::new(),
                dead: "[]".to_owned(),
                stats: "{}".to_owned(),
                passed: Runs::of(count, 1).to_string(),
                held: Runs::of(count, 0).to_string(),
                evaluations: Runs::of(count, 0).to_string(),
            });
        }
        let waits = |cause: Fault| waits(version, cause);
        let stored = match fetch(&set_path(&tenant, version)) {
            Err(away) if is_transient(&away) => return Err(away),
            stored => stored.ok(),
        };
        if let Some(rules) = stored.as_deref().and_then(|set| Rules::open(set, version, now_us()).ok()) {
            return run(rules, &events);
        }
        // Saved by another release, whose compiled form this one does not read, or broken. The texts say the same.
        let compiled = compile_again(&tenant, version).map_err(waits)?;
        let rules = Rules::open(&compiled, version, now_us()).map_err(|cause| waits(defect(cause)))?;
        run(rules, &events)
    }
}

/// What keeps a set from being opened is no event's fault, and its owner's to mend: all events wait for that.
fn waits(version: u64, cause: Fault) -> Fault {
    if is_transient(&cause) {
        return cause;
    }
    let detail = format!("version {version} of the rules can't be read; save them again: {}", cause.detail);
    Fault { retry_after_ms: Some(RETRY_AFTER_MS), ..fault(FaultCode::Unavailable, detail) }
}

/// Whether a part is away, which passes by itself.
fn is_transient(fault: &Fault) -> bool {
    matches!(fault.code, FaultCode::Unavailable | FaultCode::Exhausted)
}

fn run(mut rules: Rules<'_>, events: &str) -> Result<Ruled, Fault> {
    let ruled = evaluate(&mut rules, events).map_err(|cause| fault(FaultCode::Invalid, cause))?;
    let stats = serde_json::to_string(&ruled.stats).map_err(defect)?;
    Ok(Ruled {
        events: ruled.events,
        dropped: ruled.dropped,
        dead: ruled.dead,
        stats,
        passed: ruled.passed.to_string(),
        held: ruled.held.to_string(),
        evaluations: ruled.evaluations.to_string(),
    })
}

fn fetch(key: &str) -> Result<Vec<u8>, Fault> {
    let gone = || fault(FaultCode::NotFound, format!("there is no {key} in {RULES_BUCKET}"));
    let item = kv::get(RULES_BUCKET, key)?.ok_or_else(gone)?;
    unpack(&item.value).map_err(defect)
}

fn compile_again(tenant: &str, version: u64) -> Result<Vec<u8>, Fault> {
    let texts = fetch(&texts_path(tenant, version))?;
    let texts: Texts = serde_json::from_slice(&texts).map_err(defect)?;
    let refused = |mistakes: Vec<er_event::problem::Mistake>| {
        let first = mistakes.first().map(|mistake| mistake.message.clone()).unwrap_or_default();
        fault(FaultCode::Internal, format!("version {version} can't be compiled any more: {first}"))
    };
    Ok(compile(&texts).map_err(refused)?.bytes)
}

fn defect(cause: impl std::fmt::Display) -> Fault {
    fault(FaultCode::Internal, cause)
}

fn fault(code: FaultCode, cause: impl std::fmt::Display) -> Fault {
    Fault { code, detail: cause.to_string(), retry_after_ms: None }
}

/// Microseconds since 1970 (UTC).
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
