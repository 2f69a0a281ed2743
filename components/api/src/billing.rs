//! Usage, invoices and plans: asked of the billing component, shown as the client wants them.

use er_event::Problem;
use serde_json::value::RawValue;

use crate::backend::{Backend, Document, Format, UsageAsked};
use crate::fault::OrProblem;
use crate::http::{Request, Response, JSON};
use crate::query::{invalid, Query};

const CSV: &str = "text/csv; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

// === looking ===

/// `GET /usage/{tenant}`
pub fn usage(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let query = Query::parse(request.query, &["window", "from", "to", "meters", "format"])?;
    let asked = UsageAsked {
        window: query.get("window").unwrap_or("day").to_owned(),
        since: query.time("from")?,
        until: query.time("to")?,
        meters: query.get("meters").map(|list| list.split(',').map(str::to_owned).collect()).unwrap_or_default(),
    };
    let format = format(request, &query)?;
    Ok(shown(backend.usage(tenant, &asked, format).or_problem()?, format))
}

/// `GET /invoice/{tenant}` and `GET /invoice/{tenant}/{id}`
pub fn invoice(
    backend: &dyn Backend,
    tenant: &str,
    id: Option<&str>,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let query = Query::parse(request.query, &["format"])?;
    let format = format(request, &query)?;
    Ok(shown(backend.invoice(tenant, id, format).or_problem()?, format))
}

/// `GET /invoices/{tenant}`
pub fn invoices(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.invoices(tenant).or_problem()?))
}

/// `GET /invoice/{tenant}/{id}/proof`
pub fn proof(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.verify(tenant, id).or_problem()?))
}

/// `GET /tenants/{tenant}/plan`
pub fn subscription(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.subscription(tenant).or_problem()?))
}

/// `GET /plans`
pub fn plans(backend: &dyn Backend) -> Result<Response, Problem> {
    Ok(Response::json(backend.plans().or_problem()?))
}

/// `GET /plans/{name}`
pub fn plan(backend: &dyn Backend, name: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.plan(name).or_problem()?))
}

/// By `?format=`, else by what the client accepts, else JSON.
fn format(request: &Request<'_>, query: &Query) -> Result<Format, Problem> {
    let accept = request.header("accept").unwrap_or_default();
    match query.get("format") {
        Some("json") => Ok(Format::Json),
        Some("csv") => Ok(Format::Csv),
        Some("html") => Ok(Format::Html),
        Some(other) => Err(invalid("format", format!("is {other}")).mend("Use json, csv or html.")),
        None if accept.contains("text/csv") => Ok(Format::Csv),
        None if accept.contains("text/html") => Ok(Format::Html),
        None => Ok(Format::Json),
    }
}

fn shown(document: Document, format: Format) -> Response {
    let content_type = match format {
        Format::Json => JSON,
        Format::Csv => CSV,
        Format::Html => HTML,
    };
    Response::new(200, content_type, document.body)
}

// === changing, for operators ===

/// `POST /invoice/{tenant}/{id}/issue`
pub fn issue(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.issue(tenant, id).or_problem()?))
}

/// `POST /invoice/{tenant}/{id}/void`
pub fn void(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Response, Problem> {
    Ok(Response::json(backend.void(tenant, id).or_problem()?))
}

/// `PUT /tenants/{tenant}/plan`
pub fn subscribe(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let body = json(request)?;
    Ok(Response::json(backend.subscribe(tenant, &body).of_body()?))
}

/// `PUT /plans/{name}`
pub fn save_plan(backend: &dyn Backend, name: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let body = json(request)?;
    Ok(Response::json(backend.save_plan(name, &body).of_body()?))
}

/// The body, known to be JSON: what is none is named with its place.
fn json(request: &Request<'_>) -> Result<String, Problem> {
    let text = request.json_text()?;
    crate::http::parse::<&RawValue>(&text)?;
    Ok(text)
}
