//! Names in the lattice, and what they say of whose a thing is.
//!
//! wadm calls a part `<app>-<part>` and a configuration `<app>-<config>`, both in small letters, and makes every character
//! that is none of a-z and 0-9 an underscore. So there is one hyphen in a name, and of `acme-eu` and `acme_eu` one
//! cannot tell which it was: it is taken for the one with hyphens, which tenants' names have.

/// The manifest of what has none. No manifest can be called so.
pub const NOBODY: &str = "(nobody)";

/// A name as wadm makes them, with hyphens where the underscores are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The manifest.
    pub app: String,
    /// The part, or the configuration, as the manifest has it.
    pub part: String,
}

// === impl Name ===

impl Name {
    /// None: made by hand, or by another than wadm.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        let (app, part) = id.split_once('-')?;
        let good = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        (good(app) && good(part)).then(|| Self { app: app.replace('_', "-"), part: part.replace('_', "-") })
    }

    /// As [`Name::parse`]; what was named by hand is in a manifest that is none, which the policy may know or not.
    #[must_use]
    pub fn of_id(id: &str) -> Self {
        Self::parse(id).unwrap_or_else(|| Self { app: NOBODY.into(), part: id.into() })
    }

    /// What wadm would make of a name in a manifest.
    #[must_use]
    pub fn of(app: &str, part: &str) -> Self {
        Self { app: flat(app), part: flat(part) }
    }

    /// As policies name a configuration: it begins with its manifest's name, once.
    #[must_use]
    pub fn config(&self) -> String {
        let Self { app, part } = self;
        let own = part.strip_prefix(app.as_str()).is_some_and(|rest| rest.starts_with('-'));
        if own {
            part.clone()
        } else {
            format!("{app}-{part}")
        }
    }
}

/// A manifest's name, or a part's, as it comes back out of the lattice.
#[must_use]
pub fn flat(name: &str) -> String {
    name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(app: &str, part: &str) -> Name {
        Name { app: app.into(), part: part.into() }
    }

    #[test]
    fn ids_are_taken_apart_as_wadm_puts_them_together() {
        for (id, app, part) in [
            ("eventrunner-jetstream", "eventrunner", "jetstream"),
            ("eventrunner-ingest_http", "eventrunner", "ingest-http"),
            ("acme_eu_alert-rust_alert", "acme-eu-alert", "rust-alert"),
            ("a1-b2", "a1", "b2"),
        ] {
            assert_eq!(Name::parse(id), Some(name(app, part)), "{id}");
        }
    }

    #[test]
    fn what_wadm_did_not_name_has_no_app() {
        for id in ["", "-", "alert", "acme-", "-alert", "acme-rust-alert", "Acme-alert", "acme.x-y", "acme-a b", "ä-b"]
        {
            assert_eq!(Name::parse(id), None, "{id}");
        }
    }

    #[test]
    fn what_has_no_app_is_nobodys_whatever_it_is_called() {
        for id in ["eventrunner", "(nobody)", "eventrunner-Api"] {
            assert_eq!(Name::of_id(id), name(NOBODY, id));
        }
    }

    #[test]
    fn a_manifests_name_and_what_comes_back_of_it_are_the_same() {
        for (app, part) in [("acme-alert", "rust-alert"), ("Acme_Alert", "Rust.Alert"), ("acme-alert", "x")] {
            let made = format!("{}-{}", flat(app).replace('-', "_"), flat(part).replace('-', "_"));
            assert_eq!(Name::parse(&made), Some(Name::of(app, part)));
        }
    }

    #[test]
    fn a_configuration_begins_with_its_manifest_once() {
        for (id, config) in [
            ("acme_alert-acme_alert_delivery", "acme-alert-delivery"),
            ("acme_alert-delivery", "acme-alert-delivery"),
            ("acme_alert-acme_alert", "acme-alert-acme-alert"),
            ("acme_alert-acme_alertx", "acme-alert-acme-alertx"),
            ("eventrunner-ingest_http", "eventrunner-ingest-http"),
        ] {
            assert_eq!(Name::parse(id).unwrap().config(), config, "{id}");
        }
    }
}
