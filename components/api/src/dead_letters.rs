//! Events that could not be normalized, stored or delivered: looked at, delivered again, discarded.

use er_event::{Kind, Problem};
use er_tenant::Principal;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::auth::Permission;
use crate::backend::{Backend, Letters};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::page;
use crate::permission;
use crate::query::{invalid, Query};
use crate::tenants::{read, write};

/// Of one request.
const LETTERS_MAX: u32 = 1_000;

/// Which dead letters: by their places, or all that match.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "DeadLettersWanted"))]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    #[serde(default)]
    seqs: Vec<u64>,
    /// Those that this consumer did not handle.
    consumer: Option<String>,
    /// Those that were given up there.
    stage: Option<String>,
    /// Those whose reason contains this.
    reason: Option<String>,
    /// The oldest, at most so many.
    limit: Option<u32>,
    /// Said where none of the others is, so that nobody means all by mistake.
    #[serde(default)]
    all: bool,
}

/// A page as the stream gives it.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    items: &'a RawValue,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Selected {
    seqs: Vec<u64>,
    consumers: Vec<String>,
}

/// `GET /dead-letters`
pub fn list(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let query = Query::parse(request.query, &["tenant", "cursor", "after", "limit"])?;
    let tenant = caller.tenant(&query)?;
    let after = match query.cursor()?.map(str::parse) {
        None => 0,
        Some(Ok(place)) => place,
        Some(Err(_)) => return Err(invalid("cursor", "is none of this list").mend("Give back what a page says.")),
    };
    let page = backend.dead_letters(&tenant, after, query.limit()?).or_problem()?;
    let Page { items, next } = read(&page)?;
    let cursor = next.map(|next| next.to_string());
    let body = format!(r#"{{"items":{},"cursor":{},"next":{}}}"#, items.get(), write(&cursor)?, write(&next)?);
    Ok(page::linked(request, cursor.as_deref(), Response::json(body)))
}

/// `GET /dead-letters/{seq}`
pub fn show(backend: &dyn Backend, tenant: &str, seq: &str) -> Result<Response, Problem> {
    let none = || Problem::new(Kind::NotFound, format!("there is no dead letter {seq}, or not any more"));
    let place = seq.parse().map_err(|_| none())?;
    backend.dead_letter(tenant, place).or_problem()?.map(Response::json).ok_or_else(none)
}

/// `POST /dead-letters:redrive`
pub fn redrive(
    backend: &dyn Backend,
    tenant: &str,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let Selected { seqs, consumers } = select(backend, tenant, request)?;
    let only = match consumers.as_slice() {
        [only] => Some(only.as_str()),
        _ => None,
    };
    permission::redrive(backend, caller, tenant, only, seqs.len())?;
    audit(backend, caller, &format!("redrives {} dead letters of {tenant}", seqs.len()));
    if seqs.is_empty() {
        return Response::of(200, &json!({ "redriven": 0, "kept": [] }));
    }
    backend.redrive(tenant, &seqs).or_problem().map(Response::json)
}

/// `POST /dead-letters:discard`
pub fn discard(
    backend: &dyn Backend,
    tenant: &str,
    caller: &Principal,
    request: &Request<'_>,
) -> Result<Response, Problem> {
    let Selected { seqs, .. } = select(backend, tenant, request)?;
    audit(backend, caller, &format!("discards {} dead letters of {tenant}: {seqs:?}", seqs.len()));
    if seqs.is_empty() {
        return Response::of(200, &json!({ "discarded": 0 }));
    }
    backend.discard(tenant, &seqs).or_problem().map(Response::json)
}

fn select(backend: &dyn Backend, tenant: &str, request: &Request<'_>) -> Result<Selected, Problem> {
    let wanted: Wanted = request.json()?;
    let filtered = wanted.consumer.is_some() || wanted.stage.is_some() || wanted.reason.is_some();
    let wrong = |detail: &str| {
        Err(Problem::new(Kind::Unprocessable, detail)
            .mend("Name them by `seqs`, or by `consumer`, `stage`, `reason` (a part of it) and `limit`, or say `\"all\": true`."))
    };
    match (wanted.seqs.is_empty(), filtered, wanted.all) {
        (false, false, false) | (true, true, false) | (true, false, true) => {}
        (true, false, false) => return wrong("it is not said which dead letters"),
        _ => return wrong("it is said in two ways which dead letters"),
    }
    let limit = wanted.limit.unwrap_or(LETTERS_MAX);
    if wanted.seqs.len() > LETTERS_MAX as usize || !(1..=LETTERS_MAX).contains(&limit) {
        return Err(Problem::new(Kind::Unprocessable, format!("1 to {LETTERS_MAX} dead letters go in one request"))
            .mend("Ask again for the rest."));
    }
    let letters =
        Letters { seqs: wanted.seqs, consumer: wanted.consumer, stage: wanted.stage, reason: wanted.reason, limit };
    read(&backend.select_letters(tenant, &letters).of_body()?)
}

/// Who did what, for whoever runs the platform.
pub fn audit(backend: &dyn Backend, caller: &Principal, what: &str) {
    backend.log(&format!("audit: {} {what}", caller.by()));
}
