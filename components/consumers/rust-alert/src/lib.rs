//! A consumer: looks through a tenant's GitHub events and emits an event of type `alert` for each that somebody
//! should look at soon.

mod github;

use bindings::eventrunner::platform::emitter;
use bindings::exports::eventrunner::platform::consumer::{Failure, Guest};
use github::Finding;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wasmcloud_component::info;

#[allow(unsafe_code, reason = "calls across the component's border, written by wit-bindgen")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "consumer-component" });
    use super::Alert;
    export!(Alert);
}

const SOURCE: &str = "/consumers/rust-alert";

/// What we read of an event; serde skips the rest.
#[derive(Deserialize)]
struct Event {
    id: String,
    source: String,
    r#type: String,
    subject: Option<String>,
    /// Kept as text until we know that the type is worth a look.
    data: Option<Box<RawValue>>,
}

/// What we emit. The platform adds `specversion` and `time`.
#[derive(Serialize)]
struct AlertEvent<'a> {
    r#type: &'static str,
    source: &'static str,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    #[serde(flatten)]
    finding: Finding,
    /// The event that gave rise to the alert.
    event: Origin<'a>,
}

#[derive(Serialize)]
struct Origin<'a> {
    r#type: &'a str,
    source: &'a str,
    id: &'a str,
}

struct Alert;

impl Guest for Alert {
    /// Called with a batch, never with the same instance twice: what is to be remembered must be emitted.
    fn handle(batch: String) -> Result<Vec<Failure>, String> {
        let (alerts, failures) = look_through(&batch)?;
        if let Some(alerts) = alerts {
            emitter::emit(&alerts)?;
        }
        Ok(failures)
    }
}

/// The batch of alerts to emit, if any, and the events that we could not make sense of.
fn look_through(batch: &str) -> Result<(Option<String>, Vec<Failure>), String> {
    let events: Vec<&RawValue> = serde_json::from_str(batch).map_err(|cause| cause.to_string())?;
    let mut alerts = Vec::new();
    let mut failures = Vec::new();
    for event in events {
        match serde_json::from_str::<Event>(event.get()) {
            Ok(event) => match github::look_at(&event.r#type, event.data.as_deref()) {
                Ok(Some(finding)) => alerts.push(alert(&event, finding)?),
                Ok(None) => {}
                Err(cause) => failures.push(failure(event.id, &cause)),
            },
            Err(cause) => failures.push(failure(id_of(event), &cause)),
        }
    }
    let alerts = (!alerts.is_empty()).then(|| format!("[{}]", alerts.join(",")));
    Ok((alerts, failures))
}

fn alert(event: &Event, finding: Finding) -> Result<String, String> {
    info!(context: "rust-alert", "{}: {} {}", finding.severity, finding.title, finding.url);
    let alert = AlertEvent {
        r#type: "alert",
        source: SOURCE,
        // Follows from the event alone: if we get it again, the alert is the same alert.
        id: format!("{}#{}", event.source, event.id),
        subject: event.subject.as_deref(),
        data: Data { finding, event: Origin { r#type: &event.r#type, source: &event.source, id: &event.id } },
    };
    serde_json::to_string(&alert).map_err(|cause| cause.to_string())
}

fn failure(id: String, cause: &serde_json::Error) -> Failure {
    // A later attempt would fail the same way, but when to give up is the retry policy's business.
    Failure { id, retry_after_ms: None, reason: cause.to_string() }
}

fn id_of(event: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_str::<Id>(event.get()).map(|event| event.id).unwrap_or_default()
}

#[cfg(test)]
mod tests;
