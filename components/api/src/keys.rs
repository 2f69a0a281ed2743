//! API keys: made, listed and revoked by operators and by each tenant's admins.

use er_event::keys::{format, hash};
use er_event::{Kind, Problem};
use er_tenant::{key_path, keys_of, KeyRecord, NewKey, Principal, KEYS_BUCKET, KEYS_MAX, KEY_ID_CHARS};
use serde::Serialize;
use serde_json::json;

use crate::auth::has_record;
use crate::backend::{Backend, Item};
use crate::fault::OrProblem;
use crate::http::{Request, Response};
use crate::tenants::{find, invalid, read, write};

/// More than a tenant can have.
const SCAN_ITEMS_MAX: u32 = 1000;

/// The record of a new key and, this once, the key.
#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    record: &'a KeyRecord,
    key: &'a str,
}

pub fn list(backend: &dyn Backend, tenant: &str) -> Result<Response, Problem> {
    let keys = scan(backend, tenant)?;
    let keys = keys.iter().map(|item| read(&item.value)).collect::<Result<Vec<KeyRecord>, _>>()?;
    Response::of(200, &json!({ "keys": keys }))
}

pub fn create(backend: &dyn Backend, tenant: &str, by: &Principal, request: &Request<'_>) -> Result<Response, Problem> {
    let wanted: NewKey = request.json()?;
    let key = format(tenant, &backend.random());
    let hash = hash(&key);
    let record = wanted.into_record(tenant, &hash, by.by(), backend.now_us()).map_err(invalid)?;
    if scan(backend, tenant)?.len() >= KEYS_MAX {
        return Err(Problem::new(
            Kind::Unprocessable,
            format!("{tenant} has {KEYS_MAX} keys, the most a tenant may have"),
        )
        .mend("Delete keys that are no longer used."));
    }
    backend.kv_create(KEYS_BUCKET, &key_path(tenant, &hash), &write(&record)?).or_problem()?;
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
