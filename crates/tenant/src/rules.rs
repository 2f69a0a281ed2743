//! Where a tenant's rules rest, version by version.
//!
//! Every change of any of the tenant's rule texts makes a new version of the whole set: who made it, its texts and its
//! compiled form, each under a key that never changes. Which version counts is one more key, changed last, so that
//! nobody sees half a change. Owns: keys and shapes. Does not own: what a rule is (crates `grl`, `er-rules`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// Bucket of all tenants' rules.
pub const RULES_BUCKET: &str = "ER_RULES";
/// Every tenant's [`Current`], as a filter over [`RULES_BUCKET`].
pub const EVERY_CURRENT: &str = "*.current";
/// Versions kept to go back to; older ones are forgotten.
pub const VERSIONS_MAX: u64 = 100;
/// Rule texts of one tenant.
pub const TEXTS_MAX: usize = 200;
/// Rules of one tenant, over all texts.
pub const RULES_MAX: usize = 10_000;
/// A rule text's name.
pub const NAME_CHARS_MAX: usize = 64;

/// The version of the set without rules, which nobody saved: events pass it as they are.
pub const NO_RULES: u64 = 0;

/// Which version counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// 0: there was never one.
    pub version: u64,
    /// Rules of that version. None of them: events pass it by.
    pub rules: usize,
}

/// The texts of one version by their names; compiled in that order.
pub type Texts = BTreeMap<String, Text>;

/// Who made a version, and what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "RulesVersion"))]
pub struct Version {
    pub version: u64,
    /// RFC 3339.
    pub time: String,
    /// The key that did it.
    pub by: String,
    /// What was done, for people: `put alerts`, `delete alerts`, `roll back to 3`.
    pub change: String,
    /// Rules of all texts.
    pub rules: usize,
    /// Names of the texts.
    pub texts: Vec<String>,
}

/// One rule text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    pub language: Language,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Grl,
    /// Grule's JSON rules.
    Json,
}

pub fn current_path(tenant: &str) -> String {
    format!("{tenant}.current")
}

/// The tenant whose [`Current`] rests under this key.
pub fn tenant_of_current(key: &str) -> Option<&str> {
    key.strip_suffix(".current")
}

/// Where a [`Version`] rests.
pub fn version_path(tenant: &str, version: u64) -> String {
    format!("{tenant}.version.{version}")
}

/// Every [`Version`] of a tenant, as a filter over [`RULES_BUCKET`].
pub fn versions_of(tenant: &str) -> String {
    format!("{tenant}.version.*")
}

/// Where a version's [`Texts`] rest, packed.
pub fn texts_path(tenant: &str, version: u64) -> String {
    format!("{tenant}.texts.{version}")
}

/// Where a version's compiled form rests, packed.
pub fn set_path(tenant: &str, version: u64) -> String {
    format!("{tenant}.set.{version}")
}

/// Whether a rule text may have this name: `[a-z0-9][a-z0-9-]*`, safe in a path.
pub fn valid_text_name(name: &str) -> Result<(), Invalid> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let first = name.bytes().next().is_some_and(plain);
    if first && name.len() <= NAME_CHARS_MAX && name.bytes().all(|byte| plain(byte) || byte == b'-') {
        return Ok(());
    }
    Err(Invalid(format!("`{name}`: a rule text's name is 1 to {NAME_CHARS_MAX} of a-z, 0-9 and -")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_back_as_written() {
        let text = Text { language: Language::Grl, text: "rule A { when true then Complete(); }".into() };
        let texts = Texts::from([("a".to_owned(), text)]);
        let json = serde_json::to_string(&texts).unwrap();
        assert!(json.contains(r#""language":"grl""#), "{json}");
        assert_eq!(serde_json::from_str::<Texts>(&json).unwrap(), texts);
        let version = Version {
            version: 7,
            time: "2026-01-01T00:00:00Z".into(),
            by: "key 0123".into(),
            change: "put a".into(),
            rules: 1,
            texts: vec!["a".into()],
        };
        let json = serde_json::to_string(&version).unwrap();
        assert_eq!(serde_json::from_str::<Version>(&json).unwrap(), version);
    }

    #[test]
    fn the_tenant_is_found_in_the_key_of_what_counts() {
        assert_eq!(tenant_of_current(&current_path("acme")), Some("acme"));
        assert_eq!(tenant_of_current(&set_path("acme", 3)), None);
    }

    #[test]
    fn names_of_texts_are_safe_in_a_path() {
        for good in ["a", "alerts-2", "0"] {
            assert!(valid_text_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a.b", "a/b", "ä", &"a".repeat(65)] {
            assert!(valid_text_name(bad).is_err(), "{bad}");
        }
    }
}
