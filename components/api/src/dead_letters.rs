//! Events that could not be normalized, stored or delivered.

use er_event::Problem;
use er_tenant::Principal;

use crate::auth::Permission;
use crate::backend::Backend;
use crate::fault::OrProblem;
use crate::http::Response;
use crate::query::Query;

pub fn list(backend: &dyn Backend, caller: &Principal, query: &str) -> Result<Response, Problem> {
    let query = Query::parse(query, &["tenant", "after", "limit"])?;
    let tenant = caller.tenant(&query)?;
    let after = query.number("after")?.unwrap_or(0);
    backend.dead_letters(&tenant, after, query.limit()?).or_problem().map(Response::json)
}
