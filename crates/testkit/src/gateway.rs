//! The gateway in front of a platform: the real Ory Keto and Ory Oathkeeper and the front, with the configuration that is
//! shipped (`deploy/`), on ports of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_deploy::client::Client;

use crate::guard::{tail, Guard};
use crate::idp::Idp;
use crate::platform::{on_path, root, Platform};
use crate::ports::quiet_ports;
use crate::process::{launch, Paused};
use crate::wait::until;

const READY_WITHIN: Duration = Duration::from_secs(60);
const LOG_BYTES: usize = 4 << 10;
const MEND: &str = "scripts/setup ory";

/// Ends all of it when whoever started it is gone, however that came about. `$1` is its directory.
const GUARD: &str = r#"
cat >/dev/null
for file in "$1"/*.pid; do
	pid=$(cat "$file") && case "$(readlink "/proc/$pid/cwd")" in "$1"*) kill -9 "$pid" ;; esac
done
rm -rf "$1"
"#;

/// It ends when this is dropped, or with the process that holds it.
#[derive(Debug)]
pub struct Gateway {
    /// Where clients come.
    pub url: String,
    /// Where Keto is told of relation tuples, and asked.
    pub keto_write_url: String,
    pub keto_read_url: String,
    dir: PathBuf,
    ports: Ports,
    keto: Option<Child>,
    others: Vec<Child>,
    /// Ends when this is dropped, after the rest, and takes the directory along.
    _guard: Guard,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    front: u16,
    proxy: u16,
    api: u16,
    prometheus: u16,
    read: u16,
    write: u16,
    metrics: u16,
    opl: u16,
}

// === impl Gateway ===

impl Gateway {
    /// A place for a gateway, where none runs yet, and Keto in it.
    ///
    /// # Errors
    /// When there is no directory or port to be had, or a program is missing.
    pub async fn reserve() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("er-gateway-").tempdir()?.keep();
        let [front, proxy, api, prometheus, read, write, metrics, opl] = quiet_ports()?;
        let _guard = Guard::by(GUARD, &dir)?;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut gateway = Self {
            url: url(front),
            keto_write_url: url(write),
            keto_read_url: url(read),
            dir,
            ports: Ports { front, proxy, api, prometheus, read, write, metrics, opl },
            keto: None,
            others: Vec::new(),
            _guard,
        };
        gateway.start_keto().await?;
        Ok(gateway)
    }

    /// Settings of a platform that has this gateway, and lets in nobody who comes around it.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        vec![
            format!("control.keto_read_url={}", self.keto_read_url),
            format!("control.keto_write_url={}", self.keto_write_url),
            format!("control.jwks_url=http://127.0.0.1:{}/.well-known/jwks.json", self.ports.api),
            "control.jwks_refresh_s=1".into(),
            "control.keto_repair_s=1".into(),
            "control.gateway_only=true".into(),
        ]
    }

    /// Starts Keto, which remembers nothing.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn start_keto(&mut self) -> anyhow::Result<()> {
        ensure!(self.keto.is_none(), "Keto runs already");
        let ports = self.ports;
        let numbers = [("4466", ports.read), ("4467", ports.write), ("4468", ports.metrics), ("4469", ports.opl)];
        let dir = self.folder("keto")?;
        shipped("deploy/keto/keto.yml", &dir, &numbers.map(|(there, here)| (there, here.to_string())))?;
        shipped("deploy/keto/namespaces.ts", &dir, &[])?;
        self.keto = Some(self.launch("keto", "keto", &["serve", "--config", "keto.yml"])?);
        self.ready("keto", &format!("{}/health/ready", self.keto_read_url)).await
    }

    /// Starts what is in front of that platform, with that identity provider.
    ///
    /// # Errors
    /// Why it does not answer.
    pub async fn start(&mut self, platform: &Platform, idp: &Idp) -> anyhow::Result<()> {
        let (ports, dir) = (self.ports, self.folder("oathkeeper")?);
        let key =
            Command::new(on_path("oathkeeper", MEND)?).args(["credentials", "generate", "--alg", "EdDSA"]).output()?;
        ensure!(key.status.success(), "no key of Oathkeeper's: {}", String::from_utf8_lossy(&key.stderr));
        fs::write(dir.join("jwks.json"), key.stdout)?;
        let changes = [
            ("http://127.0.0.1:4445/admin/oauth2/introspect", format!("{}/introspect", idp.url)),
            ("http://127.0.0.1:4444", idp.url.clone()),
            ("http://127.0.0.1:8000", platform.api_url.clone()),
            ("http://127.0.0.1:4466", self.keto_read_url.clone()),
            ("file://../../var/services/oathkeeper/jwks.json", format!("file://{}", dir.join("jwks.json").display())),
            ("port: 4454", format!("port: {}", ports.proxy)),
            ("port: 4456", format!("port: {}", ports.api)),
            ("port: 9000", format!("port: {}", ports.prometheus)),
        ];
        shipped("deploy/oathkeeper/oathkeeper.yml", &dir, &changes)?;
        let upstreams = [
            ("http://127.0.0.1:8000", platform.api_url.clone()),
            ("http://127.0.0.1:8080", platform.ingest_url.clone()),
        ];
        shipped("deploy/oathkeeper/rules.yml", &dir, &upstreams)?;
        let serve = ["serve", "--config", "oathkeeper.yml"];
        let oathkeeper = self.launch("oathkeeper", "oathkeeper", &serve)?;
        self.others.push(oathkeeper);
        self.ready("oathkeeper", &format!("http://127.0.0.1:{}/health/ready", ports.api)).await?;
        self.folder("front")?;
        let (addr, proxy) = (format!("127.0.0.1:{}", ports.front), format!("http://127.0.0.1:{}", ports.proxy));
        let front = self.launch("front", "er-gateway-front", &["-addr", &addr, "-oathkeeper", &proxy])?;
        self.others.push(front);
        self.ready("front", &format!("{}/healthz", self.url)).await
    }

    /// A client that comes through the gateway, with what it shows there.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn client(&self, credential: &str) -> anyhow::Result<Client> {
        Client::new(&self.url, &self.url, credential)
    }

    /// Kills Keto with SIGKILL, and returns once it is dead.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_keto(&mut self) -> anyhow::Result<()> {
        let mut keto = self.keto.take().context("Keto does not run")?;
        keto.kill()?;
        keto.wait()?;
        Ok(())
    }

    /// Stops Keto in its tracks until what is returned is dropped.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_keto(&self) -> anyhow::Result<Paused> {
        Paused::pause(self.keto.as_ref().context("Keto does not run")?.id())
    }

    /// What Oathkeeper and the front said last, for a message.
    #[must_use]
    pub fn said(&self) -> String {
        ["keto", "oathkeeper", "front"].map(|part| tail(&self.dir.join(part).join("log"), LOG_BYTES)).join("\n")
    }

    fn folder(&self, part: &str) -> anyhow::Result<PathBuf> {
        let folder = self.dir.join(part);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn launch(&self, part: &str, name: &str, arguments: &[&str]) -> anyhow::Result<Child> {
        let folder = self.dir.join(part);
        let mut command = Command::new(on_path(name, MEND)?);
        let child = launch(command.args(arguments).current_dir(&folder), &folder.join("log"))?;
        fs::write(self.dir.join(format!("{part}.pid")), child.id().to_string())?;
        Ok(child)
    }

    async fn ready(&self, part: &str, url: &str) -> anyhow::Result<()> {
        let ready = until(&format!("an answer of {url}"), READY_WITHIN, || async {
            let answer = reqwest::get(url).await?;
            Ok(answer.status().is_success().then_some(()))
        })
        .await;
        ready.with_context(|| tail(&self.dir.join(part).join("log"), LOG_BYTES))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Its guard would do that too, but who buries them is their parent.
        for child in self.keto.iter_mut().chain(&mut self.others) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Copies a shipped file, with these texts in place of those that are there.
fn shipped(file: &str, to: &Path, changes: &[(&str, String)]) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(root().join(file)).with_context(|| format!("reading {file}"))?;
    // In two steps, so that nothing that was put in is changed once more.
    for (n, (there, _)) in changes.iter().enumerate() {
        if !text.contains(there) {
            bail!("{file} does not have `{there}`, which a test would change");
        }
        text = text.replace(there, &format!("\u{1}{n}\u{2}"));
    }
    for (n, (_, here)) in changes.iter().enumerate() {
        text = text.replace(&format!("\u{1}{n}\u{2}"), here);
    }
    let name = Path::new(file).file_name().context("a file has a name")?;
    fs::write(to.join(name), text)?;
    Ok(())
}
