//! Rule texts.

use er_tenant::rules::Version;
use serde_json::{json, Value};

use crate::openapi::operation::{delete, get, number, post, put, text, Operation};
use crate::openapi::schemas::Schemas;
use crate::rules::{Put, Rollback, Versions};
use crate::trial::{Trial, Trials};

const GRL: &str = "text/plain; charset=utf-8";
const RULE: &str = r#"rule BigOrder { when Event.type == "order.placed" then Tag("big"); Retract("BigOrder"); }"#;

pub fn rules(s: &Schemas) -> Vec<Operation> {
    vec![
        get("/api/v1/rules", "getRules", "The version of the rule set that counts")
            .of_tenant()
            .tagged()
            .answers::<Version>(s, 200, "Who made it, and what its texts are called."),
        get("/api/v1/rules/{name}", "getRule", "A rule text, as it was sent")
            .of_tenant()
            .query("version", "Of this version; none: of the one that counts.", number(0, u64::MAX))
            .tagged()
            .tells("Er-Rules-Version")
            .answers_as(200, "GRL, or JSON rules.", GRL, text())
            .answers_as(200, "GRL, or JSON rules.", "application/json", Value::Bool(true)),
        put("/api/v1/rules/{name}", "putRule", "Save a rule text")
            .about(
                "A new version of the whole set, live for the next event. Every mistake is told with its line and column, and \
                 then nothing is changed. `If-None-Match: *` makes a text and never overwrites one.",
            )
            .of_tenant()
            .conditional()
            .tagged()
            .tells("Location")
            .sends_as("text/plain", json!({ "type": "string", "minLength": 1 }), Some(json!(RULE)))
            .sends_as("application/json", Value::Bool(true), None)
            .answers::<Put>(s, 200, "It is changed.")
            .answers::<Put>(s, 201, "It is made."),
        delete("/api/v1/rules/{name}", "deleteRule", "Delete a rule text")
            .of_tenant()
            .conditional()
            .answers::<Version>(s, 200, "The new version, without it."),
        get("/api/v1/rules:versions", "listRuleVersions", "Who changed what, and when")
            .of_tenant()
            .answers::<Versions>(s, 200, "The last 100 versions, newest first."),
        post("/api/v1/rules:rollback", "rollBackRules", "Let the texts of an older version count again")
            .about("As a new version. `If-Match` is held against the ETag of `GET /api/v1/rules`.")
            .of_tenant()
            .once()
            .conditional()
            .tagged()
            .sends::<Rollback>(s, json!({ "version": 1 }))
            .answers::<Version>(s, 200, "The new version."),
        post("/api/v1/rules:test", "testRules", "Try rules on events, and change nothing")
            .about("The rules: `rules` or `json_rules`, else those that are saved. The events: `events`, or the `last` stored.")
            .of_tenant()
            .sends::<Trial>(s, json!({ "rules": RULE, "last": 10 }))
            .answers::<Trials>(s, 200, "What each event would become, and why."),
    ]
}
