//! What a consumer is called where.

use er_deploy::app::part_id;
use er_tenant::consumers::valid_name;

use crate::record::Record;

/// A consumer's name whose every word begins with a letter: wadm's rule for components.
pub fn valid(name: &str) -> bool {
    valid_name(name) && name.split('-').all(|word| word.starts_with(|first: char| first.is_ascii_lowercase()))
}

/// The application in wadm.
pub fn app(tenant: &str, name: &str) -> String {
    format!("{tenant}-{name}")
}

/// The component in the lattice.
pub fn component_id(tenant: &str, name: &str) -> String {
    part_id(&app(tenant, name), name)
}

/// Another tenant whose name begins the application's and is longer than this tenant's: it is theirs by the policy's rule,
/// and one of their consumers could have the same.
pub fn rival<'a>(tenant: &str, name: &str, tenants: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let app = app(tenant, name);
    tenants.into_iter().find(|other| {
        other.len() > tenant.len()
            && app.strip_prefix(other).is_some_and(|rest| rest.starts_with('-') || rest.is_empty())
    })
}

/// Whether the application of that name is this record's. Of two tenants, one of whose names begins the other's, both may
/// have a consumer of it: then it is the one's that was deployed.
pub fn owns_app(record: &Record, all: &[Record]) -> bool {
    let rival = |other: &&Record| (&other.tenant, &other.name) != (&record.tenant, &record.name);
    record.deployed.is_some()
        || !all.iter().filter(rival).any(|other| app(&other.tenant, &other.name) == app(&record.tenant, &record.name))
}

#[cfg(test)]
mod tests {
    use er_tenant::consumers::NAME_CHARS_MAX;

    use super::*;

    #[test]
    fn who_never_ran_takes_down_nobody_elses_application() {
        let record = |tenant: &str, name: &str, deployed| {
            let mut record = Record::new(tenant, name);
            record.deployed = deployed;
            record
        };
        let (refused, runs) = (record("acme", "eu-alert", None), record("acme-eu", "alert", Some(1)));
        let all = [refused, runs, record("acme", "alert", None)];
        let owns: Vec<_> = all.iter().map(|record| owns_app(record, &all)).collect();
        assert_eq!(owns, [false, true, true]);
        assert!(owns_app(&all[0], &all[..1]));
    }

    #[test]
    fn names_are_words_joined_by_single_hyphens() {
        let long = "a".repeat(NAME_CHARS_MAX);
        for good in ["a", "alert", "rust-alert", "a1-b2-c3", &long] {
            assert!(valid(good), "{good}");
        }
        let longer = "a".repeat(NAME_CHARS_MAX + 1);
        for bad in ["", "-", "a-", "-a", "a--b", "1a", "a-1", "A", "a_b", "a.b", "a b", "ä", "../a", &longer] {
            assert!(!valid(bad), "{bad}");
        }
    }

    #[test]
    fn an_application_that_could_be_two_tenants_is_the_longer_ones() {
        let tenants = ["acme", "acme-eu", "acme-e"];
        assert_eq!(rival("acme", "eu-x", tenants), Some("acme-eu"));
        assert_eq!(rival("acme", "eu", tenants), Some("acme-eu"));
        assert_eq!(rival("acme-eu", "x", tenants), None);
        assert_eq!(rival("acme", "europe", tenants), None);
        assert_eq!(component_id("acme-eu", "rust-alert"), "acme_eu_rust_alert-rust_alert");
    }
}
