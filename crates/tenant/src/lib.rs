//! Who is who: tenants, their members, API keys, tokens of the gateway, and what each may do. Pure records and decisions;
//! the buckets they rest in are somebody else's.

use std::time::Duration;

pub mod auth;
pub mod billing;
mod check;
pub mod consumers;
pub mod gateway;
mod key;
pub mod members;
mod record;
pub mod rules;
pub mod token;

pub use check::{check, Denied, Lookup, Principal};
pub use key::{KeyRecord, NewKey};
pub use record::{NewTenant, Quota, TenantPatch, TenantRecord};

/// Bucket of key records, under `<tenant>.<hash>`.
pub const KEYS_BUCKET: &str = "ER_KEYS";
/// Bucket of tenant records, under the tenant's id.
pub const TENANTS_BUCKET: &str = "ER_TENANTS";
/// Bucket of what was answered to requests that may be sent again, under `<tenant>.<hash>`.
pub const IDEMPOTENCY_BUCKET: &str = "ER_IDEMPOTENCY";
/// How long that is remembered.
pub const IDEMPOTENCY_AGE: Duration = Duration::from_secs(86_400);
/// The reserved tenant that operators belong to. It has no events, and needs no record.
pub const OPERATOR: &str = "operator";

/// Keys one tenant may have.
pub const KEYS_MAX: usize = 200;
/// A tenant's or a key's name.
pub const NAME_CHARS_MAX: usize = 100;
/// Digits of a key's hash that name the key to people.
pub const KEY_ID_CHARS: usize = 12;

/// A request to change a record that can't be granted: one sentence for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Where a key's record rests in [`KEYS_BUCKET`].
pub fn key_path(tenant: &str, hash: &str) -> String {
    format!("{tenant}.{hash}")
}

/// Every key of a tenant, as a filter over [`KEYS_BUCKET`].
pub fn keys_of(tenant: &str) -> String {
    format!("{tenant}.*")
}

/// The part of a key's hash that names it to people; short hashes (there are none) name themselves.
pub fn key_id(hash: &str) -> &str {
    hash.get(..KEY_ID_CHARS).unwrap_or(hash)
}

fn valid_name(name: &str) -> Result<(), Invalid> {
    if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Invalid(format!("name: at most {NAME_CHARS_MAX} characters, none of them a control character")));
    }
    Ok(())
}
