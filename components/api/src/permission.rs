//! What the policy says to what somebody wants to do. It fails closed: no answer is no permission.

use std::borrow::Cow;

use er_event::keys::Action;
use er_event::{Kind, Problem};
use er_question::{Api, Consumer, Input, Redrive, Replay};
use er_tenant::{Principal, OPERATOR};

use crate::backend::Backend;
use crate::fault;
use crate::http::Request;
use crate::router::Route;

/// How long a change of a tenant may take to come to the policy, and between two looks whether it did.
const KNOWN_WITHIN_MS: i64 = 3_000;
const LOOK_MS: u32 = 200;

/// Whether the policy lets the caller do this; the tenant it is about is the named one, or else the caller's own.
pub fn ask(
    backend: &dyn Backend,
    caller: &Principal,
    action: Action,
    route: &Route,
    request: &Request<'_>,
) -> Result<(), Problem> {
    let (action, tenant) = match named(route, request.query) {
        // The policy knows tenants; the operators are none.
        Some(tenant) if tenant == OPERATOR => (Action::Tenants, None),
        Some(tenant) => (action, Some(tenant)),
        // An operator who names nobody acts on nobody in particular.
        None if caller.tenant == OPERATOR => (Action::Tenants, None),
        None => (action, Some(Cow::Borrowed(caller.tenant.as_str()))),
    };
    granted(backend, &about(caller, action, tenant.as_deref()))
}

/// Whether dead letters may be delivered again. `consumer`: the only one that they go to.
pub fn redrive(
    backend: &dyn Backend,
    caller: &Principal,
    tenant: &str,
    consumer: Option<&str>,
    events: usize,
) -> Result<(), Problem> {
    let consumer = consumer.map(|name| Consumer { tenant, name });
    let events = events as u64;
    granted(backend, &Input::Redrive(Redrive { principal: principal(caller), tenant, consumer, events }))
}

/// Whether stored events that old may be delivered again.
pub fn replay(
    backend: &dyn Backend,
    caller: &Principal,
    tenant: &str,
    consumer: &str,
    age_h: u64,
) -> Result<(), Problem> {
    let consumer = Some(Consumer { tenant, name: consumer });
    granted(backend, &Input::Replay(Replay { principal: principal(caller), tenant, consumer, age_h }))
}

/// Waits until the policy knows of a tenant that was made, so that what its maker does next is not refused.
pub fn wait_known(backend: &dyn Backend, caller: &Principal, tenant: &str) {
    let question = about(caller, Action::Read, Some(tenant));
    let end_us = backend.now_us() + KNOWN_WITHIN_MS * 1_000;
    while granted(backend, &question).is_err() && backend.now_us() < end_us {
        backend.wait(LOOK_MS);
    }
}

/// Whether a policy decides at all: one that locks operators out does not count.
pub fn decides(backend: &dyn Backend) -> Result<(), Problem> {
    let principal = er_question::Principal { tenant: OPERATOR, role: "operator", key: "healthz" };
    granted(backend, &Input::Api(Api { principal, action: word(Action::Tenants), tenant: None }))
}

fn about<'q>(caller: &'q Principal, action: Action, tenant: Option<&'q str>) -> Input<'q> {
    Input::Api(Api { principal: principal(caller), action: word(action), tenant })
}

fn granted(backend: &dyn Backend, question: &Input<'_>) -> Result<(), Problem> {
    let away = |detail: String| {
        Problem::new(Kind::Unavailable, format!("no policy decided: {detail}")).retry_after_ms(fault::RETRY_AFTER_MS)
    };
    let decision = backend.decide(&question.text().map_err(away)?).map_err(|fault| away(fault.detail))?;
    match (decision.allow, decision.failure) {
        (_, Some(_)) => Err(away(decision.reason)),
        (true, None) => Ok(()),
        (false, None) => Err(Problem::new(Kind::Forbidden, decision.reason).mend(format!(
            "The policy of revision {} says so; whoever runs the platform can change it.",
            decision.revision
        ))),
    }
}

/// The tenant that the path or the query names.
pub fn named<'a>(route: &'a Route, query: &str) -> Option<Cow<'a, str>> {
    if let Some(tenant) = route.tenant() {
        return Some(Cow::Borrowed(tenant));
    }
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let value = pairs.find(|(name, value)| name == "tenant" && !value.is_empty())?.1;
    Some(Cow::Owned(value.into_owned()))
}

fn principal(caller: &Principal) -> er_question::Principal<'_> {
    er_question::Principal { tenant: &caller.tenant, role: caller.role.as_str(), key: &caller.key }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Publish => "publish",
        Action::Read => "read",
        Action::Write => "write",
        Action::Keys => "keys",
        Action::Members => "members",
        Action::Tenants => "tenants",
    }
}
