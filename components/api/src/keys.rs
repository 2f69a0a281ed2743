//! API keys: made, listed and revoked by operators and by each tenant's admins.

use er_event::keys::{format, hash};
use er_event::{Kind, Problem};
use er_tenant::{key_path, keys_of, KeyRecord, NewKey, Principal, KEYS_BUCKET, KEYS_MAX, KEY_ID_CHARS};
use serde::Serialize;

use crate::auth::has_record;
use crate::backend::{Backend, Item};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::tenants::{find, invalid, read, write};

/// More than a tenant can have.
const SCAN_ITEMS_MAX: u32 = 1000;

/// The record of a new key and, this once, the key.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "KeyCreated"))]
pub struct Created<'a> {
    #[serde(flatten)]
    record: &'a KeyRecord,
    /// Shown here and never again.
    key: &'a str,
}

/// A tenant's keys, without what opens.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Keys {
    keys: Vec<KeyRecord>,
}

pub fn list(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    let keys = scan(backend, tenant)?;
    let keys = keys.iter().map(|item| read(&item.value)).collect::<Result<Vec<KeyRecord>, _>>()?;
    Response::of(200, &Keys { keys })
}

pub fn create(backend: &dyn Backend, tenant: &str, by: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let wanted: NewKey = request.json()?;
    let key = format(tenant, &request.chance.unwrap_or_else(|| backend.random()));
    let hash = hash(&key);
    let mut record = wanted.into_record(tenant, &hash, by.by(), backend.now_us()).map_err(invalid)?;
    let there = scan(backend, tenant)?;
    if there.len() >= KEYS_MAX {
        return Err(Problem::new(
            Kind::Unprocessable,
            format!("{tenant} has {KEYS_MAX} keys, the most a tenant may have"),
        )
        .mend("Delete keys that are no longer used."));
    }
    let path = key_path(tenant, &hash);
    match there.iter().find(|item| item.key == path) {
        // Made by the same request, which was cut off before it was answered.
        Some(made) => record = read(&made.value)?,
        None => {
            backend.kv_create(KEYS_BUCKET, &path, &write(&record)?).or_problem()?;
        }
    }
    let location = format!("/api/v1/tenants/{tenant}/keys/{}", record.id);
    Ok(Response::of(201, &Created { record: &record, key: &key })?.header("location", location))
}

pub fn delete(backend: &dyn Backend, tenant: &str, id: &str) -> Result<Response, Problem> {
    let is_it = |item: &Item| {
        item.key.split_once('.').is_some_and(|(_, hash)| id.len() == KEY_ID_CHARS && hash.starts_with(id))
    };
    let found = scan(backend, tenant)?.into_iter().find(is_it);
    let found = found.ok_or_else(|| Problem::new(Kind::NotFound, format!("{tenant} has no key {id}")))?;
    backend.kv_delete(KEYS_BUCKET, &found.key).or_problem()?;
    Ok(Response::empty())
}

fn scan(backend: &dyn Backend, tenant: &str) -> Result<Vec<Item>, Problem> {
    if has_record(tenant) {
        find(backend, tenant)?;
    }
    backend.kv_scan(KEYS_BUCKET, &keys_of(tenant), None, SCAN_ITEMS_MAX).or_problem()
}
