//! What a consumer is called where.

/// As the API says it, and as jetstream looks records up.
const NAME_CHARS_MAX: usize = 40;

/// `[a-z][a-z0-9]*` joined by single hyphens: wadm's rule for components, and unchanged by its hyphens to underscores and
/// back.
pub fn valid(name: &str) -> bool {
    let word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= NAME_CHARS_MAX && name.split('-').all(word)
}

/// The application in wadm.
pub fn app(tenant: &str, name: &str) -> String {
    format!("{tenant}-{name}")
}

/// The component in the lattice: wadm makes it of the application's name and the component's.
pub fn component_id(tenant: &str, name: &str) -> String {
    [app(tenant, name), name.to_owned()].map(|part| part.replace('-', "_")).join("-")
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

#[cfg(test)]
mod tests {
    use super::*;

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
