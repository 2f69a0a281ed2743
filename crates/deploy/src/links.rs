//! Links of a lattice, put and read as `wash link` does.

use std::time::Duration;

use anyhow::{bail, Context as _};
use wasmcloud_control_interface::{Client, ClientBuilder, Link};

const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// The links of one lattice.
pub struct Links {
    control: Client,
}

// === impl Links ===

impl Links {
    /// # Errors
    /// When NATS does not answer at `url`.
    pub async fn connect(url: &str, lattice: &str) -> anyhow::Result<Self> {
        let nats = async_nats::connect(url).await.with_context(|| format!("no NATS at {url}"))?;
        Ok(Self { control: ClientBuilder::new(nats).lattice(lattice).timeout(ANSWER_WAIT).build() })
    }

    /// Asks for a link over `interface` of the platform's package, which has to be refused.
    ///
    /// # Errors
    /// When it was put, or nobody answered.
    pub async fn refused(&self, source: &str, target: &str, interface: &str) -> anyhow::Result<String> {
        let link = Link::builder()
            .source_id(source)
            .target(target)
            .name("default")
            .wit_namespace("eventrunner")
            .wit_package("platform")
            .interfaces(vec![interface.to_owned()])
            .build()
            .map_err(anyhow::Error::from_boxed)?;
        let answer = self.control.put_link(link).await.map_err(anyhow::Error::from_boxed)?;
        if answer.succeeded() {
            bail!("the link from {source} to {target} was put");
        }
        Ok(answer.message().to_owned())
    }

    /// How many links lead from one to the other.
    ///
    /// # Errors
    /// When nobody answered.
    pub async fn between(&self, source: &str, target: &str) -> anyhow::Result<usize> {
        Ok(self.all().await?.iter().filter(|link| link.source_id() == source && link.target() == target).count())
    }

    async fn all(&self) -> anyhow::Result<Vec<Link>> {
        let links = self.control.get_links().await.map_err(anyhow::Error::from_boxed)?;
        Ok(links.into_data().unwrap_or_default())
    }
}
