//! Requests of the control interface: which of them only read, and what the others would change.

use std::collections::HashMap;

use er_provider_opa::data::Names;
use er_question::PartType;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use wasmcloud_control_interface::{
    DeleteInterfaceLinkDefinitionRequest, Link as LinkPut, ScaleComponentCommand, StartProviderCommand,
    StopProviderCommand, UpdateComponentCommand,
};

use crate::image::Images;
use crate::lattice::Lattice;
use crate::names::Name;
use crate::question::{Link, Question, Settings, Start};

/// What a subject asks for, behind `wasmbus.ctl.v1.<lattice>.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// How the gate is.
    Gate,
    /// Read; one answers.
    Read,
    /// Read; all answer.
    ReadAll,
    LinkPut,
    LinkDelete,
    ConfigPut(&'a str),
    ConfigDelete(&'a str),
    Scale,
    Update,
    ProviderStart,
    ProviderStop,
    LabelPut,
    LabelDelete,
    HostStop(&'a str),
    RegistryPut,
    Unknown,
}

/// What a request would do, with all that is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Link {
        link: Link,
        /// Names of the configurations of both ends.
        configs: Vec<String>,
        fault: Option<String>,
    },
    Start {
        start: Start,
        /// Names of the part's configurations.
        configs: Vec<String>,
    },
    Config {
        name: Name,
        settings: Settings,
    },
    Other {
        operation: &'static str,
        subject: String,
    },
}

/// As hosts read it.
#[derive(Deserialize)]
struct Label {
    key: String,
}

// === impl Operation ===

impl<'a> Operation<'a> {
    #[must_use]
    pub fn parse(rest: &'a str) -> Self {
        let tokens: Vec<&str> = rest.split('.').collect();
        match *tokens.as_slice() {
            ["gate", "get"] => Self::Gate,
            ["host", "ping"] | ["component" | "provider", "auction"] => Self::ReadAll,
            ["host" | "config", "get", _] | ["link" | "claims", "get"] => Self::Read,
            ["link", "put"] => Self::LinkPut,
            ["link", "del"] => Self::LinkDelete,
            ["config", "put", name] => Self::ConfigPut(name),
            ["config", "del", name] => Self::ConfigDelete(name),
            ["component", "scale", _] => Self::Scale,
            ["component", "update", _] => Self::Update,
            ["provider", "start", _] => Self::ProviderStart,
            ["provider", "stop", _] => Self::ProviderStop,
            ["label", "put", _] => Self::LabelPut,
            ["label", "del", _] => Self::LabelDelete,
            ["host", "stop", host] => Self::HostStop(host),
            ["registry", "put"] => Self::RegistryPut,
            _ => Self::Unknown,
        }
    }

    /// Whether every host is to hear of it.
    #[must_use]
    pub fn is_for_all(self) -> bool {
        matches!(self, Self::ReadAll | Self::RegistryPut)
    }
}

// === impl Change ===

impl Change {
    /// What a request would do. `rest` is its subject behind the lattice's name.
    ///
    /// # Errors
    /// A request that can't be read.
    pub async fn gather(rest: &str, payload: &[u8], lattice: &Lattice, images: &Images) -> Result<Self, String> {
        let host = rest.rsplit('.').next().unwrap_or_default();
        Ok(match Operation::parse(rest) {
            Operation::LinkPut => Self::link(&read(payload)?, lattice).await,
            Operation::LinkDelete => {
                let request: DeleteInterfaceLinkDefinitionRequest = read(payload)?;
                Self::other("link-del", request.source_id())
            }
            Operation::ConfigPut(name) => {
                let settings: HashMap<String, String> = read(payload)?;
                Self::Config { name: Name::of_id(name), settings: settings.into_iter().collect() }
            }
            Operation::ConfigDelete(name) => Self::other("config-del", name),
            Operation::Scale => {
                let command: ScaleComponentCommand = read(payload)?;
                if command.max_instances() == 0 {
                    return Ok(Self::other("component-stop", command.component_id()));
                }
                let (id, image) = (command.component_id(), command.component_ref());
                let start = start(PartType::Component, id, image, host, lattice, images).await;
                Self::Start { start, configs: command.config().clone() }
            }
            Operation::Update => {
                let command: UpdateComponentCommand = read(payload)?;
                let (id, image) = (command.component_id(), command.new_component_ref());
                let start = start(PartType::Component, id, image, host, lattice, images).await;
                Self::Start { start, configs: Vec::new() }
            }
            Operation::ProviderStart => {
                let command: StartProviderCommand = read(payload)?;
                let (id, image) = (command.provider_id(), command.provider_ref());
                let start = start(PartType::Provider, id, image, host, lattice, images).await;
                Self::Start { start, configs: command.config().clone() }
            }
            Operation::ProviderStop => {
                let command: StopProviderCommand = read(payload)?;
                Self::other("provider-stop", command.provider_id())
            }
            Operation::LabelPut => Self::other("label-put", &read::<Label>(payload)?.key),
            Operation::LabelDelete => Self::other("label-del", &read::<Label>(payload)?.key),
            Operation::HostStop(host) => Self::other("host-stop", host),
            Operation::RegistryPut => Self::other("registry-put", "registries"),
            Operation::Gate | Operation::Read | Operation::ReadAll | Operation::Unknown => {
                return Err("it is no change that anybody knows".into());
            }
        })
    }

    fn other(operation: &'static str, subject: &str) -> Self {
        Self::Other { operation, subject: subject.to_owned() }
    }

    async fn link(put: &LinkPut, lattice: &Lattice) -> Self {
        let mut fault = None;
        let mut ends = [Settings::new(), Settings::new()];
        for (settings, names) in ends.iter_mut().zip([put.source_config(), put.target_config()]) {
            for name in names {
                match lattice.config(name).await {
                    // As hosts do: of two values the later one counts.
                    Ok(more) => settings.extend(more),
                    Err(why) => fault = fault.or(Some(why)),
                }
            }
        }
        let link = Link {
            source: Name::of_id(put.source_id()),
            target: Name::of_id(put.target()),
            package: format!("{}:{}", put.wit_namespace(), put.wit_package()),
            interfaces: put.interfaces().clone(),
            configs: ends,
        };
        let configs = put.source_config().iter().chain(put.target_config()).cloned().collect();
        Self::Link { link, configs, fault }
    }

    /// What the policy is asked about it.
    #[must_use]
    pub fn questions(&self, names: &Names) -> Vec<Question> {
        let owner = |manifest| names.owner(manifest);
        vec![match self {
            Self::Link { link, configs, fault } => {
                let makers: Vec<&str> = match [&link.source.app, &link.target.app].map(|app| (owner(app), app)) {
                    [(Some(_), app), _] | [(None, _), (Some(_), app)] => vec![app],
                    [(None, one), (None, other)] => vec![one, other],
                };
                let foreign = configs.iter().find_map(|config| foreign(config, &makers));
                let environment = configs.iter().find(|config| {
                    Name::parse(config).is_some_and(|name| name.config() == format!("{}-env", name.app))
                });
                let environment =
                    environment.map(|config| format!("{config} is an environment, not a link's settings"));
                Question::link(link, owner).but(fault.clone().or(foreign).or(environment))
            }
            Self::Start { start, configs } => {
                let foreign = configs.iter().find_map(|config| foreign(config, &[&start.name.app]));
                Question::start(start, owner).but(foreign)
            }
            Self::Config { name, settings } => Question::config(name, settings, owner),
            Self::Other { operation, subject } => Question::control(operation, subject),
        }]
    }
}

/// Why a configuration may not be used by these manifests: it is of another one, and whose it is nobody was asked.
fn foreign(config: &str, makers: &[&str]) -> Option<String> {
    let own = Name::parse(config).is_some_and(|name| makers.contains(&name.app.as_str()));
    (!own).then(|| format!("configuration {config} is none of {}", makers.join(" or ")))
}

async fn start(part_type: PartType, id: &str, image: &str, host: &str, lattice: &Lattice, images: &Images) -> Start {
    let (facts, role) = tokio::join!(images.facts(image, part_type), lattice.role(host));
    Start { name: Name::of_id(id), part_type, image: image.to_owned(), facts, role }
}

fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| format!("the request can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names() -> Names {
        Names::of(&json!({"platform": {
            "manifests": ["eventrunner"],
            "tenants": {"acme": {}, "globex": {}},
        }}))
    }

    fn link(source: &str, target: &str, configs: &[&str]) -> Question {
        let link = Link {
            source: Name::of_id(source),
            target: Name::of_id(target),
            package: "eventrunner:platform".into(),
            interfaces: vec!["emitter".into()],
            configs: Default::default(),
        };
        let configs = configs.iter().map(|name| (*name).to_owned()).collect();
        Change::Link { link, configs, fault: None }.questions(&names()).remove(0)
    }

    #[test]
    fn every_subject_is_known_or_refused() {
        for (rest, operation) in [
            ("host.ping", Operation::ReadAll),
            ("component.auction", Operation::ReadAll),
            ("provider.auction", Operation::ReadAll),
            ("host.get.NABC", Operation::Read),
            ("link.get", Operation::Read),
            ("claims.get", Operation::Read),
            ("config.get.x", Operation::Read),
            ("link.put", Operation::LinkPut),
            ("link.del", Operation::LinkDelete),
            ("config.put.x", Operation::ConfigPut("x")),
            ("config.del.x", Operation::ConfigDelete("x")),
            ("component.scale.NABC", Operation::Scale),
            ("component.update.NABC", Operation::Update),
            ("provider.start.NABC", Operation::ProviderStart),
            ("provider.stop.NABC", Operation::ProviderStop),
            ("label.put.NABC", Operation::LabelPut),
            ("label.del.NABC", Operation::LabelDelete),
            ("host.stop.NABC", Operation::HostStop("NABC")),
            ("registry.put", Operation::RegistryPut),
            ("gate.get", Operation::Gate),
        ] {
            assert_eq!(Operation::parse(rest), operation, "{rest}");
        }
        for rest in ["", "link", "link.put.x", "config.put", "config.put.a.b", "host.get", "component.scale", "x.get"] {
            assert_eq!(Operation::parse(rest), Operation::Unknown, "{rest}");
        }
    }

    #[test]
    fn a_link_takes_settings_of_its_own_manifest_only() {
        let own = ["acme_alert-acme_alert_emitter"];
        assert_eq!(link("acme_alert-alert", "eventrunner-jetstream", &own).fault, None);
        assert_eq!(link("eventrunner-jetstream", "acme_alert-alert", &own).fault, None);
        assert_eq!(link("eventrunner-api", "eventrunner-store", &["eventrunner-store"]).fault, None);
        for other in ["acme_x-y", "globex_x-y", "eventrunner-jetstream", "by-hand-made", "byhand"] {
            let fault = link("acme_alert-alert", "eventrunner-jetstream", &[other]).fault.unwrap();
            assert!(fault.contains(other) && fault.contains("acme-alert"), "{fault}");
        }
    }

    #[test]
    fn an_environment_is_no_settings_of_a_link() {
        for env in ["acme_alert-acme_alert_env", "acme_alert-env"] {
            assert!(link("acme_alert-alert", "eventrunner-jetstream", &[env]).fault.unwrap().contains("environment"));
        }
    }

    #[test]
    fn a_start_takes_configurations_of_its_own_manifest_only() {
        let start = Start {
            name: Name::of_id("acme_alert-alert"),
            part_type: PartType::Component,
            image: "file:///x".into(),
            facts: Ok(crate::image::Facts::default()),
            role: None,
        };
        let asked = |config: &str| {
            Change::Start { start: start.clone(), configs: vec![config.into()] }.questions(&names()).remove(0).fault
        };
        assert_eq!(asked("acme_alert-acme_alert_env"), None);
        assert!(asked("globex_alert-globex_alert_env").is_some());
    }

    #[test]
    fn what_is_named_by_hand_is_nobodys() {
        let question = link("alert", "eventrunner-jetstream", &[]);
        let asked: serde_json::Value = serde_json::from_str(&question.asked.unwrap()).unwrap();
        assert_eq!((&asked["manifest"], &asked["tenant"]), (&json!("(nobody)"), &json!(null)));
    }
}
