//! A nats-server with deploy/nats/server.conf and passwords of its own, which ends with the test.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::{Client, Event};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const UP_WITHIN: Duration = Duration::from_secs(30);

pub struct Nats {
    child: Child,
    port: u16,
    passwords: [(&'static str, String); 3],
    _dir: tempfile::TempDir,
}

/// A user's connection, and what the server says to it besides messages.
pub struct User {
    pub client: Client,
    pub told: mpsc::UnboundedReceiver<String>,
}

impl Nats {
    pub async fn start() -> Self {
        // Freed at once, and taken by the server in the next moment.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        // Keyed anew in every process, and here for every one.
        let password = || format!("p{:016x}", RandomState::new().hash_one(port));
        let passwords = [("platform", password()), ("ops", password()), ("tenant", password())];
        let cache = std::env::var("ER_CACHE").unwrap_or_else(|_| format!("{}/.cache/eventrunner", env!("HOME")));
        let own = PathBuf::from(cache).join("bin/nats-server");
        let program = if own.exists() { own } else { "nats-server".into() };
        let mut command = Command::new(program);
        for (user, password) in &passwords {
            command.env(format!("ER_NATS_{}_PASSWORD", user.to_uppercase()), password);
        }
        let child = command
            .env("ER_NATS_STORE", dir.path())
            .arg("-c")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/nats/server.conf"))
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server does not start; mend it with: scripts/setup nats");
        let nats = Self { child, port, passwords, _dir: dir };
        timeout(UP_WITHIN, async {
            while nats.connect("platform", nats.password("platform")).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("nats-server does not answer");
        nats
    }

    pub fn password(&self, user: &str) -> &str {
        &self.passwords.iter().find(|(name, _)| *name == user).unwrap().1
    }

    pub async fn connect(&self, user: &str, password: &str) -> Result<User, async_nats::ConnectError> {
        let (tell, told) = mpsc::unbounded_channel();
        let client = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into())
            .custom_inbox_prefix(format!("_INBOX.{user}"))
            .event_callback(move |event| {
                if let Event::ServerError(error) = event {
                    let _ = tell.send(error.to_string());
                }
                async {}
            })
            .connect(format!("nats://127.0.0.1:{}", self.port))
            .await?;
        Ok(User { client, told })
    }

    pub async fn user(&self, user: &str) -> User {
        self.connect(user, self.password(user)).await.unwrap()
    }

    pub async fn anonymous(&self) -> Result<Client, async_nats::ConnectError> {
        async_nats::connect(format!("nats://127.0.0.1:{}", self.port)).await
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
