//! A provider's links: who may call it, and those that it was never told of.
//!
//! A host gives a starting provider the links it knows, and publishes each later one. What is put in between, after
//! the provider's data was written and before it subscribed, reaches nobody, and nothing repeats it: the provider
//! would stay without the link for as long as it runs. So each provider asks the lattice for its links after its start,
//! and again now and then.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use serde::Deserialize;
use tracing::{debug, info, warn};
use wasmcloud_provider_sdk::provider::{receive_link_for_provider, ProviderConnection};
use wasmcloud_provider_sdk::{get_connection, Context, InterfaceLinkDefinition, Provider};

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// In which a provider is told of a link's deletion that the lattice has written down.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The control interface's answer to `link.get`.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    response: Vec<Link>,
}

/// A link as the lattice holds it: configuration by name.
#[derive(Deserialize, PartialEq)]
struct Link {
    source_id: String,
    target: String,
    name: String,
    wit_namespace: String,
    wit_package: String,
    interfaces: Vec<String>,
    #[serde(default)]
    source_config: Vec<String>,
    #[serde(default)]
    target_config: Vec<String>,
}

/// A call over a link that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("`{caller}` has no link to `{interface}` of `{provider}`; mend it with a link in the wadm manifest")]
pub struct NotLinked {
    pub caller: String,
    pub interface: String,
    pub provider: String,
}

/// Whether the caller has a link to this interface of the running provider.
pub async fn check(cx: Option<&Context>, interface: &str) -> Result<(), NotLinked> {
    let caller = cx.and_then(|cx| cx.component.as_deref()).unwrap_or_default();
    let connection = get_connection();
    let links = connection.target_links.read().await;
    if links.get(caller).is_some_and(|link| link.interfaces.iter().any(|name| name == interface)) {
        return Ok(());
    }
    Err(NotLinked {
        caller: caller.to_owned(),
        interface: interface.to_owned(),
        provider: connection.provider_id.to_string(),
    })
}

/// Looks for links that were missed, for as long as the process runs.
pub async fn watch<P: Provider>(provider: P, connection: &'static ProviderConnection) {
    let mut wait = FIRST_WAIT;
    loop {
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
        if let Err(error) = look(&provider, connection).await {
            debug!(error = format!("{error:#}"), "can't ask for links now");
        }
    }
}

async fn look<P: Provider>(provider: &P, connection: &ProviderConnection) -> anyhow::Result<()> {
    let before = missed(connection).await?;
    if before.is_empty() {
        return Ok(());
    }
    // One that was just deleted would be back for good: the answer may be from before, and the provider told meanwhile.
    tokio::time::sleep(TOLD_WITHIN).await;
    for link in missed(connection).await?.into_iter().filter(|link| before.contains(link)) {
        info!(source = link.source_id, target = link.target, "a link that this provider was not told of");
        let definition = InterfaceLinkDefinition {
            source_config: config(connection, &link.source_config).await?,
            target_config: config(connection, &link.target_config).await?,
            source_id: link.source_id,
            target: link.target,
            name: link.name,
            wit_namespace: link.wit_namespace,
            wit_package: link.wit_package,
            interfaces: link.interfaces,
            ..InterfaceLinkDefinition::default()
        };
        if let Err(error) = receive_link_for_provider(provider, connection, definition).await {
            warn!(%error, "a link was refused");
        }
    }
    Ok(())
}

/// Links of the provider that the lattice has and it was not told of.
async fn missed(connection: &ProviderConnection) -> anyhow::Result<Vec<Link>> {
    let subject = format!("wasmbus.ctl.v1.{}.link.get", connection.lattice);
    let answer = connection.nats.request(subject, "".into()).await?;
    let answer: Answer = serde_json::from_slice(&answer.payload).context("the lattice's links")?;
    let own = |link: &Link| *link.source_id == *connection.provider_id || *link.target == *connection.provider_id;
    let mut missed = Vec::new();
    for link in answer.response.into_iter().filter(own) {
        let Link { source_id, target, wit_namespace, wit_package, name, .. } = &link;
        if !connection.is_linked(source_id, target, wit_namespace, wit_package, name).await {
            missed.push(link);
        }
    }
    Ok(missed)
}

/// The named configurations merged in order, as the host does it.
async fn config(connection: &ProviderConnection, names: &[String]) -> anyhow::Result<HashMap<String, String>> {
    let mut merged = HashMap::new();
    if names.is_empty() {
        return Ok(merged);
    }
    let js = jetstream::new((*connection.nats).clone());
    let bucket = js.get_key_value(format!("CONFIGDATA_{}", connection.lattice)).await?;
    for name in names {
        let value = bucket.get(name).await?.with_context(|| format!("there is no configuration `{name}`"))?;
        let value: HashMap<String, String> = serde_json::from_slice(&value)?;
        merged.extend(value);
    }
    Ok(merged)
}
