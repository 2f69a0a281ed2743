//! What the hosts of a lattice run, and what wadm still wants of them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::{self, consumer};
use futures::TryStreamExt as _;
use wasmcloud_control_interface::{Client, ClientBuilder};

/// wadm's commands to hosts; one that was carried out is gone.
const COMMANDS: &str = "wadm_commands";
/// A host that compiles components takes its time to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// How long it is listened for hosts: each time to its end, since nobody knows how many there are.
const HOSTS_WAIT: Duration = Duration::from_secs(1);

/// The hosts of one lattice.
pub(crate) struct Hosts {
    control: Client,
    js: jetstream::Context,
}

// === impl Hosts ===

impl Hosts {
    pub(crate) async fn connect(url: &str, lattice: &str) -> anyhow::Result<Self> {
        let nats = async_nats::connect(url).await.with_context(|| format!("no NATS at {url}"))?;
        Ok(Self {
            js: jetstream::new(nats.clone()),
            control: ClientBuilder::new(nats).lattice(lattice).timeout(ANSWER_WAIT).auction_timeout(HOSTS_WAIT).build(),
        })
    }

    /// Tells every part of an application to stop that runs on any host, and gives their ids. `hosts`: those that were seen
    /// before, and now. One that says nothing this time is asked all the same.
    pub(crate) async fn stop_all(&self, app: &str, hosts: &mut BTreeSet<String>) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::new();
        let answers = self.control.get_hosts().await.map_err(anyhow::Error::from_boxed)?;
        hosts.extend(answers.iter().filter_map(|answer| Some(answer.data()?.id().to_owned())));
        for host in hosts.iter() {
            let inventory = self.control.get_host_inventory(host).await.map_err(anyhow::Error::from_boxed)?;
            let Some(inventory) = inventory.data() else { continue };
            for component in inventory.components().iter().filter(|component| is_part(app, component.id())) {
                let (id, image) = (component.id(), component.image_ref());
                let stop = self.control.scale_component(host, image, id, 0, None, Vec::new(), false);
                stop.await.map_err(anyhow::Error::from_boxed)?;
                told.push(id.to_owned());
            }
            for provider in inventory.providers().iter().filter(|provider| is_part(app, provider.id())) {
                let stop = self.control.stop_provider(host, provider.id());
                stop.await.map_err(anyhow::Error::from_boxed)?;
                told.push(provider.id().to_owned());
            }
        }
        Ok(told)
    }

    /// Whether a host with this label answers.
    pub(crate) async fn any_labelled(&self, key: &str, value: &str) -> anyhow::Result<bool> {
        let answers = self.control.get_hosts().await.map_err(anyhow::Error::from_boxed)?;
        let mut hosts = answers.iter().filter_map(|answer| answer.data());
        Ok(hosts.any(|host| host.labels().get(key).is_some_and(|found| found == value)))
    }

    /// Commands of wadm that it still gives to hosts. Those that it gave up after three tries stay in its stream for ever, and
    /// do not count: what they ask for is asked for anew, or nobody wants it any more.
    pub(crate) async fn commands_on_their_way(&self) -> anyhow::Result<u64> {
        // A wadm elsewhere may keep its streams where they can't be seen from here.
        let Ok(stream) = self.js.get_stream(COMMANDS).await else { return Ok(0) };
        let consumers: Vec<consumer::Info> = stream.consumers().try_collect().await?;
        Ok(consumers.iter().map(|info| info.num_pending + info.num_ack_pending as u64).sum())
    }
}

/// wadm makes ids of the application's name and the part's, with hyphens inside of either as underscores.
fn is_part(app: &str, id: &str) -> bool {
    id.split_once('-').is_some_and(|(owner, _)| owner == app.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::is_part;

    #[test]
    fn only_an_applications_own_parts_are_its() {
        assert!(is_part("my-app", "my_app-the_api"));
        assert!(!is_part("my-app", "my_app2-the_api"));
        assert!(!is_part("my", "my_app-the_api"));
        assert!(!is_part("app", "VABC"));
    }
}
