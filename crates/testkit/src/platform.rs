//! A whole platform of its own: a lattice on free ports in a directory of its own, the shipped manifest on it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use er_deploy::app::Apps;
use er_deploy::client::Client;
use er_deploy::first;
use er_deploy::manifest::{self, Set};

use crate::guard::{tail, Guard};
use crate::process::{launch, Part, Paused, Processes};
use crate::tenant::Tenant;
use crate::wait::until;

const READY_WITHIN: Duration = Duration::from_secs(240);
/// How long an application may take to be deployed.
pub const DEPLOY_WITHIN: Duration = Duration::from_secs(240);
/// How long the platform may take to be well again after anything.
pub const HEALED_WITHIN: Duration = Duration::from_secs(180);
const FOUND_WITHIN: Duration = Duration::from_secs(30);
const LATTICE: &str = "default";
/// Whose pages may call the API of a platform.
pub const ALLOWED_ORIGIN: &str = "https://console.test";
/// Providers, and the gate: what has metrics, as `deploy/prometheus/prometheus.yml` calls it, and the port that it has there.
pub const PROVIDERS: [(&str, u16); 6] =
    [("ingest", 9465), ("jetstream", 9464), ("store", 9466), ("opa", 9469), ("control", 9470), ("gate", 9471)];

/// What is unlike the shipped configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Settings of the platform's manifest: `config.key=value`.
    pub sets: Vec<String>,
    /// Further arguments of `er-lattice up`.
    pub lattice_args: Vec<String>,
    /// What is in its environment besides.
    pub env: Vec<(&'static str, String)>,
    /// `wadm/production.yaml` on these, in place of `wadm/eventrunner.yaml`.
    pub stores: Option<Stores>,
    /// Whether tenants come in through a gateway only, as `sets` say: their keys are not tried on the platform itself.
    pub gateway: bool,
}

/// Where events and usage rest in production.
#[derive(Debug, Clone)]
pub struct Stores {
    /// `host:port` of a CQL server.
    pub scylla: String,
    /// `http://host:port`
    pub clickhouse: String,
}

/// A running platform. Everything of it ends when this is dropped, or with the process that holds it.
#[derive(Debug)]
pub struct Platform {
    pub nats_url: String,
    pub api_url: String,
    pub ingest_url: String,
    /// `host:port` of the same over gRPC.
    pub grpc_addr: String,
    /// Of each provider; [`Platform::metrics`] tells which is whose.
    pub metrics_urls: [String; PROVIDERS.len()],
    /// In the name of an operator.
    pub operator: Client,
    pub processes: Processes,
    dir: PathBuf,
    manifest: &'static str,
    sets: Vec<Set>,
    /// Whether keys of tenants are good for nothing without a gateway.
    gateway: bool,
    tenants: AtomicU32,
    supervisor: Mutex<Child>,
    guard: Mutex<Guard>,
}

// === impl Platform ===

impl Platform {
    /// Starts a lattice, deploys `wadm/eventrunner.yaml` on it, and returns when an event would be taken.
    ///
    /// # Errors
    /// What did not come up, with the end of its log.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        let clock = Instant::now();
        let dir = tempfile::Builder::new().prefix("er-it-").tempdir()?.keep();
        let lattice = lattice_binary()?;
        let guard = Guard::start(&lattice, &dir, &kept_logs(&dir))?;
        let [nats, ingest, grpc, api, metrics @ ..]: [u16; 4 + PROVIDERS.len()] = free_ports()?;
        let gate_metrics = metrics.last().copied().unwrap_or_default();
        let supervisor = up(&lattice, &dir, nats, gate_metrics, options)?;
        let urls = |port: u16| format!("http://127.0.0.1:{port}");
        let mut platform = Self {
            nats_url: format!("nats://127.0.0.1:{nats}"),
            api_url: urls(api),
            ingest_url: urls(ingest),
            grpc_addr: format!("127.0.0.1:{grpc}"),
            metrics_urls: metrics.map(|port| format!("http://127.0.0.1:{port}/metrics")),
            operator: Client::new(&urls(api), &urls(ingest), "")?,
            processes: Processes::of(&dir.join("lattice")),
            sets: sets(options, &dir, [ingest, grpc, api], metrics)?,
            dir,
            manifest: if options.stores.is_some() { "wadm/production.yaml" } else { "wadm/eventrunner.yaml" },
            gateway: options.gateway,
            tenants: AtomicU32::new(0),
            supervisor: Mutex::new(supervisor),
            guard: Mutex::new(guard),
        };
        if let Err(error) = platform.come_up().await {
            platform.mark_failed();
            return Err(error.context(format!("the platform in {} did not start", platform.dir.display())));
        }
        eprintln!("a platform is up in {:.1} s ({})", clock.elapsed().as_secs_f32(), platform.dir.display());
        Ok(platform)
    }

    async fn come_up(&mut self) -> anyhow::Result<()> {
        self.wait_ready().await?;
        self.deploy().await?;
        let admin_key = first::operator_key(&self.nats_url, HEALED_WITHIN).await?;
        self.operator = self.operator.with_key(&admin_key);
        self.operator.wait_healthy(HEALED_WITHIN).await?;
        if self.gateway {
            return Ok(());
        }
        let probe = self.tenant("probe").await?;
        probe.client.wait_ingesting(HEALED_WITHIN).await
    }

    async fn wait_ready(&self) -> anyhow::Result<()> {
        let log = self.log("up");
        let ready = until("a lattice that is ready", READY_WITHIN, || async {
            if let Some(status) = self.supervisor.lock().map_err(|_| poisoned())?.try_wait()? {
                return Ok(Some(Err(format!("it ended: {status}"))));
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            Ok(said.lines().any(|line| line.starts_with("ready")).then_some(Ok(())))
        })
        .await?;
        ready.map_err(|why| anyhow::anyhow!("{why}; it said: {}", tail(&log, 2_000)))
    }

    /// Deploys the platform's own manifest.
    ///
    /// # Errors
    /// What is not deployed in time.
    pub async fn deploy(&self) -> anyhow::Result<()> {
        self.deploy_with(&self.sets).await
    }

    /// Deploys the platform's own manifest with one setting (`config-name.key=value`) changed, in place of what runs.
    ///
    /// # Errors
    /// What is not deployed in time.
    pub async fn redeploy(&self, change: &str) -> anyhow::Result<()> {
        let change: Set = change.parse().map_err(anyhow::Error::msg)?;
        self.deploy_with(&[self.sets.as_slice(), &[change]].concat()).await
    }

    async fn deploy_with(&self, sets: &[Set]) -> anyhow::Result<()> {
        let manifest = manifest::load(&root().join(self.manifest), &self.images(), sets).await?;
        self.apps().await?.deploy(&manifest, DEPLOY_WITHIN, |_| {}).await
    }

    /// wadm.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub async fn apps(&self) -> anyhow::Result<Apps> {
        Apps::connect(&self.nats_url, LATTICE).await
    }

    /// A connection to the lattice's NATS.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn nats(&self) -> anyhow::Result<async_nats::Client> {
        async_nats::connect(&self.nats_url).await.with_context(|| format!("NATS at {}", self.nats_url))
    }

    /// Where images are kept under names that follow from their content.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// Where a provider of [`PROVIDERS`] serves its metrics.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn metrics(&self, part: &str) -> anyhow::Result<&str> {
        let place = PROVIDERS.iter().position(|(name, _)| *name == part);
        place.and_then(|place| self.metrics_urls.get(place)).map(String::as_str).with_context(|| format!("no {part}"))
    }

    /// Where everything of this platform lies. What runs there ends with it.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A log of the lattice: `up`, or a part's.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        match name {
            "up" => self.dir.join("up.log"),
            part => self.dir.join(format!("lattice/{part}.log")),
        }
    }

    /// A new tenant, with an admin's key. Its name begins with `theme`.
    ///
    /// # Errors
    /// What the API refuses.
    pub async fn tenant(&self, theme: &str) -> anyhow::Result<Tenant> {
        let id = format!("{theme}-{}", self.tenants.fetch_add(1, Ordering::Relaxed));
        let key = self.operator.make_tenant(&id, "admin").await?;
        Ok(Tenant { client: self.operator.with_key(&key), operator: self.operator.clone(), id })
    }

    /// Kills a part with SIGKILL.
    ///
    /// # Errors
    /// When there is none to kill, for so long that it is not on its way up either.
    pub async fn kill9(&self, part: Part) -> anyhow::Result<u32> {
        self.processes.kill9(part, FOUND_WITHIN).await
    }

    /// Stops a part in its tracks, until what is returned is dropped.
    ///
    /// # Errors
    /// When there is none to stop.
    pub async fn pause(&self, part: Part) -> anyhow::Result<Paused> {
        self.processes.pause(part, FOUND_WITHIN).await
    }

    /// Waits until everything answers again, by itself.
    ///
    /// # Errors
    /// What does not.
    pub async fn wait_healed(&self) -> anyhow::Result<()> {
        for part in Part::CRITICAL {
            self.processes.wait(part, HEALED_WITHIN).await?;
        }
        self.operator.wait_healthy(HEALED_WITHIN).await
    }

    /// Sees to it that the logs are kept when this platform ends.
    pub fn mark_failed(&self) {
        let _ = File::create(self.dir.join("failed"));
        eprintln!("the logs of this platform will be in {}", kept_logs(&self.dir).display());
    }

    /// Ends all of it; returns when nothing is left.
    pub fn stop(&self) {
        let Ok(mut guard) = self.guard.lock() else { return };
        guard.end();
        if let Ok(mut supervisor) = self.supervisor.lock() {
            let _ = supervisor.wait();
        }
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.mark_failed();
        }
        self.stop();
    }
}

/// The checkout: `$ER_ROOT`, or the one that this was built from.
#[must_use]
pub fn root() -> PathBuf {
    if let Some(root) = std::env::var_os("ER_ROOT") {
        return root.into();
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// `$ER_CACHE`: where `scripts/setup` puts what it brings in.
#[must_use]
pub fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/eventrunner");
    std::env::var_os("ER_CACHE").map_or_else(home, PathBuf::from)
}

/// Beside the tests: cargo builds everything into one folder.
fn lattice_binary() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("ER_LATTICE") {
        return Ok(given.into());
    }
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|dir| dir.join("er-lattice")).find(|file| file.exists());
    found.with_context(|| format!("no er-lattice near {}; `scripts/build-providers` builds it", here.display()))
}

fn kept_logs(dir: &Path) -> PathBuf {
    root().join("var/it-logs").join(dir.file_name().unwrap_or_default())
}

/// Held all at once, so that no two are the same.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    let ports: Vec<u16> =
        listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect::<std::io::Result<_>>()?;
    ports.try_into().map_err(|_| anyhow::anyhow!("not enough ports"))
}

fn up(lattice: &Path, dir: &Path, nats_port: u16, gate_metrics: u16, options: &Options) -> anyhow::Result<Child> {
    let mut command = Command::new(lattice);
    command.arg("up").arg("--dir").arg(dir.join("lattice")).args(["--nats-port", &nats_port.to_string()]);
    let brought = cache().join("bin/nats-server");
    if std::env::var_os("ER_NATS_SERVER").is_none() && brought.exists() {
        command.arg("--nats-server").arg(brought);
    }
    command
        .arg("--gate-bundle")
        .arg(root().join("build/policies.tar.gz"))
        .env("ER_GATE_METRICS_ADDR", format!("127.0.0.1:{gate_metrics}"))
        .args(&options.lattice_args)
        .envs(options.env.iter().map(|(name, value)| (*name, value)))
        .current_dir(dir);
    launch(&mut command, &dir.join("up.log"))
}

fn sets(options: &Options, dir: &Path, served: [u16; 3], metrics: [u16; PROVIDERS.len()]) -> anyhow::Result<Vec<Set>> {
    let ([ingest, grpc, api], [m1, m2, m3, m4, m5, _]) = (served, metrics);
    let log = |host: &str| dir.join(format!("lattice/{host}.log")).display().to_string();
    let mut own = vec![
        format!("ingest-http.addr=127.0.0.1:{ingest}"),
        format!("ingest-http.grpc_addr=127.0.0.1:{grpc}"),
        format!("ingest-http.metrics_addr=127.0.0.1:{m1}"),
        format!("jetstream.metrics_addr=127.0.0.1:{m2}"),
        format!("api-address.address=127.0.0.1:{api}"),
        format!("api.allowed_origins={ALLOWED_ORIGIN}"),
        format!("control.metrics_addr=127.0.0.1:{m5}"),
        format!("control.images_dir={}", dir.join("images/consumers").display()),
        format!("control.spool_dir={}", dir.join("uploads").display()),
        format!("control.tenant_logs={},{}", log("tenant"), log("probation")),
        format!("opa.metrics_addr=127.0.0.1:{m4}"),
        format!("opa.bundle={}", root().join("build/policies.tar.gz").display()),
    ];
    match &options.stores {
        None => own.extend([
            format!("store.metrics_addr=127.0.0.1:{m3}"),
            format!("store.data_dir={}", dir.join("events").display()),
            format!("store.chdb_lib={}", root().join("build/libchdb.so").display()),
        ]),
        Some(stores) => own.extend([
            format!("scylla.metrics_addr=127.0.0.1:{m3}"),
            format!("scylla.nodes={}", stores.scylla),
            "scylla.replication_factor=1".into(),
            format!("clickhouse.metrics_addr=127.0.0.1:{}", free_ports::<1>()?[0]),
            format!("clickhouse.url={}", stores.clickhouse),
        ]),
    }
    let given = options.sets.iter().cloned();
    own.into_iter().chain(given).map(|set| set.parse().map_err(|why: String| anyhow::anyhow!(why))).collect()
}

fn poisoned() -> anyhow::Error {
    anyhow::anyhow!("another thread panicked over the lattice's process")
}

/// A program on `PATH`, or that `scripts/setup` brought.
///
/// # Errors
/// That there is none, and the command that mends it.
pub fn on_path(name: &str, mend: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([cache().join("bin")]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("there is no {name}; mend it with: {mend}"))
}

/// Fails where a file that the tests need is missing, with what makes it.
///
/// # Errors
/// The file, and the command that mends it.
pub fn need(file: &Path, mend: &str) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    bail!("{} is missing; mend it with: {mend}", file.display())
}
