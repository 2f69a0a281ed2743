//! Raw input to CloudEvents: the built-in mappings, and the operator's own from the component's configuration.

use bindings::eventrunner::platform::types::{Fault, FaultCode};
use bindings::exports::eventrunner::platform::normalizer::{Guest, Normalized, Rejection};
use er_event::normalize::{normalize, Mappings};
use wasmcloud_component::wasi::config::store;

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "normalizer-component" });
    use super::Normalizer;
    export!(Normalizer);
}

/// Configuration key of the operator's mappings: JSON, as `Mappings::from_json` reads it.
const MAPPINGS: &str = "mappings";

struct Normalizer;

impl Guest for Normalizer {
    fn normalize(tenant: String, raw: String) -> Result<Normalized, Fault> {
        let done = normalize(&mappings()?, &tenant, &raw).map_err(|reject| fault(FaultCode::Invalid, reject))?;
        let rejected = done.rejected.into_iter().map(|(index, reason)| Rejection { index, reason }).collect();
        Ok(Normalized { events: done.events, rejected })
    }
}

/// An instance lives for one call, so this is read and built each time; without configuration that is cheap.
fn mappings() -> Result<Mappings, Fault> {
    match store::get(MAPPINGS) {
        Ok(Some(json)) => Mappings::from_json(&json).map_err(|reject| fault(FaultCode::Internal, reject)),
        Ok(None) => Ok(Mappings::builtin()),
        Err(cause) => {
            Err(fault(FaultCode::Unavailable, format!("configuration `{MAPPINGS}` can't be read: {cause:?}")))
        }
    }
}

fn fault(code: FaultCode, cause: impl std::fmt::Display) -> Fault {
    Fault { code, detail: cause.to_string(), retry_after_ms: None }
}
