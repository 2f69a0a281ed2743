//! Stored events: one, or a page.

use er_event::{Kind, Problem};
use er_tenant::Principal;

use crate::auth::Permission;
use crate::backend::{Backend, Filter};
use crate::fault::OrProblem;
use crate::http::{Request, Response, CLOUDEVENT};
use crate::page;
use crate::query::{invalid, Query};
use crate::tenants::write;

const PARAMETERS: &[&str] = &["tenant", "type", "source", "from", "to", "cursor", "limit", "id"];

/// `GET /events/{source}/{id}`
pub fn one(
    backend: &dyn Backend,
    caller: &Principal,
    source: &str,
    id: &str,
    query: &str,
) -> Result<Response, Problem> {
    let tenant = caller.tenant(&Query::parse(query, &["tenant"])?)?;
    get(backend, &tenant, source, id)
}

/// `GET /events?…`
pub fn many(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let query = Query::parse(request.query, PARAMETERS)?;
    let tenant = caller.tenant(&query)?;
    if let Some(id) = query.get("id") {
        let source = query
            .get("source")
            .ok_or_else(|| invalid("id", "needs source beside it: ids are unique within a source"))?;
        return get(backend, &tenant, source, id);
    }
    let filter = Filter {
        event_type: query.get("type").map(type_filter).transpose()?,
        source: query.get("source").map(str::to_owned),
        since: query.time("from")?,
        until: query.time("to")?,
    };
    let page = backend.events(&tenant, &filter, query.get("cursor"), query.limit()?).or_problem()?;
    let response = Response::json(format!(r#"{{"events":{},"cursor":{}}}"#, page.events, write(&page.cursor)?));
    Ok(page::linked(request, page.cursor.as_deref(), response))
}

/// `a.b.c` or `a.b.*`.
pub fn type_filter(text: &str) -> Result<String, Problem> {
    match text.find('*') {
        Some(at) if at + 1 != text.len() => Err(invalid("type", "may have a * at its end only")),
        _ => Ok(text.to_owned()),
    }
}

fn get(backend: &dyn Backend, tenant: &str, source: &str, id: &str) -> Result<Response, Problem> {
    match backend.event(tenant, source, id).or_problem()? {
        Some(event) => Ok(Response::new(200, CLOUDEVENT, event)),
        None => Err(Problem::new(Kind::NotFound, format!("no event {id} of source {source}"))),
    }
}
