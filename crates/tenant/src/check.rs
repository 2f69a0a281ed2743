//! From a presented key to who holds it. Whatever is wrong, the answer is the same: denied.

use er_event::keys::{self, Action, Role};
use serde::{Deserialize, Serialize};

use crate::{key_id, key_path, KeyRecord, Quota, TenantRecord, OPERATOR};

/// A presented key that could be one of ours: where its records are to be looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    pub tenant: String,
    pub hash: String,
}

/// Who called, and what the edge needs to know to serve them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    pub tenant: String,
    pub role: Role,
    /// The key's id; of a member, `user:` and their id.
    pub key: String,
    /// The key's name.
    pub name: String,
    pub quota: Quota,
}

/// The key opens nothing. Deliberately without a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API key is not valid")]
pub struct Denied;

// === impl Lookup ===

impl Lookup {
    pub fn parse(api_key: &str) -> Result<Self, Denied> {
        let (tenant, _) = keys::parse(api_key).ok_or(Denied)?;
        Ok(Lookup { tenant: tenant.to_owned(), hash: keys::hash(api_key) })
    }

    /// Where in [`crate::KEYS_BUCKET`] the key's record is.
    pub fn key_path(&self) -> String {
        key_path(&self.tenant, &self.hash)
    }

    /// Whether the tenant's record is needed too.
    pub fn needs_tenant(&self) -> bool {
        self.tenant != OPERATOR
    }
}

// === impl Principal ===

impl Principal {
    pub fn may(&self, action: Action) -> bool {
        self.role.allows(action)
    }

    /// Names this principal in records: `<tenant>/<key id>`.
    pub fn by(&self) -> String {
        format!("{}/{}", self.tenant, self.key)
    }
}

/// Decides on the records as they were found (none: there is none).
pub fn check(lookup: &Lookup, key: Option<&str>, tenant: Option<&str>, now_us: i64) -> Result<Principal, Denied> {
    let key: KeyRecord = read(key)?;
    if key.expired(now_us) || key.role == Role::TenantAdmin || (key.role == Role::Operator) == lookup.needs_tenant() {
        return Err(Denied);
    }
    let quota = if lookup.needs_tenant() {
        let tenant: TenantRecord = read(tenant)?;
        if tenant.suspended || tenant.id != lookup.tenant {
            return Err(Denied);
        }
        tenant.quota
    } else {
        Quota::default()
    };
    Ok(Principal {
        tenant: lookup.tenant.clone(),
        role: key.role,
        key: key_id(&lookup.hash).to_owned(),
        name: key.name,
        quota,
    })
}

fn read<'a, T: Deserialize<'a>>(record: Option<&'a str>) -> Result<T, Denied> {
    serde_json::from_str(record.ok_or(Denied)?).map_err(|_| Denied)
}

#[cfg(test)]
mod tests {
    use super::*;
    use er_event::event::time_us;

    const TENANT: &str = r#"{"id":"acme","quota":{"events_per_s":5}}"#;
    const KEY: &str = r#"{"id":"0","role":"viewer","name":"laptop","expires":"2030-01-01T00:00:00Z"}"#;

    fn lookup(tenant: &str) -> Lookup {
        Lookup::parse(&keys::format(tenant, &[7; 32])).unwrap()
    }

    fn decide(key: Option<&str>, tenant: Option<&str>) -> Result<Principal, Denied> {
        check(&lookup("acme"), key, tenant, time_us("2029-12-31T23:59:59Z").unwrap())
    }

    #[test]
    fn a_good_key_tells_who_holds_it() {
        let principal = decide(Some(KEY), Some(TENANT)).unwrap();
        let id = &lookup("acme").hash[..12];
        assert_eq!(
            serde_json::to_string(&principal).unwrap(),
            format!(
                r#"{{"tenant":"acme","role":"viewer","key":"{id}","name":"laptop","quota":{{"events_per_s":5,"burst":null}}}}"#
            )
        );
        assert_eq!(principal.by(), format!("acme/{id}"));
    }

    #[test]
    fn anything_wrong_is_denied() {
        assert_eq!(decide(None, Some(TENANT)), Err(Denied));
        assert_eq!(decide(Some(KEY), None), Err(Denied));
        assert_eq!(decide(Some("{"), Some(TENANT)), Err(Denied));
        assert_eq!(decide(Some(KEY), Some(r#"{"id":"acme","suspended":true}"#)), Err(Denied));
        assert_eq!(decide(Some(KEY), Some(r#"{"id":"other"}"#)), Err(Denied));
        assert_eq!(decide(Some(r#"{"id":"0","role":"root"}"#), Some(TENANT)), Err(Denied));
        assert_eq!(decide(Some(r#"{"id":"0","role":"viewer","expires":"soon"}"#), Some(TENANT)), Err(Denied));
        let expired = check(&lookup("acme"), Some(KEY), Some(TENANT), time_us("2030-01-01T00:00:00Z").unwrap());
        assert_eq!(expired, Err(Denied), "a key is dead from its last moment on");
    }

    #[test]
    fn operators_are_of_the_operator_tenant_and_nobody_else_is() {
        let operator = r#"{"id":"0","role":"operator"}"#;
        assert!(check(&lookup(OPERATOR), Some(operator), None, 0).is_ok());
        assert_eq!(check(&lookup(OPERATOR), Some(KEY), None, 0), Err(Denied));
        assert_eq!(decide(Some(operator), Some(TENANT)), Err(Denied));
    }

    #[test]
    fn what_is_no_key_is_not_looked_up() {
        assert_eq!(Lookup::parse("er_acme_short"), Err(Denied));
        assert_eq!(Lookup::parse(""), Err(Denied));
    }
}
