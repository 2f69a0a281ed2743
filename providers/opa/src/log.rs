//! The decision log: every denial, and of what was allowed what is asked for, in the stream `ER_DECISIONS`. Nothing that
//! decides waits for it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, context::Publish};
use er_policy::{Answer, Decision, Failure};
use metrics::counter;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::library::rfc3339;

pub const STREAM: &str = "ER_DECISIONS";
/// Decisions that wait to be written. What was allowed may fill half of it, denials the rest too.
const WAITING_MAX: usize = 8_192;
/// Published before the first of them is confirmed.
const BATCH_MAX: usize = 256;
const AGAIN: Duration = Duration::from_millis(500);
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// More of a question is not repeated.
const INPUT_BYTES_MAX: usize = 4_096;

/// What is logged of what was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allowed {
    None,
    /// What was decided, not what was remembered.
    #[default]
    Fresh,
    All,
}

/// The end that decisions are given to.
#[derive(Debug)]
pub struct DecisionLog {
    allowed: Allowed,
    waiting: mpsc::Sender<Entry>,
    count: AtomicU64,
    process: u64,
    /// How many went to the writer, and how many of them it wrote.
    noted: AtomicU64,
    written: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Entry {
    id: String,
    subject: String,
    text: Vec<u8>,
}

#[derive(Serialize)]
struct Record<'a> {
    at: String,
    /// Who asked.
    caller: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a RawValue>,
    /// The beginning of what is no JSON, or too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    cached: bool,
    #[serde(flatten)]
    decision: &'a Decision,
}

// === impl DecisionLog ===

impl DecisionLog {
    /// With the task that writes, which ends when the log is dropped and everything is written.
    #[must_use]
    pub fn new(allowed: Allowed) -> (Self, Writer) {
        let (waiting, entries) = mpsc::channel(WAITING_MAX);
        // A number of this process: two of them never give one message id to two decisions.
        let process = RandomState::new().build_hasher().finish();
        let written = Arc::new(watch::Sender::new(0));
        let writer = Writer { entries, written: Arc::clone(&written) };
        (Self { allowed, waiting, count: AtomicU64::new(0), process, noted: AtomicU64::new(0), written }, writer)
    }

    /// Waits until what was noted is written.
    pub async fn drain(&self, at_most: Duration) {
        let noted = self.noted.load(Ordering::Relaxed);
        let mut written = self.written.subscribe();
        let all = written.wait_for(|written| *written >= noted);
        if tokio::time::timeout(at_most, all).await.is_err() {
            warn!("decisions are left that the log did not take in time");
        }
    }

    /// Never waits. A denial that finds no room is told to the provider's own log instead.
    pub fn note(&self, caller: &str, question: &str, answer: &Answer) {
        let decision = &*answer.decision;
        let wanted = match (decision.allow, self.allowed) {
            (false, _) | (true, Allowed::All) => true,
            (true, Allowed::Fresh) => !answer.cached,
            (true, Allowed::None) => false,
        };
        if !wanted {
            return;
        }
        if decision.allow && self.waiting.capacity() <= WAITING_MAX / 2 {
            counter!("eventrunner_policy_log_dropped_total", "allow" => "true").increment(1);
            return;
        }
        let id = format!("{:x}-{}", self.process, self.count.fetch_add(1, Ordering::Relaxed));
        let noted = entry(id, caller, question, answer).is_some_and(|entry| self.waiting.try_send(entry).is_ok());
        if noted {
            self.noted.fetch_add(1, Ordering::Relaxed);
        } else {
            counter!("eventrunner_policy_log_dropped_total", "allow" => if decision.allow { "true" } else { "false" })
                .increment(1);
            if !decision.allow {
                let question = beginning(question);
                warn!(caller, question, reason = decision.reason, revision = &*decision.revision, "denied");
            }
        }
    }
}

fn entry(id: String, caller: &str, question: &str, answer: &Answer) -> Option<Entry> {
    let input = Some(question)
        .filter(|question| question.len() <= INPUT_BYTES_MAX && answer.decision.failure != Some(Failure::Input))
        .and_then(|question| serde_json::from_str::<&RawValue>(question).ok());
    let text = input.is_none().then(|| beginning(question));
    let at = rfc3339(SystemTime::now());
    let record = Record { at, caller, input, text, cached: answer.cached, decision: &answer.decision };
    let text = serde_json::to_vec(&record).ok()?;
    let kind = if answer.decision.allow { "allowed" } else { "denied" };
    Some(Entry { id, subject: format!("er.decisions.{kind}"), text })
}

fn beginning(text: &str) -> &str {
    let mut end = text.len().min(INPUT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The end that writes them.
#[derive(Debug)]
pub struct Writer {
    entries: mpsc::Receiver<Entry>,
    written: Arc<watch::Sender<u64>>,
}

// === impl Writer ===

impl Writer {
    /// Writes until the log is dropped. While JetStream is away entries wait, and are written once it is back.
    pub async fn run(mut self, js: jetstream::Context, replicas: usize, age_max: Duration, bytes_max: i64) {
        while let Err(error) = ensure(&js, replicas, age_max, bytes_max).await {
            warn!(error = format!("{error:#}"), "the decision log can't be written, trying again");
            tokio::time::sleep(AGAIN).await;
        }
        let mut batch = Vec::new();
        while self.entries.recv_many(&mut batch, BATCH_MAX).await > 0 {
            while let Err(error) = write(&js, &batch).await {
                warn!(error = format!("{error:#}"), "the decision log can't be written, trying again");
                tokio::time::sleep(AGAIN).await;
            }
            counter!("eventrunner_policy_log_written_total").increment(batch.len() as u64);
            self.written.send_modify(|written| *written += batch.len() as u64);
            batch.clear();
        }
    }
}

/// A batch that was written in part is written again whole: the stream knows the messages by their ids.
async fn write(js: &jetstream::Context, batch: &[Entry]) -> anyhow::Result<()> {
    let mut acks = Vec::with_capacity(batch.len());
    for entry in batch {
        let publish = Publish::build().message_id(&entry.id).payload(entry.text.clone().into());
        acks.push(js.send_publish(entry.subject.clone(), publish).await?);
    }
    for ack in acks {
        ack.await?;
    }
    Ok(())
}

async fn ensure(js: &jetstream::Context, replicas: usize, age_max: Duration, bytes_max: i64) -> anyhow::Result<()> {
    let config = Config {
        name: STREAM.into(),
        subjects: vec!["er.decisions.>".into()],
        storage: StorageType::File,
        num_replicas: replicas,
        max_age: age_max,
        max_bytes: bytes_max,
        discard: DiscardPolicy::Old,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        ..Config::default()
    };
    match js.get_stream(STREAM).await {
        Ok(_) => js.update_stream(config).await.map(|_| ()).context("bringing ER_DECISIONS up to its settings"),
        Err(_) => js.create_stream(config).await.map(|_| ()).context("making ER_DECISIONS"),
    }
}
