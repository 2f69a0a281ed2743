//! A nats-server of one's own, which ends with the test, whatever comes of that.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream;

const UP_WAIT: Duration = Duration::from_secs(30);

pub struct Nats {
    child: Option<Child>,
    dir: tempfile::TempDir,
    port: u16,
}

impl Nats {
    pub async fn start() -> Self {
        // Freed at once, and taken by the server in the next moment.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut nats = Self { child: None, dir: tempfile::tempdir().unwrap(), port };
        nats.restart().await;
        nats
    }

    /// With what it stored.
    pub async fn restart(&mut self) {
        self.kill();
        let cache = std::env::var("ER_CACHE").unwrap_or_else(|_| format!("{}/.cache/eventrunner", env!("HOME")));
        let own = PathBuf::from(cache).join("bin/nats-server");
        let program = if own.exists() { own } else { "nats-server".into() };
        let child = Command::new(program)
            .args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"])
            .arg(self.dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server does not start; mend it with: scripts/setup nats");
        self.child = Some(child);
        until("nats-server", UP_WAIT, || async {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            self.js().await.query_account().await.ok()
        })
        .await;
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub async fn js(&self) -> jetstream::Context {
        let url = format!("nats://127.0.0.1:{}", self.port);
        let nats = async_nats::ConnectOptions::new().retry_on_initial_connect().connect(url).await.unwrap();
        let mut js = jetstream::new(nats);
        js.set_timeout(Duration::from_secs(2));
        js
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks until there is an answer.
pub async fn until<T, F: std::future::Future<Output = Option<T>>>(
    what: &str,
    at_most: Duration,
    mut probe: impl FnMut() -> F,
) -> T {
    let asked = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Some(answer) = probe().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(at_most, asked).await.unwrap_or_else(|_| panic!("{what}: not within {at_most:?}"))
}
