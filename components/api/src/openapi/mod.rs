//! The OpenAPI document of the API: its routes and methods from the router, its bodies from the types that the code reads
//! and writes, who may do what from the roles. It is made by a test and checked in, so that the component carries the text
//! and nothing that makes it.
//!
//! `UPDATE=1 cargo test --release --locked -p er-api openapi` writes `components/api/openapi.json` anew.

mod operation;
mod operations;
mod schemas;
mod tests;
mod wire;

use er_event::{Kind, Problem};
use serde_json::{json, Map, Value};

use operation::Operation;
use schemas::Schemas;

/// What has the same form in every answer of that status.
const REFUSALS: [u16; 13] = [400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 429, 503, 504];

/// Where the ingest edge is, in a lattice on one machine.
const INGEST: &str = "http://127.0.0.1:8080";

/// The whole document.
fn document() -> Value {
    let schemas = Schemas::new();
    let mut paths = Map::new();
    let mut tags = Vec::new();
    for (tag, about, operations) in operations::all(&schemas) {
        tags.push(json!({ "name": tag, "description": about }));
        for operation in operations {
            let Operation { method, path, .. } = operation;
            let item = paths.entry(path).or_insert_with(|| path_item(path));
            item[method.to_ascii_lowercase()] = operation.finish(tag);
        }
    }
    let _problem = schemas.answer::<Problem>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "EventRunner",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A multi-tenant event platform on wasmCloud",
            "description": include_str!("about.md"),
            "license": { "name": "Apache 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "Where this document is." }],
        "tags": tags,
        "security": [{ "bearer": [] }, { "apiKey": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`er_…`), or the token that the gateway made for this request.",
                },
                "apiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key." },
            },
            "responses": refusals(),
            "headers": headers(),
            "schemas": schemas.components(),
        },
    })
}

fn path_item(path: &str) -> Value {
    if path == operations::PUBLISH {
        let edge = json!({ "default": INGEST, "description": "Where the ingest edge is: ER_INGEST_URL." });
        return json!({ "servers": [{ "url": "{ingest}", "variables": { "ingest": edge } }] });
    }
    json!({})
}

fn refusals() -> Value {
    let refusal = |status: u16| {
        let kinds: Vec<&Kind> = Kind::ALL.iter().filter(|kind| kind.status() == status).collect();
        let lines = kinds.iter().map(|kind| format!("- `{}`: {}", kind.urn(), kind.title()));
        let mut response = json!({
            "description": lines.collect::<Vec<_>>().join("\n"),
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        let told = match status {
            401 => &["WWW-Authenticate"][..],
            429 => &["Retry-After", "RateLimit"],
            _ if kinds.iter().any(|kind| kind.retryable()) => &["Retry-After"],
            _ => &[],
        };
        for name in told {
            response["headers"][name] = operation::header_ref(name);
        }
        (status.to_string(), response)
    };
    Value::Object(REFUSALS.into_iter().map(refusal).collect())
}

fn headers() -> Value {
    let header = |description: &str, schema: Value| json!({ "description": description, "schema": schema });
    let text = || json!({ "type": "string" });
    json!({
        "ETag": header("Names what the answer shows: give it back in If-Match or If-None-Match.", text()),
        "Er-Rules-Version": header("The version of the rule set that the text is of.", json!({ "type": "integer" })),
        "Idempotency-Replayed": header("`true`: this was done before, under the same Idempotency-Key.", text()),
        "Link": header("Where the next page is, as `<…>; rel=\"next\"`; none after the last.", text()),
        "Location": header("Where what was made can be looked at.", text()),
        "RateLimit": header(
            "What is left of the quota, and seconds until there is more (draft-ietf-httpapi-ratelimit-headers).",
            text(),
        ),
        "Retry-After": header("Seconds to wait before the request is sent again.", json!({ "type": "integer", "minimum": 1 })),
        "WWW-Authenticate": header("How to authenticate.", text()),
    })
}
