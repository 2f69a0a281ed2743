//! Handles everything, and reports what it was handed.

mod report;

use bindings::eventrunner::platform::emitter;
use bindings::exports::eventrunner::platform::consumer::{Failure, Guest};

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "consumer-component" });
    use super::Recorder;
    export!(Recorder);
}

struct Recorder;

impl Guest for Recorder {
    fn handle(batch: String) -> Result<Vec<Failure>, String> {
        if let Some(report) = report::about(report::read(&batch)?.iter())? {
            emitter::emit(&report)?;
        }
        Ok(Vec::new())
    }
}
