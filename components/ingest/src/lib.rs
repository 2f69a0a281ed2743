//! What is let in: decides publish requests, and returns once what they brought is durable.

mod refuse;

use std::time::{SystemTime, UNIX_EPOCH};

use bindings::eventrunner::platform::kv;
use bindings::eventrunner::platform::raw_log::{self, Entry};
use bindings::eventrunner::platform::types::{Fault, FaultCode};
use bindings::exports::eventrunner::platform::admission::Guest;
use er_event::admit;
use er_tenant::auth::{self, Refusal, Way};

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "ingest-component" });
    use super::Ingest;
    export!(Ingest);
}

struct Ingest;

impl Guest for Ingest {
    fn admit(tenant: String, requests: String) -> Result<String, Fault> {
        let mut admission = admit::admit(&tenant, &requests).map_err(|reject| fault(FaultCode::Invalid, reject))?;
        let entries: Vec<Entry> = std::mem::take(&mut admission.entries).into_iter().map(Entry::from).collect();
        if !entries.is_empty() {
            if let Err(cause) = raw_log::append(&tenant, &entries) {
                refuse::all_taken(&mut admission.answers, &cause);
            }
        }
        Ok(admission.answers_json())
    }

    fn authenticate(credential: String) -> Result<String, Fault> {
        let principal = auth::authenticate(&credential, Way::Gateway, now_us(), look_up)?;
        serde_json::to_string(&principal).map_err(|cause| fault(FaultCode::Internal, cause))
    }
}

/// A look-up that fails says nothing about the key, so it must not read as a refusal.
fn look_up(bucket: &str, key: &str) -> Result<Option<String>, Fault> {
    match kv::get(bucket, key) {
        Ok(item) => Ok(item.map(|item| item.value)),
        Err(Fault { code: FaultCode::NotFound, .. }) => Ok(None),
        Err(cause @ Fault { code: FaultCode::Unavailable | FaultCode::Exhausted, .. }) => Err(cause),
        Err(cause) => Err(Fault { code: FaultCode::Internal, ..cause }),
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

fn fault(code: FaultCode, cause: impl std::fmt::Display) -> Fault {
    Fault { code, detail: cause.to_string(), retry_after_ms: None }
}

impl From<Refusal<Fault>> for Fault {
    fn from(refusal: Refusal<Fault>) -> Self {
        match refusal {
            Refusal::Fault(fault) => fault,
            Refusal::Away(_) => {
                Fault { retry_after_ms: Some(refuse::RETRY_AFTER_MS), ..fault(FaultCode::Unavailable, refusal) }
            }
            denied => fault(FaultCode::Denied, denied),
        }
    }
}

impl From<admit::Entry> for Entry {
    fn from(entry: admit::Entry) -> Self {
        let admit::Entry { partition, message_id, received_us, events } = entry;
        Entry { partition, message_id, received_us, events }
    }
}
