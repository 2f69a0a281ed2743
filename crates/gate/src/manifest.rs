//! A manifest: everything that wadm would do with it, asked at once.

use er_provider_opa::data::Names;
use er_question::PartType;
use wadm_types::{
    ConfigProperty, LinkProperty, Manifest, Properties, SharedApplicationComponentProperties, TraitProperty,
};

use crate::image::Images;
use crate::lattice::ROLE;
use crate::names::{flat, Name};
use crate::question::{Link, Question, Settings, Start};

/// A manifest, with what its images hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    app: String,
    starts: Vec<Start>,
    links: Vec<Link>,
    configs: Vec<(Name, Settings)>,
    /// Configurations that are referred to, and whether they are this manifest's own.
    referred: Vec<(String, bool)>,
    /// Parts with an id of their own choice, by which nobody can tell whose they are.
    named: Vec<String>,
    /// Whether it reads secrets.
    secrets: bool,
}

/// Of a component, whatever kind it is of.
struct Part<'a> {
    part_type: PartType,
    image: Option<&'a str>,
    application: Option<&'a SharedApplicationComponentProperties>,
    id: Option<&'a str>,
    config: &'a [ConfigProperty],
    secrets: bool,
}

// === impl Part ===

impl<'a> Part<'a> {
    fn of(properties: &'a Properties) -> Self {
        match properties {
            Properties::Component { properties } => Self {
                part_type: PartType::Component,
                image: properties.image.as_deref(),
                application: properties.application.as_ref(),
                id: properties.id.as_deref(),
                config: &properties.config,
                secrets: !properties.secrets.is_empty(),
            },
            Properties::Capability { properties } => Self {
                part_type: PartType::Provider,
                image: properties.image.as_deref(),
                application: properties.application.as_ref(),
                id: properties.id.as_deref(),
                config: &properties.config,
                secrets: !properties.secrets.is_empty(),
            },
        }
    }

    /// As wadm names it: a part of another application keeps that one's name.
    fn name(&self, manifest: &str, component: &str) -> Name {
        match self.application {
            Some(shared) => Name::of(&shared.name, &shared.component),
            None => Name::of(manifest, component),
        }
    }
}

// === impl Application ===

impl Application {
    pub async fn gather(manifest: &Manifest, images: &Images) -> Self {
        let mut application = Self::of(manifest);
        for start in &mut application.starts {
            start.facts = images.facts(&start.image, start.part_type).await;
        }
        application
    }

    /// Without a look into the images.
    fn of(manifest: &Manifest) -> Self {
        let name = &manifest.metadata.name;
        let mut application = Self {
            app: flat(name),
            starts: Vec::new(),
            links: Vec::new(),
            configs: Vec::new(),
            referred: Vec::new(),
            named: Vec::new(),
            secrets: !manifest.spec.policies.is_empty(),
        };
        for component in &manifest.spec.components {
            let part = Part::of(&component.properties);
            let own = part.name(name, &component.name);
            application.secrets |= part.secrets;
            if part.id.is_some() {
                application.named.push(component.name.clone());
            }
            application.settings(part.config);
            if let Some(image) = part.image {
                application.starts.push(Start {
                    name: own.clone(),
                    part_type: part.part_type,
                    image: image.to_owned(),
                    facts: Err("it was not looked into".into()),
                    role: role(component.traits.iter().flatten().map(|part| &part.properties)),
                });
            }
            // Whatever type a trait is said to be of.
            for part in component.traits.iter().flatten() {
                if let TraitProperty::Link(link) = &part.properties {
                    application.link(manifest, &own, link);
                }
            }
        }
        application
    }

    fn link(&mut self, manifest: &Manifest, source: &Name, link: &LinkProperty) {
        let target = manifest.spec.components.iter().find(|component| component.name == link.target.name);
        let target = match target {
            Some(component) => Part::of(&component.properties).name(&manifest.metadata.name, &component.name),
            // wadm refuses it, or takes it for a part of this manifest.
            None => Name::of(&manifest.metadata.name, &link.target.name),
        };
        let sources = link.source.as_ref().map_or(&[][..], |source| &source.config);
        self.secrets |= !link.target.secrets.is_empty();
        self.secrets |= link.source.as_ref().is_some_and(|source| !source.secrets.is_empty());
        let configs = [self.settings(sources), self.settings(&link.target.config)];
        self.links.push(Link {
            source: source.clone(),
            target,
            package: format!("{}:{}", link.namespace, link.package),
            interfaces: link.interfaces.clone(),
            configs,
        });
    }

    /// Notes configurations; all their settings, of two values the later one.
    fn settings(&mut self, configs: &[ConfigProperty]) -> Settings {
        let mut all = Settings::new();
        for config in configs {
            match &config.properties {
                Some(properties) => {
                    let settings: Settings =
                        properties.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
                    all.extend(settings.clone());
                    self.configs.push((Name { app: self.app.clone(), part: flat(&config.name) }, settings));
                }
                None => {
                    let own = Name::parse(&config.name).is_some_and(|name| name.app == self.app);
                    self.referred.push((config.name.clone(), own));
                }
            }
        }
        all
    }

    /// All that the policy is asked about it.
    #[must_use]
    pub fn questions(&self, names: &Names) -> Vec<Question> {
        let owner = |manifest| names.owner(manifest);
        let tenant = owner(&self.app);
        let mut questions: Vec<Question> = self.starts.iter().map(|start| Question::start(start, owner)).collect();
        for (name, settings) in &self.configs {
            let question = Question::config(name, settings, owner);
            // A configuration that several parts have is one.
            if !questions.contains(&question) {
                questions.push(question);
            }
        }
        questions.extend(self.links.iter().map(|link| Question::link(link, owner)));
        for (config, own) in &self.referred {
            if tenant.is_some() || !own {
                let why = "it has no properties here, and is not this manifest's own to refer to";
                questions.push(Question::refused(format!("configuration {config}"), why));
            }
        }
        for part in &self.named {
            questions.push(Question::refused(
                format!("part {part}"),
                "it has an id of its own choice, by which nobody can tell whose it is; leave `id` out",
            ));
        }
        if tenant.is_some() && self.secrets {
            questions.push(Question::refused("secrets", "a tenant's manifest has none; use the environment"));
        }
        if questions.is_empty() {
            // Nothing would be done: not even that for who is unknown.
            let name = Name { app: self.app.clone(), part: self.app.clone() };
            questions.push(Question::config(&name, &Settings::new(), owner));
        }
        questions
    }
}

/// The role that all hosts must have on which a part may be put.
fn role<'a>(traits: impl Iterator<Item = &'a TraitProperty>) -> Option<String> {
    let mut roles = traits.filter_map(|part| match part {
        TraitProperty::SpreadScaler(scaler) => Some(scaler),
        TraitProperty::Link(_) | TraitProperty::Custom(_) => None,
    });
    let of = |scaler: &wadm_types::SpreadScalerProperty| -> Option<String> {
        let (first, rest) = scaler.spread.split_first()?;
        let role = first.requirements.get(ROLE)?;
        rest.iter().all(|spread| spread.requirements.get(ROLE) == Some(role)).then(|| role.clone())
    };
    let role = of(roles.next()?)?;
    roles.all(|scaler| of(scaler).as_ref() == Some(&role)).then_some(role)
}

/// A manifest as wadm would read it.
///
/// # Errors
/// What is wrong with it.
pub fn parse(payload: &[u8], content_type: Option<&str>) -> Result<Manifest, String> {
    // wadm's types panic over a link whose names are no texts.
    let parsed = std::panic::catch_unwind(|| read(payload, content_type));
    parsed.unwrap_or_else(|_| Err("a link's namespace, package, name or interfaces are no texts".into()))
}

fn read(payload: &[u8], content_type: Option<&str>) -> Result<Manifest, String> {
    match content_type {
        Some("application/json") => serde_json::from_slice(payload).map_err(|error| error.to_string()),
        // All JSON is YAML.
        None | Some("application/yaml") => serde_yaml::from_slice(payload).map_err(|error| error.to_string()),
        Some(other) => Err(format!("it is {other}, and must be application/yaml or application/json")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, Value};

    use super::*;

    const CONSUMER: &str = include_str!("../../../wadm/consumer.yaml");
    const PLATFORM: &str = include_str!("../../../wadm/eventrunner.yaml");

    fn names() -> Names {
        Names::of(&json!({"platform": {"manifests": ["eventrunner"], "tenants": {"demo": {}, "acme": {}}}}))
    }

    fn questions(manifest: &str) -> Vec<Question> {
        let mut application = Application::of(&parse(manifest.as_bytes(), None).unwrap());
        for start in &mut application.starts {
            start.facts = Ok(crate::image::Facts::default());
        }
        application.questions(&names())
    }

    fn asked(question: &Question) -> Value {
        serde_json::from_str(question.asked.as_deref().unwrap()).unwrap()
    }

    #[test]
    fn all_of_a_consumers_manifest_is_asked_in_its_tenants_name() {
        let questions = questions(CONSUMER);
        let all: Vec<Value> = questions.iter().map(asked).collect();
        let kinds: Vec<&str> = all.iter().map(|question| question["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["start", "config", "config", "link", "link"]);
        assert!(all.iter().all(|question| question["tenant"] == "demo" && question["manifest"] == "demo-rust-alert"));
        assert_eq!(all[0]["host"], json!({"role": "tenant"}));
        assert_eq!(all[1]["name"], "demo-rust-alert-emitter");
        assert_eq!(all[2]["config"]["tenant"], "demo");
        assert_eq!(all[3]["target"], json!({"app": "eventrunner", "name": "jetstream"}));
        assert_eq!(all[4]["source"], json!({"app": "eventrunner", "name": "jetstream"}));
        assert_eq!(all[4]["target"], json!({"app": "demo-rust-alert", "name": "rust-alert"}));
        assert_eq!(all[4]["config"]["types"], "*");
        assert!(questions.iter().all(|question| question.fault.is_none()));
    }

    #[test]
    fn all_of_the_platforms_manifest_is_the_platforms() {
        let all: Vec<Value> = questions(PLATFORM).iter().map(asked).collect();
        assert!(all.len() > 25);
        assert!(all.iter().all(|question| question["tenant"].is_null() && question["manifest"] == "eventrunner"));
    }

    #[test]
    fn a_part_of_another_application_is_that_ones() {
        let manifest =
            CONSUMER.replace("{ name: eventrunner, component: jetstream }", "{ name: acme-x, component: y }");
        let link = asked(&questions(&manifest)[4]);
        assert_eq!(link["source"], json!({"app": "acme-x", "name": "y"}));
    }

    #[test]
    fn what_could_run_anywhere_has_no_role() {
        for (from, to) in [
            ("requirements: { eventrunner.role: tenant }", "requirements: { zone: a }"),
            (
                "                requirements: { eventrunner.role: tenant }",
                "                requirements: { eventrunner.role: tenant }\n              - name: more\n                \
                 requirements: { eventrunner.role: platform }",
            ),
        ] {
            let manifest = CONSUMER.replace(from, to);
            assert_ne!(manifest, CONSUMER);
            assert_eq!(asked(&questions(&manifest)[0])["host"], json!({"role": null}));
        }
    }

    #[test]
    fn ids_references_and_secrets_are_refused() {
        let fault = |from: &str, to: &str, about: &str| {
            let manifest = CONSUMER.replace(from, to);
            assert_ne!(manifest, CONSUMER);
            questions(&manifest).iter().any(|question| question.about.contains(about) && question.fault.is_some())
        };
        let image = "image: file://../build/er_rust_alert.wasm";
        assert!(fault(image, &format!("{image}\n        id: eventrunner-api"), "part rust-alert"));
        let config = format!("{image}\n        config: [{{ name: eventrunner-jetstream }}]");
        assert!(fault(image, &config, "configuration eventrunner-jetstream"));
        let own = format!("{image}\n        config: [{{ name: demo_rust_alert-x }}]");
        assert!(fault(image, &own, "configuration demo_rust_alert-x"));
        let secret = format!("{image}\n        secrets: [{{ name: s, properties: {{ policy: p, key: k }} }}]");
        assert!(fault(image, &secret, "secrets"));
    }

    #[test]
    fn an_empty_manifest_is_asked_about_too() {
        let manifest = "{apiVersion: x, kind: y, metadata: {name: evil, annotations: {}}, spec: {components: []}}";
        assert_eq!(asked(&questions(manifest)[0])["manifest"], "evil");
    }

    #[test]
    fn a_manifest_is_read_as_its_sender_says() {
        assert!(parse(CONSUMER.as_bytes(), Some("application/yaml")).is_ok());
        let json = serde_json::to_vec(&parse(CONSUMER.as_bytes(), None).unwrap()).unwrap();
        for content_type in [None, Some("application/json"), Some("application/yaml")] {
            assert!(parse(&json, content_type).is_ok(), "{content_type:?}");
        }
        assert!(parse(CONSUMER.as_bytes(), Some("application/json")).is_err());
        assert!(parse(CONSUMER.replace("package: platform", "package: 7").as_bytes(), None).is_err());
        assert!(parse(&json, Some("text/plain")).unwrap_err().contains("text/plain"));
    }
}
