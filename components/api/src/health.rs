//! Whether the parts that answers come from are there.

use er_event::Problem;
use er_tenant::{OPERATOR, TENANTS_BUCKET};
use serde::Serialize;

use crate::backend::Backend;
use crate::fault::OrProblem;
use crate::http::Response;
use crate::permission;

/// Whether the platform is up, and which part is not.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Health {
    /// `up`, or `down` where any part is.
    status: &'static str,
    parts: Parts,
}

/// Each `up`, or what is wrong with it in a word.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "HealthParts"))]
#[serde(rename_all = "kebab-case")]
pub struct Parts {
    kv: &'static str,
    event_store: &'static str,
    policy: &'static str,
}

pub fn check(backend: &dyn Backend) -> Response {
    let kv = backend.kv_get(TENANTS_BUCKET, OPERATOR).or_problem().map(drop);
    let store = backend.event(OPERATOR, "/healthz", "none").or_problem().map(drop);
    let policy = permission::decides(backend);
    let up = kv.is_ok() && store.is_ok() && policy.is_ok();
    let health = Health {
        status: if up { "up" } else { "down" },
        parts: Parts { kv: part(&kv), event_store: part(&store), policy: part(&policy) },
    };
    match Response::of(if up { 200 } else { 503 }, &health) {
        Ok(response) if up => response,
        Ok(response) => response.header("retry-after", "1"),
        Err(problem) => problem.into(),
    }
}

/// Without the detail: who asks is not known.
fn part(answer: &Result<(), Problem>) -> &'static str {
    match answer {
        Ok(()) => "up",
        Err(problem) => problem.kind.slug(),
    }
}
