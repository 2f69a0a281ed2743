//! One request: found, let in, answered.

use er_event::keys::Action;
use er_event::{Kind, Problem};
use er_tenant::auth::Way;
use er_tenant::Principal;

use crate::auth::{self, authenticate, Permission};
use crate::backend::Backend;
use crate::http::{Answer, Headers, Request, Response};
use crate::query::Query;
use crate::router::Route;
use crate::tail::Tail;
use crate::{
    billing, console, consumers, cors, dead_letters, events, health, idempotency, keys, members, permission, policies,
    replays, rules, story, tenants, trial,
};

/// Described by what `openapi/` makes of the routes and types: see there.
const DOCUMENT: &str = include_str!("../openapi.json");

pub fn handle(backend: &dyn Backend, request: &Request<'_>) -> Answer {
    let route = Route::find(request.path);
    let headers = cors::headers(backend, request, route.as_ref());
    found(backend, request, route).headers(headers)
}

fn found(backend: &dyn Backend, request: &Request<'_>, route: Option<Route>) -> Answer {
    let Some(route) = route else {
        let detail = format!("there is nothing at {}", request.path);
        return Response::from(Problem::new(Kind::NotFound, detail).mend("GET / lists what there is.")).into();
    };
    if request.method == "OPTIONS" {
        return Response::empty().header("allow", route.allow()).into();
    }
    if !route.allows(request.method) {
        let detail = format!("{} is not allowed here", request.method);
        let problem = Problem::new(Kind::MethodNotAllowed, detail).mend(format!("Allowed: {}.", route.allow()));
        return Response::from(problem).header("allow", route.allow()).into();
    }
    answer(backend, request, &route).unwrap_or_else(|problem| Response::from(problem).into())
}

fn answer(backend: &dyn Backend, request: &Request<'_>, route: &Route) -> Result<Answer, Problem> {
    match route {
        Route::Index => return console::index(request).map(Answer::Whole),
        Route::Console(path) => return console::file(path, request).map(Answer::Whole),
        Route::Health => return Ok(health::check(backend).into()),
        Route::Whoami => return members::whoami(backend, request).map(Into::into),
        Route::OpenApi => return Ok(Response::json(DOCUMENT).into()),
        _ => {}
    }
    let caller = authenticate(backend, request, Way::Gateway).inspect_err(|problem| {
        // As who looks where it may not look is.
        if problem.status == 401 {
            let who = auth::presented_by(request);
            backend.log(&format!("refused: {} {} {who}: {}", request.method, request.path, problem.detail));
        }
    })?;
    let done = let_in(backend, request, route, &caller).and_then(|()| match route {
        Route::Tail => stream(backend, request, &caller),
        _ => idempotency::once(backend, request, route, &caller, |request| respond(backend, request, route, &caller))
            .map(Answer::Whole),
    });
    // Who looks where it may not look is remembered.
    if let Err(Problem { status: 403, detail, .. }) = &done {
        let (tenant, key) = (&caller.tenant, &caller.key);
        backend.log(&format!("refused: {} {} by key {key} of {tenant}: {detail}", request.method, request.path));
    }
    done
}

/// First by the role and the tenant, in words that tell nothing of other tenants; then by the policy.
fn let_in(backend: &dyn Backend, request: &Request<'_>, route: &Route, caller: &Principal) -> Result<(), Problem> {
    let action = action(route, request.method);
    caller.need(action)?;
    if let Some(tenant) = permission::named(route, request.query) {
        caller.inside(&tenant)?;
    }
    permission::ask(backend, caller, action, route, request)
}

pub fn action(route: &Route, method: &str) -> Action {
    match route {
        Route::Tenants | Route::Tenant(_) => Action::Tenants,
        Route::Keys(_) | Route::Key(..) => Action::Keys,
        Route::Members(_) | Route::Member(..) => Action::Members,
        Route::InvoiceIssue(..) | Route::InvoiceVoid(..) => Action::Tenants,
        Route::Subscription(_) | Route::Plan(_) if method == "PUT" => Action::Tenants,
        Route::Policies | Route::PolicyVersions | Route::PolicyData | Route::PolicyBundle => Action::Tenants,
        Route::PolicyActivate => Action::Tenants,
        Route::RulesRollback | Route::Redrive | Route::Discard => Action::Write,
        Route::ConsumerRollback(_) | Route::ConsumerHold(..) => Action::Write,
        Route::Consumers | Route::Replays if method == "POST" => Action::Write,
        Route::Consumer(_) if matches!(method, "PUT" | "DELETE") => Action::Write,
        Route::Rule(_) if matches!(method, "PUT" | "DELETE") => Action::Write,
        _ => Action::Read,
    }
}

fn respond(
    backend: &dyn Backend,
    request: &Request<'_>,
    route: &Route,
    caller: &Principal,
) -> Result<Response, Problem> {
    // The router lets only allowed methods through; HEAD is GET without the body.
    match (route, request.method) {
        (Route::Events, _) => events::many(backend, caller, request),
        (Route::Event { source, id }, _) => events::one(backend, caller, source, id, request.query),
        (Route::Story { source, id }, _) => story::tell(backend, &own(request, caller)?, source, id),
        (Route::Rules, _) => rules::list(backend, &own(request, caller)?, request),
        (Route::Rule(name), "PUT") => rules::put(backend, &own(request, caller)?, name, caller, request),
        (Route::Rule(name), "DELETE") => rules::delete(backend, &own(request, caller)?, name, caller, request),
        (Route::Rule(name), _) => {
            let query = Query::parse(request.query, &["tenant", "version"])?;
            rules::show(backend, &caller.tenant(&query)?, name, query.number("version")?, request)
        }
        (Route::RulesVersions, _) => rules::versions(backend, &own(request, caller)?),
        (Route::RulesRollback, _) => rules::roll_back(backend, &own(request, caller)?, caller, request),
        (Route::RulesTest, _) => trial::run(backend, &own(request, caller)?, request),
        (Route::DeadLetters, _) => dead_letters::list(backend, caller, request),
        (Route::DeadLetter(seq), _) => dead_letters::show(backend, &own(request, caller)?, seq),
        (Route::Redrive, _) => dead_letters::redrive(backend, &own(request, caller)?, caller, request),
        (Route::Discard, _) => dead_letters::discard(backend, &own(request, caller)?, caller, request),
        (Route::Replays, "POST") => replays::begin(backend, &own(request, caller)?, caller, request),
        (Route::Replays, _) => replays::list(backend, &own(request, caller)?),
        (Route::Replay(id), _) => replays::show(backend, &own(request, caller)?, id),
        (Route::Consumers, "POST") => consumers::put(backend, caller, None, request),
        (Route::Consumers, _) => consumers::list(backend, &own(request, caller)?),
        (Route::Consumer(name), "PUT") => consumers::put(backend, caller, Some(name), request),
        (Route::Consumer(name), "DELETE") => consumers::delete(backend, &own(request, caller)?, name, caller),
        (Route::Consumer(name), _) => consumers::show(backend, &own(request, caller)?, name),
        (Route::ConsumerLogs(name), _) => consumers::logs(backend, caller, name, request.query),
        (Route::ConsumerRollback(name), _) => {
            consumers::roll_back(backend, &own(request, caller)?, name, caller, request)
        }
        (Route::ConsumerHold(name, paused), _) => {
            consumers::hold(backend, &own(request, caller)?, name, *paused, caller, request)
        }
        (Route::Policies, _) => policies::state(backend),
        (Route::PolicyVersions, _) => policies::versions(backend),
        (Route::PolicyData, _) => policies::put_data(backend, caller, request),
        (Route::PolicyBundle, _) => policies::put_bundle(backend, caller, request),
        (Route::PolicyActivate, _) => policies::activate(backend, caller, request),
        (Route::Tenants, "POST") => tenants::create(backend, caller, request),
        (Route::Tenants, _) => tenants::list(backend, request),
        (Route::Usage(tenant), _) => billing::usage(backend, inside(caller, tenant)?, request),
        (Route::Invoices(tenant), _) => billing::invoices(backend, inside(caller, tenant)?),
        (Route::Invoice(tenant, id), _) => billing::invoice(backend, inside(caller, tenant)?, id.as_deref(), request),
        (Route::InvoiceProof(tenant, id), _) => billing::proof(backend, inside(caller, tenant)?, id),
        (Route::InvoiceIssue(tenant, id), _) => billing::issue(backend, inside(caller, tenant)?, id),
        (Route::InvoiceVoid(tenant, id), _) => billing::void(backend, inside(caller, tenant)?, id),
        (Route::Subscription(tenant), "PUT") => billing::subscribe(backend, inside(caller, tenant)?, request),
        (Route::Subscription(tenant), _) => billing::subscription(backend, inside(caller, tenant)?),
        (Route::Plans, _) => billing::plans(backend),
        (Route::Plan(name), "PUT") => billing::save_plan(backend, name, request),
        (Route::Plan(name), _) => billing::plan(backend, name),
        (Route::Tenant(id), "PATCH") => tenants::change(backend, id, request),
        (Route::Tenant(id), "DELETE") => tenants::delete(backend, id),
        (Route::Tenant(id), _) => tenants::show(backend, id, request),
        (Route::Keys(named), "POST") => {
            keys::create(backend, &keys_tenant(request, named.as_deref(), caller)?, caller, request)
        }
        (Route::Keys(named), _) => keys::list(backend, &keys_tenant(request, named.as_deref(), caller)?),
        (Route::Key(named, id), _) => keys::delete(backend, &keys_tenant(request, named.as_deref(), caller)?, id),
        (Route::Members(tenant), _) => members::list(backend, inside(caller, tenant)?),
        (Route::Member(tenant, user), "PUT") => members::put(backend, inside(caller, tenant)?, user, caller, request),
        (Route::Member(tenant, user), "DELETE") => members::delete(backend, inside(caller, tenant)?, user),
        (Route::Member(tenant, user), _) => members::show(backend, inside(caller, tenant)?, user),
        (Route::Index | Route::Console(_) | Route::Health | Route::OpenApi | Route::Whoami | Route::Tail, _) => {
            Err(Problem::new(Kind::NotFound, "there is nothing here"))
        }
    }
}

/// The tenant of the path, if the caller may act in it.
fn inside<'a>(caller: &Principal, tenant: &'a str) -> Result<&'a str, Problem> {
    caller.inside(tenant).map(|()| tenant)
}

/// The caller's own tenant, or the one that an operator names; no other parameter.
fn own(request: &Request<'_>, caller: &Principal) -> Result<String, Problem> {
    caller.tenant(&Query::parse(request.query, &["tenant"])?)
}

/// Whose keys: the tenant of the path, of an operator's `?tenant=`, or the caller's own.
fn keys_tenant(request: &Request<'_>, named: Option<&str>, caller: &Principal) -> Result<String, Problem> {
    let query = Query::parse(request.query, if named.is_some() { &[] } else { &["tenant"] })?;
    let tenant = named.or(query.get("tenant")).unwrap_or(&caller.tenant);
    caller.inside(tenant)?;
    Ok(tenant.to_owned())
}

fn stream(backend: &dyn Backend, request: &Request<'_>, caller: &Principal) -> Result<Answer, Problem> {
    let tail = Tail::open(backend, caller, request)?;
    Ok(match request.method {
        "HEAD" => Response::new(200, "text/event-stream", "").into(),
        _ => Answer::Stream(tail, Headers::new()),
    })
}
