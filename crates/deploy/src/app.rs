//! An application's way onto a lattice and off it, waited for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context as _};
use wadm_client::error::ClientError;
use wadm_client::{Client, ClientConnectOptions};
use wadm_types::api::{Status, StatusType, VersionInfo};
use wadm_types::Manifest;

use crate::hosts::Hosts;

const POLL: Duration = Duration::from_millis(250);
/// For so long nothing of an application must have been there, and no command on its way, before it is gone.
const QUIET: Duration = Duration::from_secs(2);

/// How the gate begins what it refuses, and what it says where a policy decided that, and where none could.
const REFUSED: &str = "refused by policy";
const DECIDED: &str = "(policy ";
const UNDECIDED: &str = "no policy could decide";
/// How wadm (0.21), and the gate before it, begin what they have against a manifest whenever it comes.
const NO_GOOD: [&str; 17] = [
    "the manifest can't be read: ",
    "Unable to parse manifest: ",
    "invalid manifest version, errors: ",
    "Manifest name ",
    "manifest name [",
    "latest is not allowed",
    "Invalid OAM ",
    "Duplicate component ",
    "Duplicate link ",
    "The following capability component(s) are missing",
    "Link trait deserialized as custom trait",
    "Scaler trait deserialized as custom trait",
    "custom link is missing ",
    "secret '",
    "Component cannot have both ",
    "Component must have either ",
    "Shared component '",
];

/// wadm of one lattice.
pub struct Apps {
    client: Client,
    hosts: Hosts,
}

// === impl Apps ===

impl Apps {
    /// # Errors
    /// When NATS does not answer at `url`.
    pub async fn connect(url: &str, lattice: &str) -> anyhow::Result<Self> {
        let options = ClientConnectOptions { url: Some(url.to_string()), ..ClientConnectOptions::default() };
        let client = Client::new(lattice, None, options)
            .await
            .with_context(|| format!("no NATS at {url}; `make up` starts a lattice"))?;
        Ok(Self { client, hosts: Hosts::connect(url, lattice).await? })
    }

    /// Deploys `manifest`, in place of any other version of it, and waits until wadm calls it deployed.
    ///
    /// # Errors
    /// What wadm refuses ([`refusal`]), that it is away ([`is_away`]), or what is still missing at the deadline.
    pub async fn deploy(&self, manifest: &Manifest, deadline: Duration, progress: impl Fn(&str)) -> anyhow::Result<()> {
        let name = &manifest.metadata.name;
        let version = manifest.metadata.annotations.get("version").cloned().unwrap_or_default();
        let known = self.versions(name).await?;
        // Before anything is taken down: what is refused changes nothing.
        if !known.iter().any(|known| known.version == version) {
            self.client.put_manifest(manifest).await.context("wadm did not take the manifest")?;
        }
        let running = known.iter().find(|known| known.deployed);
        let stays = running.is_some_and(|running| running.version == version);
        // Where none runs, something may be left of one that was being taken down when whoever did so was stopped.
        if !stays && !known.is_empty() {
            if running.is_some() {
                // Not in place: a changed provider image would be started without its configuration
                // (wasmCloud issue 4704).
                progress("taking the old version down");
                self.undeploy(name, deadline).await?;
            }
            progress("clearing away what is left of it");
            self.clear(name, deadline).await?;
        }
        self.client.deploy_manifest(name, Some(&version)).await?;
        self.wait(name, deadline, StatusType::Deployed, progress).await
    }

    /// Takes an application down and waits until it is. One that is not there is down already.
    ///
    /// # Errors
    /// What is still there at the deadline.
    pub async fn undeploy(&self, name: &str, deadline: Duration) -> anyhow::Result<()> {
        match self.client.undeploy_manifest(name).await {
            Ok(_) => self.wait(name, deadline, StatusType::Undeployed, |_| {}).await,
            Err(ClientError::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes an application down, waits until nothing of it is left, and has wadm forget it.
    ///
    /// # Errors
    /// What is still there at the deadline.
    pub async fn remove(&self, name: &str, deadline: Duration) -> anyhow::Result<()> {
        let known = self.versions(name).await?;
        if known.iter().any(|known| known.deployed) {
            self.undeploy(name, deadline).await?;
        }
        // Where none is deployed, some of it may still run: whoever took it down was stopped before all was gone.
        if !known.is_empty() {
            self.clear(name, deadline).await?;
        }
        self.client.delete_manifest(name, None).await?;
        Ok(())
    }

    /// Has wadm forget every version of an application except one.
    ///
    /// # Errors
    /// When wadm does not answer, or refuses.
    pub async fn prune(&self, name: &str, kept: &str) -> anyhow::Result<()> {
        for version in self.client.list_versions(name).await? {
            if version.version != kept && !version.deployed {
                self.client.delete_manifest(name, Some(&version.version)).await?;
            }
        }
        Ok(())
    }

    /// The version of an application that wadm keeps running.
    ///
    /// # Errors
    /// When wadm does not answer.
    pub async fn deployed(&self, name: &str) -> anyhow::Result<Option<String>> {
        let known = self.versions(name).await?;
        Ok(known.into_iter().find(|known| known.deployed).map(|known| known.version))
    }

    /// Whether wadm knows an application, deployed or not: something of it may run.
    ///
    /// # Errors
    /// When wadm does not answer.
    pub async fn knows(&self, name: &str) -> anyhow::Result<bool> {
        Ok(!self.versions(name).await?.is_empty())
    }

    /// None where wadm does not know the application.
    async fn versions(&self, name: &str) -> anyhow::Result<Vec<VersionInfo>> {
        match self.client.list_versions(name).await {
            Ok(versions) => Ok(versions),
            Err(ClientError::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("wadm does not tell what it knows of `{name}`")),
        }
    }

    /// Whether a host with this label answers, so that something can run there.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub async fn has_host(&self, key: &str, value: &str) -> anyhow::Result<bool> {
        self.hosts.any_labelled(key, value).await
    }

    /// Whether all of an application is there.
    ///
    /// # Errors
    /// When there is no such application.
    pub async fn is_up(&self, name: &str) -> anyhow::Result<bool> {
        Ok(self.status(name).await?.info.status_type == StatusType::Deployed)
    }

    /// # Errors
    /// When there is no such application.
    pub async fn status(&self, name: &str) -> anyhow::Result<Status> {
        Ok(self.client.get_manifest_status(name).await?)
    }

    /// Every application: name, version, status.
    ///
    /// # Errors
    /// When wadm does not answer.
    pub async fn list(&self) -> anyhow::Result<Vec<(String, String, StatusType)>> {
        let models = self.client.list_manifests().await?;
        Ok(models
            .into_iter()
            .map(|model| {
                let version = model.deployed_version.unwrap_or_else(|| "-".into());
                (model.name, version, model.detailed_status.info.status_type)
            })
            .collect())
    }

    /// Waits until nothing of an application is left that was taken down. wadm calls it undeployed before its commands
    /// were carried out, and a lattice that just started may still be bringing it up: what is deployed meanwhile
    /// would meet the old images, and lose its configuration to the old version's clean-up.
    async fn clear(&self, name: &str, deadline: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut hosts = BTreeSet::new();
        let mut quiet_since = None;
        loop {
            match self.gone(name, &mut hosts).await {
                Ok(()) if quiet_since.get_or_insert_with(Instant::now).elapsed() >= QUIET => return Ok(()),
                Ok(()) => {}
                Err(busy) if started.elapsed() > deadline => bail!(
                    "the old version of `{name}` is not gone after {} s: {busy:#}; `make down` and up again brings \
                     everything down",
                    deadline.as_secs(),
                ),
                Err(_) => quiet_since = None,
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Tells what is left to stop. An error says what that was; a host that is bringing it up may not even answer. `hosts`:
    /// those that ever did.
    async fn gone(&self, name: &str, hosts: &mut BTreeSet<String>) -> anyhow::Result<()> {
        let left = self.hosts.stop_all(name, hosts).await?;
        let commands = self.hosts.commands_on_their_way().await?;
        ensure!(left.is_empty() && commands == 0, "{} still run, {commands} commands of wadm wait", left.join(", "));
        Ok(())
    }

    async fn wait(
        &self,
        name: &str,
        deadline: Duration,
        wanted: StatusType,
        progress: impl Fn(&str),
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut last = String::new();
        loop {
            let (is, missing) = match self.client.get_manifest_status(name).await {
                Ok(status) if status.info.status_type == wanted => return Ok(()),
                Ok(status) => (format!("{:?}", status.info.status_type), missing(&status)),
                // It was asked only how far it is.
                Err(ClientError::NatsError(error)) => {
                    ("not known".to_owned(), format!("wadm does not answer: {error}"))
                }
                Err(error) => return Err(error.into()),
            };
            if started.elapsed() > deadline {
                bail!(
                    "`{name}` is {is} after {} s, not {wanted:?}: {missing}; the hosts' logs are in the lattice's folder",
                    deadline.as_secs()
                );
            }
            if missing != last {
                progress(&missing);
                last = missing;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The id in the lattice of an application's part, and the name of its configuration: as wadm makes them of the manifest's,
/// where names have a-z, 0-9 and hyphens.
#[must_use]
pub fn part_id(app: &str, part: &str) -> String {
    [app, part].map(|name| name.replace('-', "_")).join("-")
}

/// What wadm, or a gate before it, has against a manifest: their own words. None: it failed for another reason.
#[must_use]
pub fn refusal(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| match cause.downcast_ref::<ClientError>() {
        Some(ClientError::ApiError(reason)) if is_final(reason) => Some(reason.clone()),
        _ => None,
    })
}

/// Whether wadm, the gate or the policy could not do now what was asked: it may be asked again.
#[must_use]
pub fn is_away(error: &anyhow::Error) -> bool {
    refusal(error).is_none() && error.chain().any(|cause| cause.is::<ClientError>())
}

/// Whether an answer says no for good. That nobody listens behind them, or that they can't reach what they need, wadm
/// and the gate say in the same form, and without a code: what is not known for a refusal is none.
fn is_final(message: &str) -> bool {
    if message.starts_with(REFUSED) {
        return message.contains(DECIDED) && !message.contains(UNDECIDED);
    }
    NO_GOOD.iter().any(|start| message.starts_with(start))
}

/// One line: which parts are not there yet, and how many links. A part that says more than that it is being scaled
/// is quoted.
fn missing(status: &Status) -> String {
    let waiting = |link: bool| {
        status
            .scalers
            .iter()
            .filter(move |scaler| scaler.info.status_type != StatusType::Deployed && scaler.name.contains("->") == link)
    };
    let mut parts: Vec<String> = waiting(false)
        .map(|scaler| match scaler.info.status_type {
            StatusType::Reconciling => scaler.name.clone(),
            _ => format!("{} ({:?}: {})", scaler.name, scaler.info.status_type, scaler.info.message.trim()),
        })
        .collect();
    parts.sort_unstable();
    parts.dedup();
    let links = waiting(true).count();
    if links > 0 {
        parts.push(format!("{links} links"));
    }
    if parts.is_empty() {
        status.info.message.clone()
    } else {
        format!("waiting for {}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wadm_types::validation::{validate_manifest, ValidationOutput as _};

    use super::*;

    #[test]
    fn what_a_policy_decided_or_wadm_has_against_a_manifest_is_final() {
        for message in [
            "refused by policy: link acme-alert/alert -> eventrunner/x (kv): nothing allows it (policy 12.34)",
            "refused by policy (policy 12.34):\n- link x: no\n- component y: never",
            "the manifest can't be read: missing field `kind`",
            "Unable to parse manifest: missing field `kind`",
            "invalid manifest version, errors: \"latest is not allowed in wadm\"",
            "Manifest name a.b contains invalid characters. Manifest names can only contain alphanumeric characters, \
             dashes, and underscores.",
            "secret 'a' is mapped to unknown policy 'b'",
        ] {
            assert!(is_final(message), "{message}");
        }
    }

    #[tokio::test]
    async fn all_that_wadm_finds_wrong_with_a_manifest_is_final() {
        let link = json!({"type": "link", "properties": {
            "namespace": "n", "package": "p", "interfaces": ["i"],
            "target": {"name": "gone", "config": [{"name": "c", "properties": {"k": "v"}}]},
        }});
        let shared = json!({"name": "other", "component": "c"});
        let manifest: Manifest = serde_json::from_value(json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": {"name": "a.b", "annotations": {"version": "latest", "-": ""}, "labels": {"-": ""}},
            "spec": {"components": [
                {"name": "a", "type": "component", "properties": {"id": "x"}, "traits": [link, link]},
                {"name": "a", "type": "component", "properties": {"id": "x", "image": "i", "application": shared}},
                {"name": "b", "type": "component", "properties": {"application": shared, "config": [{"name": "c"}]}},
            ]},
        }))
        .unwrap();
        let failures = validate_manifest(&manifest).await.unwrap();
        let errors = failures.errors();
        assert!(errors.len() >= 10, "{errors:?}");
        for error in errors {
            assert!(is_final(&error.msg), "{}", error.msg);
        }
    }

    #[test]
    fn what_was_not_decided_may_be_asked_again() {
        for message in [
            "nobody listens on wadm.api-private.default.model.put: the host, or wadm, is down",
            "no answer on wadm.api-private.default.model.put: request timed out",
            "what wadm keeps of a-b can't be read: nobody listens on wadm.api-private.default.model.get.a-b: the host, \
             or wadm, is down",
            "refused by policy: component a/b: denied, since no policy could decide: no policy is loaded yet",
            "refused by policy: component a/b: denied, since no policy could decide: what changed in the last 12 s is \
             not known, JetStream can't be reached (policy 12.34)",
            "refused by policy (policy 12.34):\n- link x: no\n- component y: denied, since no policy could decide: the \
             policy took more instructions than it may",
            "refused by policy: x: no policy is loaded",
            "Internal storage error",
            "Manifest version v1 already exists",
            "Error notifying processors of newly deployed manifest. This is likely a transient error, so please retry \
             the request",
            "Application contains shared components that are not deployed in other applications: [\"jetstream\"]",
            "Application with the name 'a' does not have a version 'v1' to deploy",
            "",
        ] {
            assert!(!is_final(message), "{message}");
        }
    }

    #[test]
    fn a_refusal_is_told_from_an_answer_that_did_not_come() {
        let wadm = |error: ClientError| anyhow::Error::from(error).context("wadm did not take the manifest");
        let refused = "refused by policy: link x: no (policy 12.34)";
        let error = wadm(ClientError::ApiError(refused.into()));
        assert_eq!((refusal(&error).as_deref(), is_away(&error)), (Some(refused), false));
        for error in [
            ClientError::ApiError("Internal storage error".into()),
            ClientError::NotFound("acme-alert".into()),
            ClientError::NatsError(async_nats::client::RequestErrorKind::NoResponders.into()),
            ClientError::NatsError(async_nats::client::RequestErrorKind::TimedOut.into()),
        ] {
            let error = wadm(error);
            assert_eq!((refusal(&error), is_away(&error)), (None, true), "{error:#}");
        }
        let late = anyhow::anyhow!("`acme-alert` is Reconciling after 120 s");
        assert_eq!((refusal(&late), is_away(&late)), (None, false));
    }
}
