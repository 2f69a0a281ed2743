//! The server as a process that can be killed, stopped and started again.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{bail, Context as _};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{library, serve, Serving};

const DIR: &str = "ER_CHDB_HTTP_DIR";
const ADDR: &str = "ER_CHDB_HTTP_ADDR";
const PASSWORD: &str = "ER_CHDB_HTTP_PASSWORD";
const LISTENING: &str = "listening on ";
/// Names a real server to be tested on.
const URL: &str = "ER_CLICKHOUSE_URL";

/// A server: our own process, or a real one somewhere.
#[derive(Debug)]
pub struct Server {
    url: String,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    /// The name of the test that is the server ([`serve_if_asked`]).
    test: String,
    dir: Dir,
    addr: SocketAddr,
    password: Option<String>,
    child: Option<Child>,
}

#[derive(Debug)]
enum Dir {
    Temporary(tempfile::TempDir),
    Given(PathBuf),
}

/// Is the server, if this process was started to be one. To be called by a test that does nothing else: a test program
/// can start itself again under that name, and needs no other binary to be built first.
///
/// # Errors
/// When it can't serve.
pub async fn serve_if_asked() -> anyhow::Result<()> {
    let Ok(dir) = std::env::var(DIR) else { return Ok(()) };
    let addr = std::env::var(ADDR)?.parse()?;
    serve(Serving { library: library()?, dir: dir.into(), addr, password: std::env::var(PASSWORD).ok() }).await
}

// === impl Server ===

impl Server {
    /// The real server that `ER_CLICKHOUSE_URL` names, else one of our own. `test` is the name of the test that calls
    /// [`serve_if_asked`].
    ///
    /// # Errors
    /// When none can be had.
    pub fn shared(test: &str) -> anyhow::Result<Self> {
        match std::env::var(URL) {
            Ok(url) => Ok(Self { url, own: None }),
            Err(_) => Self::start(test, None),
        }
    }

    /// One of our own, which can be killed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(test: &str, password: Option<&str>) -> anyhow::Result<Self> {
        let dir = Dir::Temporary(tempfile::tempdir()?);
        Self::of(test, dir, password)
    }

    /// One of our own, on the tables of another.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_in(test: &str, dir: &Path) -> anyhow::Result<Self> {
        Self::of(test, Dir::Given(dir.to_path_buf()), None)
    }

    /// One that will be at this address once it is [started again](Self::restart).
    ///
    /// # Errors
    /// When there is no address.
    pub fn absent(test: &str) -> anyhow::Result<Self> {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let dir = Dir::Temporary(tempfile::tempdir()?);
        let own = Own { test: test.into(), dir, addr: free, password: None, child: None };
        Ok(Self { url: format!("http://{free}"), own: Some(own) })
    }

    fn of(test: &str, dir: Dir, password: Option<&str>) -> anyhow::Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut own = Own { test: test.into(), dir, addr, password: password.map(str::to_owned), child: None };
        own.start()?;
        Ok(Self { url: format!("http://{}", own.addr), own: Some(own) })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Starts it again, where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.own()?.start()
    }

    /// Kills it with SIGKILL, and returns once it is dead.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill9(&mut self) -> anyhow::Result<()> {
        let mut child = self.own()?.child.take().context("the server does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops it in its tracks.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.own()?.signal(Signal::SIGSTOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.own()?.signal(Signal::SIGCONT)
    }

    fn own(&mut self) -> anyhow::Result<&mut Own> {
        self.own.as_mut().context("a server that is not ours is left alone")
    }
}

// === impl Own ===

impl Own {
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--exact", &self.test, "--nocapture", "--test-threads=1"]);
        command.env(DIR, self.dir.path()).env(ADDR, self.addr.to_string());
        if let Some(password) = &self.password {
            command.env(PASSWORD, password);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        for line in lines {
            if let Some(addr) = line?.strip_prefix(LISTENING) {
                self.addr = addr.parse()?;
                self.child = Some(child);
                return Ok(());
            }
        }
        bail!("the server did not start: {}; what it said stands above", child.wait()?)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.as_ref().context("the server does not run")?.id();
        kill(Pid::from_raw(i32::try_from(pid)?), signal)?;
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its tables go with it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

// === impl Dir ===

impl Dir {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Given(dir) => dir,
        }
    }
}
