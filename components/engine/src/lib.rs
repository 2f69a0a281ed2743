//! The order of steps: normalize what is raw, run the tenant's rules, store, report what became of each event.

mod steps;

use bindings::eventrunner::platform::types::Fault;
use bindings::eventrunner::platform::{event_store, normalizer, rules};
use bindings::exports::eventrunner::platform::processor::{Guest, Outcome};

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "engine-component" });
    use super::Engine;
    export!(Engine);
}

struct Engine;

impl Guest for Engine {
    fn process(tenant: String, version: Option<u64>, raw: String) -> Result<Outcome, Fault> {
        let ends = steps::run(raw, |raw| normalizer::normalize(&tenant, raw))?;
        let (events, dropped, dead, rules) = match version {
            _ if ends.events == steps::NO_EVENTS => (Vec::new(), Vec::new(), ends.dead, None),
            Some(version) => {
                let ruled = rules::evaluate(&tenant, version, &ends.events)?;
                (ruled.events, ruled.dropped, steps::both(&ends.dead, &ruled.dead), Some(ruled.stats))
            }
            None if ends.unchanged => {
                event_store::put(&tenant, &ends.events)?;
                return Ok(Outcome { events: None, dead: ends.dead, rules: None });
            }
            None => (vec![ends.events], Vec::new(), ends.dead, None),
        };
        for batch in events.iter().chain(&dropped) {
            event_store::put(&tenant, batch)?;
        }
        Ok(Outcome { events: Some(events), dead, rules })
    }
}
