//! The policies that count, and those that did: for operators.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_event::{Kind, Problem};
use er_tenant::Principal;
use serde::Deserialize;
use serde_json::json;

use crate::backend::Backend;
use crate::dead_letters::audit;
use crate::fault::OrProblem;
use crate::http::{Request, Response};

/// What the provider takes, in base64.
const BUNDLE_BYTES_MAX: usize = 700 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activate {
    bundle: String,
    data: Option<String>,
}

/// `GET /policies`
pub fn state(backend: &dyn Backend) -> Result<Response, Problem> {
    backend.policy_state().or_problem().map(Response::json)
}

/// `GET /policies/versions`
pub fn versions(backend: &dyn Backend) -> Result<Response, Problem> {
    backend.policy_versions().or_problem().map(Response::json)
}

/// `PUT /policies/data`: kept, and nothing more.
pub fn put_data(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let data = request.json_text()?;
    let revision = backend.publish_policy_data(&data).or_problem()?;
    audit(backend, caller, &format!("publishes the policy data {revision}"));
    Response::of(201, &json!({ "revision": revision }))
}

/// `PUT /policies/bundle`: kept, and nothing more.
pub fn put_bundle(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let bundle = STANDARD.encode(request.bytes()?);
    if bundle.len() > BUNDLE_BYTES_MAX {
        let detail = format!("the bundle has {} bytes in base64, over {BUNDLE_BYTES_MAX}", bundle.len());
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let revision = backend.publish_policy_bundle(&bundle).or_problem()?;
    audit(backend, caller, &format!("publishes the policy bundle {revision}"));
    Response::of(201, &json!({ "revision": revision }))
}

/// `POST /policies:activate`
pub fn activate(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let Activate { bundle, data } = request.json()?;
    audit(
        backend,
        caller,
        &format!("activates the policy bundle {bundle} with data {}", data.as_deref().unwrap_or("of its own")),
    );
    backend.activate_policy(&bundle, data.as_deref(), &caller.by()).or_problem().map(Response::json)
}
