//! The policies that count, and those that did: for operators.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use er_event::{Kind, Problem};
use er_tenant::Principal;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Fault, FaultCode};
use crate::dead_letters::audit;
use crate::etag::{hold, Tag};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::tenants::read;

/// What the provider takes, in base64.
const BUNDLE_BYTES_MAX: usize = 700 << 10;

/// The body of `policies:activate`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "PolicyActivate"))]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The revision of a bundle that is kept.
    bundle: String,
    /// The revision of data to lay over it; none: its own.
    data: Option<String>,
}

/// What was kept.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "PolicyKept"))]
pub struct Kept {
    revision: String,
}

/// What is needed of the state.
#[derive(Deserialize)]
struct Last {
    activation: u64,
}

/// `GET /policies`
pub fn state(backend: &dyn Backend) -> Result<Response, Problem> {
    told(backend.policy_state().or_problem()?)
}

/// Under the number of the last activation, whatever else changes in the state: it is what an activation writes over.
fn told(state: String) -> Result<Response, Problem> {
    let tag = tag(&state)?.1;
    Ok(tag.on(Response::json(state)))
}

fn tag(state: &str) -> Result<(u64, Tag), Problem> {
    let Last { activation } = read(state)?;
    Ok((activation, Tag::numbered(activation)))
}

/// `GET /policies/versions`
pub fn versions(backend: &dyn Backend) -> Result<Response, Problem> {
    backend.policy_versions().or_problem().map(Response::json)
}

/// `PUT /policies/data`: kept, and nothing more.
pub fn put_data(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let data = request.json_text()?;
    let revision = backend.publish_policy_data(&data).of_body()?;
    audit(backend, caller, &format!("publishes the policy data {revision}"));
    Response::of(201, &Kept { revision })
}

/// `PUT /policies/bundle`: kept, and nothing more.
pub fn put_bundle(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let bundle = STANDARD.encode(request.bytes()?);
    if bundle.len() > BUNDLE_BYTES_MAX {
        let detail = format!("the bundle has {} bytes in base64, over {BUNDLE_BYTES_MAX}", bundle.len());
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    let revision = backend.publish_policy_bundle(&bundle).of_body()?;
    audit(backend, caller, &format!("publishes the policy bundle {revision}"));
    Response::of(201, &Kept { revision })
}

/// `POST /policies:activate`
pub fn activate(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let Activate { bundle, data } = request.json()?;
    let over = match request.header("if-match") {
        None | Some("*") => None,
        Some(_) => {
            let (last, tag) = tag(&backend.policy_state().or_problem()?)?;
            hold(request, Some(&tag))?;
            Some(last)
        }
    };
    audit(
        backend,
        caller,
        &format!("activates the policy bundle {bundle} with data {}", data.as_deref().unwrap_or("of its own")),
    );
    match backend.activate_policy(&bundle, data.as_deref(), &caller.by(), over) {
        // Somebody was faster by a moment.
        Err(Fault { code: FaultCode::Conflict, detail, .. }) if over.is_some() => {
            Err(Problem::new(Kind::PreconditionFailed, detail).mend("Read it again, see what changed, then change it."))
        }
        done => told(done.of_body()?),
    }
}
