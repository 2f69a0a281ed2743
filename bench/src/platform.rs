//! The platform under test: a lattice of its own, deployed as `make up` deploys it, on ports and in a folder of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use async_nats::jetstream;
use er_deploy::app::Apps;
use er_deploy::client::Client;
use er_deploy::first::{bootstrap, Env};
use er_deploy::manifest::{self, Set};
use futures::TryStreamExt as _;
use tokio::process::{Child, Command};
use wadm_types::Manifest;

use crate::procs::{self, Process};

const TENANT: &str = "demo";
const LATTICE: &str = "default";
const READY_MAX: Duration = Duration::from_secs(60);
const DEPLOY_MAX: Duration = Duration::from_secs(40);
const DEPLOY_TRIES: usize = 3;
const QUIET_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const RAW: &str = "ER_RAW";
const EVENTS: &str = "ER_EVENTS";
/// How the names of consumers' positions in [`EVENTS`] begin; there is one consumer here.
const CONSUMER_PREFIX: &str = "consumer-";

/// Where things are, and what is set other than in the manifests.
#[derive(Debug, Clone)]
pub struct Options {
    pub dir: PathBuf,
    pub lattice: PathBuf,
    pub nats_server: PathBuf,
    pub wadm: PathBuf,
    pub sets: Vec<Set>,
    pub consumer_sets: Vec<Set>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    nats: u16,
    nats_monitor: u16,
    ingest: u16,
    grpc: u16,
    api: u16,
    ingest_metrics: u16,
    jetstream_metrics: u16,
    store_metrics: u16,
    opa_metrics: u16,
}

pub struct Platform {
    options: Options,
    child: Child,
    ports: Ports,
    pub deployed: Deployed,
}

/// How to reach what was deployed.
pub struct Deployed {
    pub env: Env,
    pub client: Client,
    js: jetstream::Context,
    consumer: String,
}

/// Counters of every part at one moment, by name.
pub type Counters = BTreeMap<String, f64>;

// === impl Options ===

impl Options {
    pub fn lattice_dir(&self) -> PathBuf {
        self.dir.join("lattice")
    }
}

// === impl Ports ===

impl Ports {
    /// Ports that nobody has now; all are held until the last is found, so that none comes twice.
    fn free() -> anyhow::Result<Self> {
        let mut held = Vec::new();
        let mut port = || -> anyhow::Result<u16> {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            held.push(listener);
            Ok(port)
        };
        Ok(Self {
            nats: port()?,
            nats_monitor: port()?,
            ingest: port()?,
            grpc: port()?,
            api: port()?,
            ingest_metrics: port()?,
            jetstream_metrics: port()?,
            store_metrics: port()?,
            opa_metrics: port()?,
        })
    }

    fn sets(self, data: &Path) -> Vec<Set> {
        let set = |config: &str, key: &str, value: String| Set { config: config.into(), key: key.into(), value };
        let addr = |port: u16| format!("127.0.0.1:{port}");
        vec![
            set("ingest-http", "addr", addr(self.ingest)),
            set("ingest-http", "grpc_addr", addr(self.grpc)),
            set("ingest-http", "metrics_addr", addr(self.ingest_metrics)),
            set("jetstream", "metrics_addr", addr(self.jetstream_metrics)),
            set("store", "data_dir", data.display().to_string()),
            // control sweeps its folder: it is not to sweep that of `make up`.
            set("control", "images_dir", data.with_file_name("consumers").display().to_string()),
            set("store", "metrics_addr", addr(self.store_metrics)),
            set("opa", "metrics_addr", addr(self.opa_metrics)),
            set("api-address", "address", addr(self.api)),
        ]
    }
}

// === impl Platform ===

impl Platform {
    /// A fresh lattice with nothing in it but EventRunner, the sample consumer and the demo tenant.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let dir = options.lattice_dir();
        if dir.exists() {
            down(&options.lattice, &dir).await?;
            std::fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        let data = std::path::absolute(&options.dir)?.join("store");
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&dir)?;
        let ports = Ports::free()?;
        let log = std::fs::File::create(dir.join("up.log"))?;
        let child = Command::new(&options.lattice)
            .arg("up")
            .arg("--dir")
            .arg(&dir)
            .args(["--nats-port", &ports.nats.to_string()])
            .args(["--nats-monitor-port", &ports.nats_monitor.to_string()])
            .arg("--nats-server")
            .arg(&options.nats_server)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C is ours to answer: the lattice is stopped by `down`, in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {}", options.lattice.display()))?;
        let mut starting = Starting { options, child };
        let deployed = starting.deploy(ports, &data).await;
        match deployed {
            Ok(deployed) => Ok(Self { options: starting.options, child: starting.child, ports, deployed }),
            Err(error) => {
                down(&starting.options.lattice, &dir).await?;
                Err(error)
            }
        }
    }

    /// Deploys a manifest beside EventRunner's own.
    pub async fn deploy(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let apps = Apps::connect(&self.deployed.env.nats_url, LATTICE).await?;
        apps.deploy(manifest, DEPLOY_MAX, |_| {}).await
    }

    pub async fn undeploy(&self, app: &str) -> anyhow::Result<()> {
        Apps::connect(&self.deployed.env.nats_url, LATTICE).await?.undeploy(app, DEPLOY_MAX).await
    }

    pub fn ingest_addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.ingest).into()
    }

    pub fn processes(&self) -> anyhow::Result<Vec<Process>> {
        procs::of_lattice(&self.options.lattice_dir())
    }

    /// Waits until everything that came in is acknowledged: nothing raw, nothing undelivered.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let raw = self.deployed.js.get_stream(RAW).await?.get_info().await?.state.messages;
            let events = self.deployed.js.get_stream(EVENTS).await?;
            let consumer = events.consumer_info(&self.deployed.consumer).await.map_err(anyhow::Error::from_boxed)?;
            if raw == 0 && consumer.num_pending == 0 && consumer.num_ack_pending == 0 {
                return Ok(());
            }
            if started.elapsed() > QUIET_MAX {
                bail!(
                    "after {} s {raw} raw messages are not acknowledged, {} await delivery, {} their acknowledgement",
                    QUIET_MAX.as_secs(),
                    consumer.num_pending,
                    consumer.num_ack_pending
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Counters of every provider and of NATS; those that have labels with them, as `name{label="value"}`.
    pub async fn counters(&self) -> anyhow::Result<Counters> {
        let mut all = Counters::new();
        let providers = [self.ports.ingest_metrics, self.ports.jetstream_metrics, self.ports.store_metrics];
        for port in providers {
            // Context for whoever tunes, and no reason to fail.
            let text = self.get(&format!("http://127.0.0.1:{port}/metrics")).await.unwrap_or_default();
            for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
                let bare = name.split('{').next().unwrap_or_default();
                if bare.ends_with("_sum") || bare.ends_with("_count") || bare.ends_with("_total") {
                    *all.entry(name.to_string()).or_default() += value.parse().unwrap_or(0.0);
                }
            }
        }
        let varz = self.get(&format!("http://127.0.0.1:{}/varz", self.ports.nats_monitor)).await?;
        let varz: serde_json::Value = serde_json::from_str(&varz)?;
        for name in ["in_msgs", "out_msgs", "in_bytes", "out_bytes"] {
            let value = varz.get(name).and_then(serde_json::Value::as_f64).unwrap_or_default();
            all.insert(format!("nats_{name}"), value);
        }
        Ok(all)
    }

    async fn get(&self, url: &str) -> anyhow::Result<String> {
        let answer = Client::answer(self.deployed.client.raw(reqwest::Method::GET, url)).await?;
        anyhow::ensure!(answer.status.is_success(), "{url}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Stops every process. What was stored goes, the logs stay.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let dir = self.options.lattice_dir();
        down(&self.options.lattice, &dir).await?;
        self.child.wait().await?;
        let _ = std::fs::remove_dir_all(dir.join("jetstream"));
        let _ = std::fs::remove_dir_all(self.options.dir.join("store"));
        Ok(())
    }
}

struct Starting {
    options: Options,
    child: Child,
}

// === impl Starting ===

impl Starting {
    async fn deploy(&mut self, ports: Ports, data: &Path) -> anyhow::Result<Deployed> {
        self.ready().await?;
        let nats_url = format!("nats://127.0.0.1:{}", ports.nats);
        let apps = Apps::connect(&nats_url, LATTICE).await?;
        let sets = [ports.sets(data), self.options.sets.clone()].concat();
        self.deploy_one(&apps, "eventrunner.yaml", &sets).await?;
        let env = Env {
            ingest_url: format!("http://127.0.0.1:{}", ports.ingest),
            grpc_addr: format!("127.0.0.1:{}", ports.grpc),
            api_url: format!("http://127.0.0.1:{}", ports.api),
            metrics_url: format!("http://127.0.0.1:{}/metrics", ports.jetstream_metrics),
            nats_url: nats_url.clone(),
            tenant: TENANT.into(),
            api_key: String::new(),
            admin_key: String::new(),
        };
        let env = bootstrap(env, None, &self.options.lattice_dir().join("bench.env"), DEPLOY_MAX).await?;
        self.deploy_one(&apps, "consumer.yaml", &self.options.consumer_sets).await?;
        let js = jetstream::new(async_nats::connect(&nats_url).await?);
        let client = env.client()?;
        let consumer = consumer_name(&js).await?;
        Ok(Deployed { env, client, js, consumer })
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let log = self.options.lattice_dir().join("up.log");
        let started = Instant::now();
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.lines().any(|line| line.starts_with("ready")) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the lattice ended with {status}:\n{said}");
            }
            anyhow::ensure!(started.elapsed() < READY_MAX, "the lattice is not ready: {said}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn deploy_one(&self, apps: &Apps, file: &str, sets: &[Set]) -> anyhow::Result<()> {
        let path = self.options.wadm.join(file);
        let manifest = manifest::load(&path, &self.options.dir.join("images"), sets).await?;
        let name = manifest.metadata.name.clone();
        eprintln!("deploying {name}");
        // A wadm that just started may miss its first notice of a manifest.
        let mut tries = 1;
        loop {
            match apps.deploy(&manifest, DEPLOY_MAX, |_| {}).await {
                Err(error) if tries < DEPLOY_TRIES => eprintln!("  again, after: {error:#}"),
                other => return other,
            }
            tries += 1;
        }
    }
}

/// The sample consumer's position in the stream. It starts at the next event: what is posted before it is there does
/// not come to it.
async fn consumer_name(js: &jetstream::Context) -> anyhow::Result<String> {
    let started = Instant::now();
    while started.elapsed() < DEPLOY_MAX {
        let names: Vec<String> = js.get_stream(EVENTS).await?.consumer_names().try_collect().await?;
        if let Some(name) = names.into_iter().find(|name| name.starts_with(CONSUMER_PREFIX)) {
            return Ok(name);
        }
        tokio::time::sleep(POLL).await;
    }
    bail!("nothing is delivered to the sample consumer");
}

/// Stops the lattice of a folder, if one runs there.
pub async fn down(lattice: &Path, dir: &Path) -> anyhow::Result<()> {
    let output = Command::new(lattice).arg("down").arg("--dir").arg(dir).output().await?;
    anyhow::ensure!(
        output.status.success(),
        "stopping the lattice in {}: {}, {}",
        dir.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Whether a lattice runs in a folder.
pub async fn is_up(lattice: &Path, dir: &Path) -> anyhow::Result<bool> {
    let output = Command::new(lattice).arg("status").arg("--dir").arg(dir).output().await?;
    Ok(output.status.success())
}
