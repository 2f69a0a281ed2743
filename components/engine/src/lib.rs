//! The order of steps: normalize what is raw, run the tenant's rules, store, report what became of each event.

mod steps;
mod store;

use bindings::eventrunner::platform::types::{Fault, FaultCode};
use bindings::eventrunner::platform::{event_store, normalizer, rules};
use bindings::exports::eventrunner::platform::processor::{Guest, Outcome, Stored};
use er_event::Runs;

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "engine-component" });
    use super::Engine;
    export!(Engine);
}

struct Engine;

impl Guest for Engine {
    fn process(
        tenant: String,
        version: Option<u64>,
        keep_h: Option<u32>,
        claims: String,
        raw: String,
    ) -> Result<Outcome, Fault> {
        let claims: Runs = claims.parse().map_err(invalid)?;
        let ends = steps::run(raw, |raw| normalizer::normalize(&tenant, raw))?;
        if claims.len() != ends.kept.len() {
            return Err(invalid(format!("there are {} claims on {} events", claims.len(), ends.kept.len())));
        }
        let claims = claims.repeated(&ends.kept);
        if claims.is_empty() {
            return Ok(Outcome {
                events: Some(Vec::new()),
                dead: ends.dead,
                rules: None,
                evaluations: None,
                repeated: None,
            });
        }
        let put = |claims: &Runs, batch: &str| event_store::put(&tenant, keep_h, &claims.to_string(), batch);
        let Some(version) = version else {
            let on = store::store(vec![ends.events], &claims, put)?;
            let repeated = (!on.known.all(0)).then(|| store::spread(&ends.kept, &on.known));
            let unchanged = ends.unchanged && repeated.is_none();
            return Ok(Outcome {
                events: (!unchanged).then_some(on.batches),
                dead: ends.dead,
                rules: None,
                evaluations: None,
                repeated: repeated.map(|repeated| repeated.to_string()),
            });
        };
        let ruled = rules::evaluate(&tenant, version, &ends.events)?;
        let runs = |text: &str| text.parse::<Runs>().map_err(defect);
        let (passed, held, evaluations) = (runs(&ruled.passed)?, runs(&ruled.held)?, runs(&ruled.evaluations)?);
        let on = store::store(ruled.events, &claims.repeated(&passed), put)?;
        let dropped = store::store(ruled.dropped, &claims.repeated(&held), put)?;
        let repeated = store::repeated(&ends.kept, &passed, &on.known, &held, &dropped.known);
        Ok(Outcome {
            events: Some(on.batches),
            dead: steps::both(&ends.dead, &ruled.dead),
            rules: Some(ruled.stats),
            evaluations: Some(store::spread(&ends.kept, &evaluations).to_string()),
            repeated: repeated.map(|repeated| repeated.to_string()),
        })
    }

    fn read_stored(
        tenant: String,
        event_type: Option<String>,
        since: String,
        until: String,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<Stored, Fault> {
        let filter = event_store::Filter { event_type, source: None, since: Some(since), until: Some(until) };
        let page = event_store::query(&tenant, &filter, cursor.as_deref(), limit)?;
        Ok(Stored { events: page.events, cursor: page.cursor })
    }
}

fn invalid(cause: impl ToString) -> Fault {
    Fault { code: FaultCode::Invalid, detail: cause.to_string(), retry_after_ms: None }
}

fn defect(cause: impl ToString) -> Fault {
    Fault { code: FaultCode::Internal, detail: cause.to_string(), retry_after_ms: None }
}
