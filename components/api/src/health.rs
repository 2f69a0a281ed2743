//! Whether the parts that answers come from are there.

use er_event::Problem;
use er_tenant::{OPERATOR, TENANTS_BUCKET};
use serde_json::json;

use crate::backend::Backend;
use crate::fault::OrProblem;
use crate::http::{Response, JSON};
use crate::permission;

pub fn check(backend: &dyn Backend) -> Response {
    let kv = backend.kv_get(TENANTS_BUCKET, OPERATOR).or_problem().map(drop);
    let store = backend.event(OPERATOR, "/healthz", "none").or_problem().map(drop);
    let policy = permission::decides(backend);
    let up = kv.is_ok() && store.is_ok() && policy.is_ok();
    let body = json!({
        "status": if up { "up" } else { "down" },
        "parts": { "kv": part(&kv), "event-store": part(&store), "policy": part(&policy) },
    });
    let response = Response::new(if up { 200 } else { 503 }, JSON, body.to_string());
    if up {
        response
    } else {
        response.header("retry-after", "1")
    }
}

/// Without the detail: who asks is not known.
fn part(answer: &Result<(), Problem>) -> &'static str {
    match answer {
        Ok(()) => "up",
        Err(problem) => problem.kind.slug(),
    }
}
