//! What is asked of the policy about one request, and what is refused whatever it says.

use std::collections::BTreeMap;

use er_question::{Input, Part, PartType};

use crate::image::Facts;
use crate::names::Name;

pub type Settings = BTreeMap<String, String>;

/// One thing that a request would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What it is about, for a person: `link acme-alert/alert -> eventrunner/jetstream (emitter)`.
    pub about: String,
    /// What the policy is asked, as JSON; none where there is nothing to ask.
    pub asked: Option<String>,
    /// Why it is refused whatever the policy says.
    pub fault: Option<String>,
}

/// A link as it would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub source: Name,
    pub target: Name,
    pub package: String,
    pub interfaces: Vec<String>,
    /// Settings of each end.
    pub configs: [Settings; 2],
}

/// A start as it would be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub name: Name,
    pub part_type: PartType,
    pub image: String,
    /// What the image holds; else why that is not known.
    pub facts: Result<Facts, String>,
    /// The host's label `eventrunner.role`.
    pub role: Option<String>,
}

// === impl Question ===

impl Question {
    fn ask(about: String, input: &Input<'_>) -> Self {
        match input.text() {
            Ok(asked) => Self { about, asked: Some(asked), fault: None },
            Err(error) => Self::refused(about, error),
        }
    }

    #[must_use]
    pub fn refused(about: impl Into<String>, why: impl Into<String>) -> Self {
        Self { about: about.into(), asked: None, fault: Some(why.into()) }
    }

    /// What the policy does not look at.
    #[must_use]
    pub fn but(mut self, fault: Option<String>) -> Self {
        self.fault = self.fault.or(fault);
        self
    }

    /// `owner` says whose a manifest is; none is the platform's, or nobody's.
    #[must_use]
    pub fn link<'a>(link: &'a Link, owner: impl Fn(&'a str) -> Option<&'a str>) -> Self {
        let Link { source, target, interfaces, .. } = link;
        let interfaces = interfaces.join(", ");
        let about = format!("link {}/{} -> {}/{} ({interfaces})", source.app, source.part, target.app, target.part);
        // It is made by the one that is not the platform's; where both are, or none is, by the one that calls.
        let (manifest, tenant) = match (owner(&source.app), owner(&target.app)) {
            (None, Some(fed)) => (&target.app, Some(fed)),
            (calling, _) => (&source.app, calling),
        };
        let [one, other] = &link.configs;
        // Which of the two counts, the policy could not tell.
        let torn = one.iter().find(|(key, value)| other.get(*key).is_some_and(|own| own != *value));
        let fault = torn.map(|(key, _)| format!("its two ends have different values of the setting {key}"));
        let part = |name: &'a Name| Part { app: &name.app, name: &name.part };
        let question = er_question::Link {
            manifest,
            tenant,
            source: part(source),
            target: part(target),
            package: &link.package,
            interfaces: link.interfaces.iter().map(String::as_str).collect(),
            config: one.iter().chain(other).map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        };
        Self::ask(about, &Input::Link(question)).but(fault)
    }

    #[must_use]
    pub fn start<'a>(start: &'a Start, owner: impl Fn(&'a str) -> Option<&'a str>) -> Self {
        let Start { name: Name { app, part }, image, facts, .. } = start;
        let what = match start.part_type {
            PartType::Component => "component",
            PartType::Provider => "provider",
        };
        let tenant = owner(app);
        // A tenant's code is judged by what it imports; the platform's is by where it comes from.
        let fault = facts.as_ref().err().filter(|_| tenant.is_some()).map(|why| format!("image {image}: {why}"));
        let nothing = Facts::default();
        let facts = facts.as_ref().unwrap_or(&nothing);
        let question = er_question::Start {
            manifest: app,
            tenant,
            part_type: start.part_type,
            image,
            imports: facts.imports.iter().map(String::as_str).collect(),
            issuer: facts.issuer.as_deref(),
            host: er_question::Host { role: start.role.as_deref() },
        };
        Self::ask(format!("{what} {app}/{part}"), &Input::Start(question)).but(fault)
    }

    #[must_use]
    pub fn config<'a>(name: &'a Name, settings: &'a Settings, owner: impl Fn(&'a str) -> Option<&'a str>) -> Self {
        let full = name.config();
        let about = format!("configuration {full}");
        let config = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let question = er_question::Config { manifest: &name.app, tenant: owner(&name.app), name: &full, config };
        Self::ask(about, &Input::Config(question))
    }

    #[must_use]
    pub fn control(operation: &str, subject: &str) -> Self {
        Self::ask(format!("{operation} {subject}"), &Input::Control(er_question::Control { operation, subject }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    fn owner(manifest: &str) -> Option<&str> {
        ["acme", "globex"].into_iter().find(|tenant| manifest.starts_with(&format!("{tenant}-")))
    }

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn link(source: &str, target: &str, configs: [Settings; 2]) -> Question {
        let [source, target] = [source, target].map(|id| Name::parse(id).unwrap());
        let interfaces = vec!["emitter".to_owned()];
        let link = Link { source, target, package: "eventrunner:platform".into(), interfaces, configs };
        Question::link(&link, owner)
    }

    fn asked(question: &Question) -> Value {
        serde_json::from_str(question.asked.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn a_link_is_of_the_tenant_at_either_end() {
        for (source, target, manifest, tenant) in [
            ("acme_alert-alert", "eventrunner-jetstream", "acme-alert", json!("acme")),
            ("eventrunner-jetstream", "acme_alert-alert", "acme-alert", json!("acme")),
            ("acme_alert-alert", "globex_x-y", "acme-alert", json!("acme")),
            ("eventrunner-api", "eventrunner-jetstream", "eventrunner", json!(null)),
            ("nobody_x-y", "eventrunner-jetstream", "nobody-x", json!(null)),
        ] {
            let question = asked(&link(source, target, Default::default()));
            assert_eq!((&question["manifest"], &question["tenant"]), (&json!(manifest), &tenant), "{source} {target}");
        }
    }

    #[test]
    fn a_link_is_asked_with_the_settings_of_both_ends() {
        let question = link(
            "acme_alert-rust_alert",
            "eventrunner-jetstream",
            [settings(&[("types", "*")]), settings(&[("tenant", "acme")])],
        );
        assert_eq!(
            asked(&question),
            json!({
                "kind": "link", "manifest": "acme-alert", "tenant": "acme",
                "source": {"app": "acme-alert", "name": "rust-alert"},
                "target": {"app": "eventrunner", "name": "jetstream"},
                "package": "eventrunner:platform", "interfaces": ["emitter"],
                "config": {"tenant": "acme", "types": "*"},
            })
        );
        assert_eq!(question.fault, None);
    }

    #[test]
    fn ends_that_say_different_things_are_refused() {
        let torn = [settings(&[("tenant", "acme")]), settings(&[("tenant", "globex")])];
        let question = link("acme_alert-alert", "eventrunner-jetstream", torn);
        assert!(question.fault.unwrap().contains("tenant"));
    }

    #[test]
    fn a_tenants_image_that_cannot_be_read_is_refused_and_the_platforms_is_not() {
        let start = |id: &str| Start {
            name: Name::parse(id).unwrap(),
            part_type: PartType::Component,
            image: "file:///x.wasm".into(),
            facts: Err("is not there".into()),
            role: Some("tenant".into()),
        };
        let tenants = start("acme_alert-alert");
        assert_eq!(Question::start(&tenants, owner).fault.unwrap(), "image file:///x.wasm: is not there");
        let platforms = start("eventrunner-api");
        assert_eq!(Question::start(&platforms, owner).fault, None);
    }

    #[test]
    fn a_start_is_asked_with_what_the_image_holds_and_where_it_would_run() {
        let start = Start {
            name: Name::parse("acme_alert-alert").unwrap(),
            part_type: PartType::Component,
            image: "file:///x.wasm".into(),
            facts: Ok(Facts { imports: vec!["wasi:cli/environment@0.2.6".into()], issuer: Some("A1".into()) }),
            role: Some("tenant".into()),
        };
        assert_eq!(
            asked(&Question::start(&start, owner)),
            json!({
                "kind": "start", "manifest": "acme-alert", "tenant": "acme", "type": "component",
                "image": "file:///x.wasm", "imports": ["wasi:cli/environment@0.2.6"], "issuer": "A1",
                "host": {"role": "tenant"},
            })
        );
    }
}
