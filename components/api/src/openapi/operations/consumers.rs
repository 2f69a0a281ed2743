//! A tenant's components.

use er_tenant::consumers::State;
use serde_json::json;

use crate::consumers::{Rollback, Why};
use crate::openapi::operation::{bytes, delete, get, number, one_of, pattern, post, put, text, Operation};
use crate::openapi::schemas::Schemas;
use crate::openapi::wire::{Consumer, ConsumerSpec, Consumers, LogLines};

const WASM: &str = "application/wasm";

pub fn consumers(s: &Schemas) -> Vec<Operation> {
    vec![
        get("/api/v1/consumers", "listConsumers", "Consumers, by name").of_tenant().answers::<Consumers>(
            s,
            200,
            "All of them.",
        ),
        uploaded(
            s,
            post("/api/v1/consumers", "createConsumer", "Make a consumer, or a new version of one")
                .query("name", "What it is called.", pattern("^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$"))
                .required(),
        ),
        get("/api/v1/consumers/{name}", "getConsumer", "A consumer: how far it is, and its versions")
            .refuses(&[422])
            .of_tenant()
            .answers::<Consumer>(s, 200, "The consumer."),
        uploaded(s, put("/api/v1/consumers/{name}", "putConsumer", "Make a consumer, or a new version of one")),
        delete("/api/v1/consumers/{name}", "deleteConsumer", "Take a consumer down")
            .about("Its dead letters stay.")
            .of_tenant()
            .answers::<Consumer>(s, 200, "It is being taken down."),
        get("/api/v1/consumers/{name}/logs", "getConsumerLogs", "A consumer's last log lines")
            .refuses(&[422])
            .of_tenant()
            .query("limit", "At most so many (100).", number(1, 1000))
            .answers::<LogLines>(s, 200, "Oldest first."),
        post("/api/v1/consumers/{name}:rollback", "rollBackConsumer", "Let an older version run again, as a new one")
            .of_tenant()
            .once()
            .sends::<Rollback>(s, json!({ "version": 1 }))
            .answers::<Consumer>(s, 200, "The consumer."),
        held(s, post("/api/v1/consumers/{name}:pause", "pauseConsumer", "Hold a consumer: its events wait")),
        held(s, post("/api/v1/consumers/{name}:resume", "resumeConsumer", "Let a held consumer go on")),
    ]
}

fn uploaded(s: &Schemas, operation: Operation) -> Operation {
    let range = |least: u64, most: u64| number(least, most);
    operation
        .about(
            "A component as `application/wasm`, with its settings in the query and what `wasi:config` tells it as \
             `env.NAME=VALUE`; or settings as JSON, with an OCI reference as `image`, or for the component that is there \
             already. Size, imports and exports are checked before this answers; the trial run and the deployment go on after.",
        )
        .of_tenant()
        .query("types", "Types wanted, separated by commas, `*` ending a beginning; none: all.", text())
        .query("sources", "Sources wanted, separated by commas, `*` ending a beginning; none: all.", text())
        .query("routes", "Sub-streams wanted, separated by commas; none: every event.", text())
        .query("batch_events_max", "Events in one call.", range(1, 1024))
        .query("attempts_max", "Attempts before an event is a dead letter.", range(1, 20))
        .query("backoff_ms", "Wait before the second attempt; it doubles.", range(10, 60_000))
        .query("timeout_ms", "Of one call.", range(100, 60_000))
        .query("deliver", "From the oldest event that is kept, or from the next.", one_of(&["all", "new"]))
        .tells("Location")
        .sends_as(WASM, bytes(), None)
        .sends_as("application/json", s.body::<ConsumerSpec>(), Some(json!({ "types": ["order.placed"], "timeout_ms": 500 })))
        .answers::<Consumer>(s, 202, "It is checked, and being tried and deployed.")
}

fn held(s: &Schemas, operation: Operation) -> Operation {
    operation
        .about("Also one that was deployed by hand, by its component's id. Whose body is empty gives no reason.")
        .of_tenant()
        .once()
        .may_send::<Why>(s, json!({ "reason": "the shop is being moved" }))
        .answers::<State>(s, 200, "Whether it is held.")
}
