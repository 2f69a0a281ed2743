//! The peer: the same events published straight into a JetStream file stream, by a client that waits for every PubAck.
//!
//! Two clients, since it depends on them: `async-nats`' own JetStream context, which is what people write, and the same
//! without its bookkeeping a message, all PubAcks to one inbox and counted.

use std::collections::VecDeque;
use std::future::IntoFuture;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::stream::{Config, StorageType};
use async_nats::{Client, Subject};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use tokio::process::{Child, Command};

use crate::events::Batch;
use crate::now_us;
use crate::procs::{self, Process, Used};
use crate::stats::Middle;

const STREAM: &str = "PEER";
const SUBJECT: &str = "peer.events";
const START_MAX: Duration = Duration::from_secs(10);
/// A run ends here too: what it writes must not keep the disk busy for the next.
const RUN_BYTES_MAX: u64 = 512 << 20;
const CONNECTIONS: usize = 8;

/// How a NATS server makes a message durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it acknowledges.
    Always,
    /// Every two minutes, which is the default.
    Lazy,
}

/// Who publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// `async_nats::jetstream::Context::publish` and its futures.
    Context,
    /// PubAcks are only counted.
    Bare,
}

/// How the events are published.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub publisher: Publisher,
    pub events_per_message: usize,
    /// Messages on their way at once.
    pub window: usize,
}

/// Events a second, and what they cost.
#[derive(Debug, Clone)]
pub struct Measured {
    pub rate: Middle,
    pub events: u64,
    pub used: Used,
}

/// What a run publishes, one after the other.
struct Messages {
    batches: Vec<Batch>,
    start: Instant,
    duration: Duration,
    sent: usize,
    sent_max: usize,
    events: u64,
}

/// A nats-server of our own.
pub struct Peer {
    child: Child,
    client: Client,
    url: String,
    store: PathBuf,
}

// === impl Sync ===

impl Sync {
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Lazy => "lazy",
        }
    }

    pub fn durability(self) -> &'static str {
        match self {
            Self::Always => "sync_interval: always",
            Self::Lazy => "NATS default (synced every 2 min)",
        }
    }
}

// === impl Peer ===

impl Peer {
    pub async fn start(nats_server: &Path, dir: &Path, port: u16, sync: Sync) -> anyhow::Result<Self> {
        let store = std::path::absolute(dir)?.join(format!("peer-{}", sync.name()));
        let _ = std::fs::remove_dir_all(&store);
        std::fs::create_dir_all(&store)?;
        let interval = match sync {
            Sync::Always => "sync_interval: always",
            Sync::Lazy => "",
        };
        let conf = store.join("nats.conf");
        std::fs::write(
            &conf,
            format!(
                "listen: \"127.0.0.1:{port}\"\njetstream {{\n  store_dir: \"{}\"\n  {interval}\n}}\n",
                store.display()
            ),
        )?;
        let log = std::fs::File::create(store.join("nats.log"))?;
        let child = Command::new(nats_server)
            .arg("-c")
            .arg(&conf)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", nats_server.display()))?;
        let url = format!("nats://127.0.0.1:{port}");
        let started = Instant::now();
        let client = loop {
            match async_nats::connect(&url).await {
                Ok(client) => break client,
                Err(error) if started.elapsed() > START_MAX => return Err(error).context("the peer does not start"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        Ok(Self { child, client, url, store })
    }

    /// Warms up, runs, and takes the middle.
    pub async fn measure(&self, case: Case, runs: usize, run: Duration) -> anyhow::Result<Measured> {
        let pid = self.child.id().context("the peer died")?;
        let processes = [Process { name: "nats-server".into(), pid }, procs::load_generator()];
        self.run(case, run / 3).await?;
        let mut rates = Vec::new();
        let mut used = Used::default();
        let mut events = 0;
        for _ in 0..runs {
            let before = procs::sample(&processes);
            let (sent, took) = self.run(case, run).await?;
            used.add(&Used::between(&processes, &before, &procs::sample(&processes)));
            rates.push(sent as f64 / took.as_secs_f64());
            events += sent;
        }
        Ok(Measured { rate: Middle::of(&rates), events, used })
    }

    /// Publishes into a fresh stream until the time is up and all is acknowledged.
    async fn run(&self, case: Case, duration: Duration) -> anyhow::Result<(u64, Duration)> {
        let js = async_nats::jetstream::new(self.client.clone());
        let _ = js.delete_stream(STREAM).await;
        let config = Config {
            name: STREAM.into(),
            subjects: vec![SUBJECT.into()],
            storage: StorageType::File,
            ..Config::default()
        };
        let stream = js.create_stream(config).await?;
        let client = async_nats::connect(&self.url).await?;
        let mut messages = Messages::new(case, duration)?;
        match case.publisher {
            Publisher::Context => with_context(&client, case.window, &mut messages).await?,
            Publisher::Bare => bare(&client, case.window, &mut messages).await?,
        }
        let took = messages.start.elapsed();
        let stored = stream.get_info().await?.state.messages;
        anyhow::ensure!(stored == messages.sent as u64, "the peer stored {stored} of {} messages", messages.sent);
        js.delete_stream(STREAM).await?;
        Ok((messages.events, took))
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill().await?;
        std::fs::remove_dir_all(&self.store)?;
        Ok(())
    }
}

async fn with_context(client: &Client, window: usize, messages: &mut Messages) -> anyhow::Result<()> {
    let js = async_nats::jetstream::new(client.clone());
    let mut acks = VecDeque::with_capacity(window);
    while let Some(payload) = messages.next() {
        if acks.len() == window {
            acknowledged(&mut acks).await?;
        }
        acks.push_back(js.publish(SUBJECT, payload).await?.into_future());
    }
    while !acks.is_empty() {
        acknowledged(&mut acks).await?;
    }
    Ok(())
}

type Ack = <PublishAckFuture as IntoFuture>::IntoFuture;

async fn acknowledged(acks: &mut VecDeque<Ack>) -> anyhow::Result<()> {
    if let Some(ack) = acks.pop_front() {
        ack.await?;
    }
    Ok(())
}

async fn bare(client: &Client, window: usize, messages: &mut Messages) -> anyhow::Result<()> {
    let (subject, inbox) = (Subject::from_static(SUBJECT), Subject::from(client.new_inbox()));
    let mut acks = client.subscribe(inbox.clone()).await?;
    let (mut acked, mut open) = (0, true);
    while open || acked < messages.sent {
        while open && messages.sent - acked < window {
            match messages.next() {
                Some(payload) => client.publish_with_reply(subject.clone(), inbox.clone(), payload).await?,
                None => open = false,
            }
        }
        if acked == messages.sent {
            continue;
        }
        let mut next = Some(acks.next().await.context("the peer's connection ended")?);
        while let Some(ack) = next {
            check_ack(&ack.payload)?;
            acked += 1;
            next = acks.next().now_or_never().flatten();
        }
    }
    Ok(())
}

// === impl Messages ===

impl Messages {
    fn new(case: Case, duration: Duration) -> anyhow::Result<Self> {
        let mut batches = Vec::new();
        for connection in 0..CONNECTIONS {
            batches.push(Batch::new(case.events_per_message, connection)?);
        }
        Ok(Self {
            batches,
            start: Instant::now(),
            duration,
            sent: 0,
            sent_max: RUN_BYTES_MAX as usize / (case.events_per_message * crate::events::EVENT_BYTES),
            events: 0,
        })
    }

    /// None when it is enough.
    fn next(&mut self) -> Option<Bytes> {
        if self.sent >= self.sent_max || self.start.elapsed() >= self.duration {
            return None;
        }
        let batch = &mut self.batches[self.sent % CONNECTIONS];
        batch.stamp(self.events, now_us());
        self.sent += 1;
        self.events += batch.events() as u64;
        Some(Bytes::copy_from_slice(&batch.bytes))
    }
}

fn check_ack(payload: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(
        memchr::memmem::find(payload, b"\"seq\"").is_some(),
        "the peer refused a message: {}",
        String::from_utf8_lossy(payload)
    );
    Ok(())
}
