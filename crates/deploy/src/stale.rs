//! Parts of another version that wadm does not stop.
//!
//! A lattice that starts brings up the version it ran last, and a new version that is deployed meanwhile may find a
//! command of the old one still on its way: the host then runs the old image under the new one's name, refuses to
//! change it («the image reference will not be updated»), and wadm repeats itself for ever.

use anyhow::Context as _;
use wadm_types::{Manifest, Properties};
use wasmcloud_control_interface::{Client, ClientBuilder};

/// The hosts of one lattice.
pub(crate) struct Hosts {
    control: Client,
}

// === impl Hosts ===

impl Hosts {
    pub(crate) async fn connect(url: &str, lattice: &str) -> anyhow::Result<Self> {
        let nats = async_nats::connect(url).await.with_context(|| format!("no NATS at {url}"))?;
        Ok(Self { control: ClientBuilder::new(nats).lattice(lattice).build() })
    }

    /// Stops what runs under the manifest's names from other images, and tells what it was.
    pub(crate) async fn stop_stale(&self, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
        let mut stopped = Vec::new();
        let hosts = self.control.get_hosts().await.map_err(anyhow::Error::from_boxed)?;
        for host in hosts.iter().filter_map(|host| host.data()) {
            let inventory = self.control.get_host_inventory(host.id()).await.map_err(anyhow::Error::from_boxed)?;
            let Some(inventory) = inventory.data() else { continue };
            for component in inventory.components() {
                let (id, image) = (component.id(), component.image_ref());
                if is_stale(manifest, id, image) {
                    let stop = self.control.scale_component(host.id(), image, id, 0, None, Vec::new(), false);
                    stop.await.map_err(anyhow::Error::from_boxed)?;
                    stopped.push(id.to_owned());
                }
            }
            for provider in inventory.providers() {
                if provider.image_ref().is_some_and(|image| is_stale(manifest, provider.id(), image)) {
                    let stop = self.control.stop_provider(host.id(), provider.id());
                    stop.await.map_err(anyhow::Error::from_boxed)?;
                    stopped.push(provider.id().to_owned());
                }
            }
        }
        Ok(stopped)
    }
}

/// Whether the part of that id is the manifest's by name, and not by image.
fn is_stale(manifest: &Manifest, id: &str, image: &str) -> bool {
    let app = manifest.metadata.name.replace('-', "_");
    let part = |name: &str| format!("{app}-{}", name.replace('-', "_")) == id;
    let mut wanted = manifest.spec.components.iter().filter(|component| part(&component.name));
    wanted.any(|component| {
        let wanted = match &component.properties {
            Properties::Component { properties } => properties.image.as_deref(),
            Properties::Capability { properties } => properties.image.as_deref(),
        };
        // A host leaves the scheme of a provider's image out.
        wanted.is_some_and(|wanted| !wanted.ends_with(image.trim_start_matches("file://")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "core.oam.dev/v1beta1",
            "kind": "Application",
            "metadata": { "name": "my-app", "annotations": {} },
            "spec": { "components": [
                { "name": "the-api", "type": "component", "properties": { "image": "file:///images/api-2.wasm" } },
                { "name": "http", "type": "capability",
                  "properties": { "image": "wasmcloud+builtin://http-server" } },
                { "name": "store", "type": "capability", "properties": { "image": "file:///images/store-2.par.gz" } },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn only_the_manifests_own_parts_from_other_images_are_stale() {
        for (id, image, stale) in [
            ("my_app-the_api", "file:///images/api-1.wasm", true),
            ("my_app-the_api", "file:///images/api-2.wasm", false),
            ("my_app-http", "http-server", false),
            ("my_app-store", "/images/store-2.par.gz", false),
            ("my_app-store", "/images/store-1.par.gz", true),
            ("other-the_api", "file:///images/api-1.wasm", false),
        ] {
            assert_eq!(is_stale(&manifest(), id, image), stale, "{id} {image}");
        }
    }
}
