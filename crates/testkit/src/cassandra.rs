//! A Cassandra node: the one that tests share, and nodes of a test's own that it may kill and pause.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{anyhow, bail, Context as _};
use parking_lot::Mutex;

use crate::guard::{tail, Guard};
use crate::platform::root;
use crate::ports::quiet_ports;
use crate::process::{launch, Paused};
use crate::wait::until;

/// A start takes 7 s on two idle cores.
const READY_WITHIN: Duration = Duration::from_secs(180);
const PROBE_WITHIN: Duration = Duration::from_secs(2);
/// A node of one test has little to hold.
const HEAP_MB: &str = "512";
const LOG_BYTES: usize = 4 << 10;

/// Ends the node when whoever started it is gone, however that came about. `$1` is its directory.
const GUARD: &str = r#"
cat >/dev/null
pid=$(cat "$1/pid") && grep -qF "$1" "/proc/$pid/cmdline" && kill -9 "$pid"
rm -rf "$1"
"#;

/// A node of its own, in a directory of its own, on free ports. It ends when this is dropped, or with the process that
/// holds it.
#[derive(Debug)]
pub struct Cassandra {
    dir: PathBuf,
    port: u16,
    storage_port: u16,
    node: Option<Child>,
    /// Ends when this is dropped, after the rest, and takes the directory along.
    _guard: Guard,
}

/// The nodes that tests share: those of `ER_SCYLLA_NODES`, else what `scripts/services up` started.
///
/// # Errors
/// When there are none, with the mend.
pub fn shared() -> anyhow::Result<Vec<String>> {
    let split = |nodes: &str| nodes.split(',').map(|node| node.trim().to_string()).collect();
    if let Ok(nodes) = std::env::var("ER_SCYLLA_NODES") {
        return Ok(split(&nodes));
    }
    let file = root().join("var/services/env");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let nodes = text.lines().find_map(|line| line.strip_prefix("ER_SCYLLA_NODES="));
    nodes.map(split).with_context(|| {
        format!(
            "no CQL server for this test: {} names none; mend it with: scripts/services up, or set ER_SCYLLA_NODES=host:port",
            file.display()
        )
    })
}

// === impl Cassandra ===

impl Cassandra {
    /// A place for a node, where none runs yet.
    ///
    /// # Errors
    /// When there is no directory or port to be had.
    pub fn reserve() -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("er-cassandra-").tempdir()?.keep();
        let [port, storage_port] = quiet_ports()?;
        let _guard = Guard::by(GUARD, &dir)?;
        Ok(Self { dir, port, storage_port, node: None, _guard })
    }

    /// A running node.
    ///
    /// # Errors
    /// As [`Cassandra::reserve`] and [`Cassandra::start`].
    pub async fn run() -> anyhow::Result<Self> {
        let mut node = Self::reserve()?;
        node.start().await?;
        Ok(node)
    }

    /// Where it answers, or will.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, with what it stored before, and returns when it answers.
    ///
    /// # Errors
    /// Why it did not start, with the end of its log.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        let (port, node) = (self.port, Mutex::new(self.node.as_mut().context("the node does not run")?));
        // Whether it answers; no more questions to one that ended.
        let answer = until("an answer of Cassandra", READY_WITHIN, || async {
            let ended = node.lock().try_wait()?;
            let answers = tokio::task::spawn_blocking(move || answers(port)).await?;
            Ok(ended.map(|_| false).or(answers.unwrap_or_default().then_some(true)))
        });
        let logs = || ["start.log", "system.log"].map(|log| tail(&self.dir.join(log), LOG_BYTES)).join("\n");
        if answer.await.with_context(logs)? {
            return Ok(());
        }
        Err(anyhow!("Cassandra ended as it started: {}", logs()))
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        if self.node.is_some() {
            bail!("the node runs already");
        }
        let mut command = Command::new(root().join("scripts/cassandra"));
        let ports = [self.port, self.storage_port].map(|port| port.to_string());
        command.arg(&self.dir).args(ports).env("ER_CASSANDRA_HEAP_MB", HEAP_MB);
        self.node = Some(launch(&mut command, &self.dir.join("start.log"))?);
        Ok(())
    }

    /// Kills it with SIGKILL, and returns once it is dead.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        let mut node = self.node.take().context("the node does not run")?;
        node.kill()?;
        node.wait()?;
        Ok(())
    }

    /// Stops it in its tracks until what is returned is dropped.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<Paused> {
        Paused::pause(self.node.as_ref().context("the node does not run")?.id())
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        // Its guard would do that too, but who buries it is its parent.
        let _ = self.kill9();
    }
}

/// Whether a CQL server answers: an OPTIONS request of protocol 4 is answered with a frame of protocol 4.
fn answers(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PROBE_WITHIN)?;
    stream.set_read_timeout(Some(PROBE_WITHIN))?;
    stream.write_all(&[4, 0, 0, 0, 5, 0, 0, 0, 0])?;
    let mut first = [0];
    stream.read_exact(&mut first)?;
    Ok(first == [0x84])
}
