//! Consumers by reference, from a real registry (Docker's, as Debian has it).

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::platform::{cache, need};
use er_testkit::{until, Options};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;

use crate::consumers::{built, gone, handled, put, runs, settled, RECORDER};
use crate::support::{on_its_own, JSON};

const UP_WITHIN: Duration = Duration::from_secs(20);
const WASM_LAYER: &str = "application/wasm";

/// A registry on loopback; it ends with this.
struct Registry {
    addr: String,
    child: Child,
    _dir: tempfile::TempDir,
}

// === impl Registry ===

impl Registry {
    async fn start() -> anyhow::Result<Self> {
        let binary = cache().join("debian/docker-registry/usr/bin/docker-registry");
        need(&binary, "scripts/setup registry")?;
        let dir = tempfile::tempdir()?;
        let addr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let config = json!({
            "version": "0.1",
            "log": { "level": "error" },
            "storage": { "filesystem": { "rootdirectory": dir.path().join("data") } },
            "http": { "addr": addr },
        });
        // JSON is YAML.
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config.to_string())?;
        let mut command = Command::new(&binary);
        command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let registry = Self { addr, child, _dir: dir };
        until("a registry that answers", UP_WITHIN, || async {
            Ok(reqwest::get(format!("http://{}/v2/", registry.addr)).await?.status().is_success().then_some(()))
        })
        .await?;
        Ok(registry)
    }

    /// Pushes layers under a name, as `wash push` does it with one.
    async fn push(&self, name: &str, layers: &[Vec<u8>]) -> anyhow::Result<String> {
        let image = format!("{}/{name}", self.addr);
        let reference: Reference = image.parse()?;
        let protocol = ClientProtocol::HttpsExcept(vec![self.addr.clone()]);
        let client = Client::new(ClientConfig { protocol, ..ClientConfig::default() });
        let layers: Vec<ImageLayer> =
            layers.iter().map(|layer| ImageLayer::new(layer.clone(), WASM_LAYER.into(), None)).collect();
        let config = Config::new(b"{}".to_vec(), "application/vnd.wasm.config.v0+json".into(), None);
        client.push(&reference, &layers, config, &RegistryAuth::Anonymous, None).await?;
        Ok(image)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_consumer_comes_from_a_registry_by_its_reference() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let registry = runtime.block_on(Registry::start())?;
    let options = Options { sets: vec![format!("control.registries={}", registry.addr)], ..Options::default() };
    on_its_own(&options, |platform| async move {
        let tenant = platform.tenant("oci").await?;
        let image = registry.push("acme/recorder:1", &[built(RECORDER)?]).await?;
        let two = registry.push("acme/two:1", &[built(RECORDER)?, b"another".to_vec()]).await?;
        let no_component = registry.push("acme/text:1", &[b"not WebAssembly".to_vec()]).await?;
        for (name, image, said) in [
            ("none", format!("{}/acme/none:1", registry.addr), "can't be pulled"),
            ("two", two, "does not hold one component"),
            ("text", no_component, "not WebAssembly"),
        ] {
            let answer = put(&tenant, name, JSON, json!({ "image": image }).to_string().into_bytes()).await?;
            ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
            let record = settled(&tenant, name).await?;
            let message = record["message"].as_str().unwrap_or_default();
            ensure!(record["state"] == "refused" && message.contains(said), "{record}");
        }
        let spec = json!({ "image": image, "deliver": "all" }).to_string();
        let answer = put(&tenant, "recorder", JSON, spec.into_bytes()).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        runs(&tenant, "recorder", 1).await?;
        handled(&tenant, "recorder", "pulled").await?;

        // What runs was pulled once: whoever goes back to it needs no registry.
        drop(registry);
        let settings = json!({ "deliver": "all", "attempts_max": 3 }).to_string();
        let answer = put(&tenant, "recorder", JSON, settings.into_bytes()).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        let record = runs(&tenant, "recorder", 2).await?;
        ensure!(record["spec"]["image"] == image, "{record}");
        handled(&tenant, "recorder", "kept").await?;
        gone(&tenant, "recorder").await
    })
}
