//! The order of steps: normalize what is raw, store, report what became of each event.

mod steps;

use bindings::eventrunner::platform::types::Fault;
use bindings::eventrunner::platform::{event_store, normalizer};
use bindings::exports::eventrunner::platform::processor::{Guest, Outcome};

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "engine-component" });
    use super::Engine;
    export!(Engine);
}

struct Engine;

impl Guest for Engine {
    fn process(tenant: String, raw: String) -> Result<Outcome, Fault> {
        let ends = steps::run(raw, |raw| normalizer::normalize(&tenant, raw))?;
        if ends.events != steps::NO_EVENTS {
            event_store::put(&tenant, &ends.events)?;
        }
        Ok(Outcome { events: (!ends.unchanged).then_some(ends.events), dead: ends.dead })
    }
}
