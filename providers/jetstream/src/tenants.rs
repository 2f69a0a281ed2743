//! What the pipeline needs of each tenant's records: which version of its rules counts (bucket `ER_RULES`), and how long
//! its events are kept (`ER_TENANTS`).

use anyhow::Context as _;
use er_tenant::rules::{tenant_of_current, Current, EVERY_CURRENT};
use er_tenant::TenantRecord;
use tracing::info;

use crate::follow::{Followed, Record};

/// A clone is a handle to the same.
#[derive(Debug, Clone)]
pub struct Tenants {
    pub rules: Followed<Current>,
    pub terms: Followed<Terms>,
}

/// How a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Hours that its events are kept; none is the store's own setting.
    keep_h: Option<u32>,
}

// === impl Tenants ===

impl Tenants {
    /// The version of its rules that counts for a tenant; none where no rule would run.
    pub fn rules_of(&self, tenant: &str) -> Option<u64> {
        self.rules.of(tenant).filter(|current| current.rules > 0).map(|current| current.version)
    }

    pub fn keep_h_of(&self, tenant: &str) -> Option<u32> {
        self.terms.of(tenant).and_then(|terms| terms.keep_h)
    }

    /// Which of a tenant's records can't be read: what it says is not known, so the tenant's events wait until it is mended.
    pub fn unreadable(&self, tenant: &str) -> Option<&'static str> {
        if self.terms.unreadable(tenant) {
            return Some("the record");
        }
        self.rules.unreadable(tenant).then_some("the current rules")
    }
}

impl Record for Current {
    const FILTER: &'static str = EVERY_CURRENT;

    fn owner(key: &str) -> Option<&str> {
        tenant_of_current(key)
    }

    fn parse(owner: &str, value: &[u8]) -> anyhow::Result<Self> {
        let current: Current = serde_json::from_slice(value).with_context(|| format!("the rules of {owner}"))?;
        info!(tenant = owner, version = current.version, rules = current.rules, "rules");
        Ok(current)
    }
}

impl Record for Terms {
    const FILTER: &'static str = "*";

    fn owner(key: &str) -> Option<&str> {
        Some(key)
    }

    fn parse(owner: &str, value: &[u8]) -> anyhow::Result<Self> {
        let record: TenantRecord = serde_json::from_slice(value).with_context(|| format!("the tenant {owner}"))?;
        Ok(Self { keep_h: record.quota.keep_h })
    }
}
