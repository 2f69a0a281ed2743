//! The record of a tenant, and the two ways to change it.

use er_event::event::rfc3339_us;
use er_event::keys::valid_tenant;
use serde::{Deserialize, Deserializer, Serialize};

#[cfg(feature = "schema")]
use crate::NAME_CHARS_MAX;
use crate::{valid_name, Invalid, OPERATOR};

/// How long events may be kept: ten years.
const KEEP_H_MAX: u32 = 87_600;

/// What a tenant may use. None is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub events_per_s: Option<u32>,
    /// Events that may come at once on top of the rate.
    pub burst: Option<u32>,
    /// Hours that events are kept in the event store; none is the store's own setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = KEEP_H_MAX)))]
    pub keep_h: Option<u32>,
}

/// A tenant, as it rests in [`crate::TENANTS_BUCKET`] and as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TenantRecord {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub created: String,
    /// Nobody gets in with a key of a suspended tenant.
    #[serde(default)]
    pub suspended: bool,
    #[serde(default)]
    pub quota: Quota,
}

/// The body that makes a tenant.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")))]
    pub id: String,
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(length(max = NAME_CHARS_MAX)))]
    pub name: Option<String>,
    #[serde(default)]
    pub quota: Quota,
}

/// The body that changes a tenant: what is absent stays (JSON merge patch).
#[derive(Debug, Clone, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TenantPatch {
    #[cfg_attr(feature = "schema", schemars(length(max = NAME_CHARS_MAX)))]
    pub name: Option<String>,
    pub suspended: Option<bool>,
    pub quota: Option<QuotaPatch>,
}

/// `null` lifts a limit.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct QuotaPatch {
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub events_per_s: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    pub burst: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = KEEP_H_MAX)))]
    pub keep_h: Option<Option<u32>>,
}

/// Tells `null` (some none) from absent (none).
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

// === impl Quota ===

impl Quota {
    fn checked(self) -> Result<Self, Invalid> {
        match self {
            Quota { events_per_s: Some(0), .. } => Err(Invalid(
                "quota.events_per_s: 0 lets nothing in; suspend the tenant, or use null for no limit".into(),
            )),
            Quota { events_per_s: None, burst: Some(_), .. } => {
                Err(Invalid("quota.burst: means nothing without quota.events_per_s".into()))
            }
            Quota { keep_h: Some(hours), .. } if !(1..=KEEP_H_MAX).contains(&hours) => {
                Err(Invalid(format!("quota.keep_h: 1 to {KEEP_H_MAX} hours")))
            }
            quota => Ok(quota),
        }
    }
}

// === impl NewTenant ===

impl NewTenant {
    pub fn into_record(self, now_us: i64) -> Result<TenantRecord, Invalid> {
        if !valid_tenant(&self.id) {
            return Err(Invalid("id: 1 to 40 of a-z, 0-9 and -, beginning and ending with a letter or digit".into()));
        }
        if self.id == OPERATOR {
            return Err(Invalid(format!("id: {OPERATOR} is reserved for those who run the platform")));
        }
        let name = self.name.unwrap_or_else(|| self.id.clone());
        valid_name(&name)?;
        Ok(TenantRecord {
            id: self.id,
            name,
            created: rfc3339_us(now_us),
            suspended: false,
            quota: self.quota.checked()?,
        })
    }
}

// === impl TenantPatch ===

impl TenantPatch {
    pub fn suspend() -> Self {
        TenantPatch { suspended: Some(true), ..Self::default() }
    }

    pub fn apply(&self, record: &mut TenantRecord) -> Result<(), Invalid> {
        if let Some(name) = &self.name {
            valid_name(name)?;
            record.name.clone_from(name);
        }
        if let Some(suspended) = self.suspended {
            record.suspended = suspended;
        }
        if let Some(quota) = self.quota {
            record.quota = Quota {
                events_per_s: quota.events_per_s.unwrap_or(record.quota.events_per_s),
                burst: quota.burst.unwrap_or(record.quota.burst),
                keep_h: quota.keep_h.unwrap_or(record.quota.keep_h),
            }
            .checked()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acme() -> TenantRecord {
        TenantRecord {
            id: "acme".into(),
            name: "Acme".into(),
            created: "2025-01-01T00:00:00Z".into(),
            suspended: false,
            quota: Quota { events_per_s: Some(100), burst: Some(200), keep_h: None },
        }
    }

    fn patched(patch: &str) -> Result<TenantRecord, Invalid> {
        let mut record = acme();
        serde_json::from_str::<TenantPatch>(patch).unwrap().apply(&mut record).map(|()| record)
    }

    #[test]
    fn a_record_reads_back_as_written() {
        let text = serde_json::to_string(&acme()).unwrap();
        assert_eq!(
            text,
            r#"{"id":"acme","name":"Acme","created":"2025-01-01T00:00:00Z","suspended":false,"quota":{"events_per_s":100,"burst":200}}"#
        );
        assert_eq!(serde_json::from_str::<TenantRecord>(&text).unwrap(), acme());
    }

    #[test]
    fn the_smallest_record_is_an_id() {
        let record: TenantRecord = serde_json::from_str(r#"{"id":"a"}"#).unwrap();
        assert!(!record.suspended);
        assert_eq!(record.quota, Quota::default());
    }

    #[test]
    fn a_patch_tells_null_from_absent() {
        assert_eq!(patched("{}").unwrap(), acme());
        assert_eq!(patched(r#"{"quota":{"burst":null}}"#).unwrap().quota, Quota { burst: None, ..acme().quota });
        assert_eq!(patched(r#"{"quota":{"events_per_s":null,"burst":null}}"#).unwrap().quota, Quota::default());
        assert!(patched(r#"{"quota":{"events_per_s":0}}"#).is_err());
        for (hours, good) in [("1", true), ("87600", true), ("0", false), ("87601", false), ("null", true)] {
            assert_eq!(patched(&format!(r#"{{"quota":{{"keep_h":{hours}}}}}"#)).is_ok(), good, "{hours}");
        }
        assert!(patched(r#"{"quota":{"events_per_s":null}}"#).is_err(), "the burst would stay without a rate");
        assert!(patched(r#"{"suspended":true}"#).unwrap().suspended);
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        assert!(serde_json::from_str::<TenantPatch>(r#"{"suspend":true}"#).is_err());
        assert!(serde_json::from_str::<NewTenant>(r#"{"id":"a","quotas":{}}"#).is_err());
    }

    #[test]
    fn a_new_tenant_needs_a_free_and_well_formed_id() {
        let new = |id: &str| NewTenant { id: id.into(), name: None, quota: Quota::default() }.into_record(0);
        for bad in ["", "A", "a.b", "operator", "-a"] {
            assert!(new(bad).is_err(), "{bad}");
        }
    }
}
