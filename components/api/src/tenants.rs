//! Tenants: made, changed and shut out by operators.

use er_event::{Kind, Problem};
use er_tenant::{keys_of, Invalid, NewTenant, Principal, TenantPatch, TenantRecord, KEYS_BUCKET, TENANTS_BUCKET};
use serde::{Deserialize, Serialize};

use crate::auth::has_record;
use crate::backend::{Backend, Fault, FaultCode};
use crate::etag::{hold, tagged, Tag};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::members;
use crate::page;
use crate::permission;
use crate::query::Query;

/// As many as one scan gives.
const SCAN_ITEMS_MAX: u32 = 1000;
/// A change is tried again this often when somebody else's comes between.
const ATTEMPTS_MAX: u32 = 5;

/// A page of tenants, by id.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tenants {
    tenants: Vec<TenantRecord>,
    /// What to give as `cursor` for those that follow; none after the last.
    cursor: Option<String>,
    /// The same, under its former name.
    next: Option<String>,
}

/// What deleting a tenant did.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TenantDeleted {
    id: String,
    suspended: bool,
    keys_deleted: usize,
    members_deleted: usize,
    note: &'static str,
}

pub fn list(backend: &dyn Backend, request: &Request<'_>) -> Result<Response, Problem> {
    let query = Query::parse(request.query, &["cursor", "after", "limit"])?;
    let limit = query.limit()?;
    let items = backend.kv_scan(TENANTS_BUCKET, "*", query.cursor()?, limit).or_problem()?;
    let tenants = items.iter().map(|item| read(&item.value)).collect::<Result<Vec<TenantRecord>, _>>()?;
    let cursor = tenants.last().filter(|_| tenants.len() == limit as usize).map(|last| last.id.clone());
    let response = Response::of(200, &Tenants { tenants, cursor: cursor.clone(), next: cursor.clone() })?;
    Ok(page::linked(request, cursor.as_deref(), response))
}

pub fn create(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let record = request.json::<NewTenant>()?.into_record(backend.now_us()).map_err(invalid)?;
    match backend.kv_create(TENANTS_BUCKET, &record.id, &write(&record)?) {
        Err(Fault { code: FaultCode::Conflict, .. }) => {
            Err(Problem::new(Kind::Conflict, format!("there is a tenant {} already", record.id)))
        }
        done => {
            let revision = done.or_problem()?;
            permission::wait_known(backend, caller, &record.id);
            let response = Response::of(201, &record)?.header("location", format!("/api/v1/tenants/{}", record.id));
            tagged(request, &Tag::numbered(revision), response)
        }
    }
}

pub fn show(backend: &dyn Backend, id: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let (record, revision) = find(backend, id)?;
    tagged(request, &Tag::numbered(revision), Response::of(200, &record)?)
}

pub fn change(backend: &dyn Backend, id: &str, request: &Request<'_>) -> Result<Response, Problem> {
    let patch: TenantPatch = request.json()?;
    let (record, revision) = apply(backend, id, &patch, |now| hold(request, Some(now)))?;
    tagged(request, &Tag::numbered(revision), Response::of(200, &record)?)
}

/// Shuts the tenant out for good, as far as keys go; what it stored stays and can be opened again with PATCH and new keys.
pub fn delete(backend: &dyn Backend, id: &str) -> Result<Response, Problem> {
    // First the door, then the keys and members: nobody gets in between, and a repeat finishes what a failure left.
    let (record, _) = apply(backend, id, &TenantPatch::suspend(), |_| Ok(()))?;
    let mut deleted = 0;
    loop {
        let keys = backend.kv_scan(KEYS_BUCKET, &keys_of(id), None, SCAN_ITEMS_MAX).or_problem()?;
        if keys.is_empty() {
            break;
        }
        for key in keys {
            backend.kv_delete(KEYS_BUCKET, &key.key).or_problem()?;
            deleted += 1;
        }
    }
    let members_deleted = members::delete_all(backend, id)?;
    Response::of(
        200,
        &TenantDeleted {
            id: record.id,
            suspended: record.suspended,
            keys_deleted: deleted,
            members_deleted,
            note: "The tenant is suspended, its keys and members are deleted. Its events are kept; PATCH {\"suspended\":false} lets it in again with new keys. Its plan goes on: an operator ends it with another (PUT /plan).",
        },
    )
}

/// The tenant's record and its revision.
pub fn find(backend: &dyn Backend, id: &str) -> Result<(TenantRecord, u64), Problem> {
    let item = match has_record(id) {
        true => backend.kv_get(TENANTS_BUCKET, id).or_problem()?,
        false => None,
    };
    let item = item.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no tenant {id}")))?;
    Ok((read(&item.value)?, item.revision))
}

/// The record as it is after the patch, and its revision. `may` looks at the tag of what would be changed.
fn apply(
    backend: &dyn Backend,
    id: &str,
    patch: &TenantPatch,
    may: impl Fn(&Tag) -> Result<(), Problem>,
) -> Result<(TenantRecord, u64), Problem> {
    for _ in 0..ATTEMPTS_MAX {
        let (mut record, revision) = find(backend, id)?;
        may(&Tag::numbered(revision))?;
        patch.apply(&mut record).map_err(invalid)?;
        match backend.kv_put(TENANTS_BUCKET, id, &write(&record)?, Some(revision)) {
            Err(Fault { code: FaultCode::Conflict, .. }) => {}
            done => return done.or_problem().map(|revision| (record, revision)),
        }
    }
    Err(Problem::new(Kind::Conflict, format!("others keep changing the tenant {id}"))
        .mend("Read it again, then change it."))
}

pub fn invalid(cause: Invalid) -> Problem {
    Problem::new(Kind::Unprocessable, cause.to_string())
}

pub fn read<'a, T: Deserialize<'a>>(record: &'a str) -> Result<T, Problem> {
    serde_json::from_str(record)
        .map_err(|cause| Problem::new(Kind::Internal, format!("a stored record can't be read: {cause}")))
}

pub fn write(record: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(record).map_err(|cause| Problem::new(Kind::Internal, cause.to_string()))
}
