//! What needs no key, and publishing.

use serde_json::{json, Value};

use crate::health::Health;
use crate::members::Whoami;
use crate::openapi::operation::{bytes, get, post, text, Operation};
use crate::openapi::schemas::Schemas;
use crate::openapi::wire::{CloudEvent, Receipts};

/// At the ingest edge, and not at the API.
pub const PUBLISH: &str = "/events";
/// For whoever is known.
pub const WHOAMI: &str = "/api/v1/whoami";
/// Bytes that are not text.
const BINARY: &str = "application/octet-stream";

pub fn open(s: &Schemas) -> Vec<Operation> {
    let any = || json!({ "type": "object" });
    vec![
        get("/", "index", "What there is, for people").public().answers_as(
            200,
            "One line a route.",
            "text/plain; charset=utf-8",
            text(),
        ),
        get("/healthz", "health", "Whether the platform is up")
            .public()
            .answers::<Health>(s, 200, "It is.")
            .answers::<Health>(s, 503, "A part is not."),
        get("/api/v1/openapi.json", "openapi", "This document").public().answers_as(
            200,
            "An OpenAPI 3.1 document.",
            "application/json",
            any(),
        ),
        get(WHOAMI, "whoami", "Who you are")
            .about("Also where API keys count at the gateway only: it asks so whose a key is.")
            .answers::<Whoami>(s, 200, "In whose name you come, and as what."),
    ]
}

pub fn ingest(s: &Schemas) -> Vec<Operation> {
    let event = s.body::<CloudEvent>();
    let batch = json!({ "type": "array", "maxItems": 1024, "items": event });
    let example =
        json!({ "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": { "total": 12 } });
    let mut binary = bytes();
    binary["description"] = json!("The data of an event whose attributes are `ce-` headers.");
    vec![post(PUBLISH, "publish", "Publish events")
        .about(
            "One event or many, in any of the modes of the CloudEvents HTTP binding; or any JSON, which is normalized to an \
             event. 202 is said after the events are durable (a PubAck from a synced stream); until then nothing is. What \
             gets 429, 503 or 504 may be sent again with the same ids, and counts once.",
        )
        .query("tenant", "The key's own tenant, and none else.", text())
        .query("type", "Of raw JSON: the event's type.", text())
        .query("source", "Of raw JSON: the event's source.", text())
        .query("subject", "Of raw JSON: the event's subject.", text())
        .header("Idempotency-Key", "Of raw JSON: what the event's id is made of.", text())
        .sends_as("application/cloudevents+json", event, Some(example.clone()))
        .sends_as("application/cloudevents-batch+json", batch, Some(json!([example])))
        .sends_as("application/json", Value::Bool(true), Some(json!({ "total": 12 })))
        .sends_as(BINARY, binary, None)
        .answers::<Receipts>(s, 202, "All of them are durable.")
        .refuses(&[504])]
}
