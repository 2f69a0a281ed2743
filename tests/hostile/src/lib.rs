//! Misbehaves in the way that the type of an event asks for, and handles and reports every other.

mod misdeeds;
#[path = "../../components/recorder/src/report.rs"]
mod report;

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bindings::eventrunner::platform::emitter;
use bindings::exports::eventrunner::platform::consumer::{Failure, Guest};
use report::Event;

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "consumer-component" });
    use super::Hostile;
    export!(Hostile);
}

/// How many events of a call are named as failed that never were in it.
const STRANGERS: usize = 999;

struct Hostile;

impl Guest for Hostile {
    fn handle(batch: String) -> Result<Vec<Failure>, String> {
        let events = report::read(&batch)?;
        let mut failures = Vec::new();
        for event in &events {
            match event.event_type.as_str() {
                // An unreachable instruction, since panics abort here.
                "test.trap" => std::process::abort(),
                "test.loop" => misdeeds::endless(),
                "test.memory" => misdeeds::hoard(),
                "test.stack" => misdeeds::descend(number(event)),
                "test.output" => return Err(misdeeds::babble(number(event))),
                "test.flood" => misdeeds::flood(),
                "test.storm" => misdeeds::storm(&event.id),
                "test.slow" => sleep(Duration::from_millis(number(event))),
                "test.error" => return Err("test.error: the whole batch".into()),
                "test.fail" => failures.push(failure(event, "test.fail: never".into())),
                "test.failures" => {
                    failures.extend((0..STRANGERS).map(|n| Failure {
                        id: format!("nobody-{n}"),
                        retry_after_ms: Some(0),
                        reason: "test.failures: of an event that was never here".into(),
                    }));
                    failures.push(failure(event, "test.failures: the thousandth".into()));
                }
                "test.later" if now_ms() < number(event) => {
                    failures.push(failure(event, format!("test.later: not before {}", number(event))));
                }
                _ => {}
            }
        }
        let handled = events.iter().filter(|event| failures.iter().all(|failure| failure.id != event.id));
        if let Some(report) = report::about(handled)? {
            emitter::emit(&report)?;
        }
        Ok(failures)
    }
}

fn failure(event: &Event<'_>, reason: String) -> Failure {
    Failure { id: event.id.clone(), retry_after_ms: None, reason }
}

/// The data, where it is a number.
fn number(event: &Event<'_>) -> u64 {
    event.data.and_then(|data| data.get().parse().ok()).unwrap_or_default()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
