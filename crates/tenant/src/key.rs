//! The record of an API key. The key itself is shown once and kept nowhere.

use er_event::event::{rfc3339_us, time_us};
use er_event::keys::Role;
use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::NAME_CHARS_MAX;
use crate::{key_id, valid_name, Invalid, OPERATOR};

/// A key, as it rests in [`crate::KEYS_BUCKET`] under its hash and as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KeyRecord {
    /// The first 12 digits of the hash.
    pub id: String,
    pub role: Role,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub created: String,
    /// `<tenant>/<key id>` of the key that made this one.
    #[serde(default)]
    pub by: String,
    /// RFC 3339; none is never.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires: Option<String>,
}

/// The body that makes a key.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    pub role: Role,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = NAME_CHARS_MAX)))]
    pub name: String,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(extend("format" = "date-time")))]
    pub expires: Option<String>,
}

// === impl KeyRecord ===

impl KeyRecord {
    /// A time that can't be read has passed: a key whose record is damaged opens nothing.
    pub fn expired(&self, now_us: i64) -> bool {
        self.expires.as_deref().is_some_and(|expires| time_us(expires).is_none_or(|at| at <= now_us))
    }
}

// === impl NewKey ===

impl NewKey {
    pub fn into_record(self, tenant: &str, hash: &str, by: String, now_us: i64) -> Result<KeyRecord, Invalid> {
        if (self.role == Role::Operator) != (tenant == OPERATOR) {
            return Err(Invalid(format!("role: keys of tenant {OPERATOR}, and no others, have the role operator")));
        }
        if self.role == Role::TenantAdmin {
            return Err(Invalid("role: tenant_admin is a member's, and no key's".into()));
        }
        valid_name(&self.name)?;
        let record = KeyRecord {
            id: key_id(hash).to_owned(),
            role: self.role,
            name: self.name,
            created: rfc3339_us(now_us),
            by,
            expires: self.expires,
        };
        if record.expired(now_us) {
            return Err(Invalid("expires: a time to come in RFC 3339, as in 2030-01-01T00:00:00Z".into()));
        }
        Ok(record)
    }
}
