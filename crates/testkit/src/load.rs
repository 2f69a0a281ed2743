//! Load that keeps its promises: every event is sent, with the same id, until it is acknowledged.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use er_deploy::client::{Answer, Client};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::oracle::Oracle;
use crate::rng::Rng;

/// Longer than ingest takes to give up.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// Retry-After is obeyed up to here: a test has no time for more.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(1);
const RECONNECT_AFTER: Duration = Duration::from_millis(100);
const UNEXPECTED_KEPT: usize = 5;

/// How much, and in which form.
#[derive(Debug, Clone)]
pub struct Shape {
    pub seed: u64,
    pub connections: usize,
    /// Over all connections.
    pub events_per_s: u32,
    /// Events of a request, one of these at random.
    pub batches: Vec<usize>,
    /// About how many bytes of data an event has.
    pub data_bytes: usize,
    pub source: String,
}

/// What happened, while it does.
#[derive(Debug, Default)]
pub struct Stats {
    pub acknowledged: AtomicUsize,
    /// Requests that had to be sent again, by why.
    again: Mutex<BTreeMap<String, usize>>,
    /// Answers that no sender should ever get.
    unexpected: Mutex<Vec<String>>,
    /// The longest that one request took to be acknowledged, all its attempts together.
    slowest_ms: AtomicU64,
}

/// Load that is running.
#[derive(Debug)]
pub struct Load {
    pub stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<bool>,
}

struct Connection {
    client: Client,
    oracle: Arc<Oracle>,
    stats: Arc<Stats>,
    stop: Arc<AtomicBool>,
    shape: Shape,
    index: usize,
    rng: Rng,
    sent: usize,
}

/// One request, as it is sent again and again.
struct Request {
    headers: Vec<(&'static str, String)>,
    body: String,
    ids: Vec<String>,
}

// === impl Shape ===

impl Default for Shape {
    fn default() -> Self {
        Self {
            seed: 1,
            connections: 4,
            events_per_s: 300,
            batches: vec![1, 1, 16, 64],
            data_bytes: 200,
            source: "/load".into(),
        }
    }
}

// === impl Stats ===

impl Stats {
    fn note_again(&self, why: String) {
        *self.again.lock().entry(why).or_default() += 1;
    }

    fn note_unexpected(&self, what: String) {
        let mut unexpected = self.unexpected.lock();
        if unexpected.len() < UNEXPECTED_KEPT {
            unexpected.push(what);
        }
    }

    /// Answers that no sender should ever get.
    #[must_use]
    pub fn unexpected(&self) -> Vec<String> {
        self.unexpected.lock().clone()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = self.again.lock().clone();
        write!(
            f,
            "{} acknowledged, the slowest after {} ms, sent again: {again:?}",
            self.acknowledged.load(Ordering::Relaxed),
            self.slowest_ms.load(Ordering::Relaxed)
        )
    }
}

// === impl Load ===

impl Load {
    /// Starts sending in the name of `client`; what is sent and acknowledged is noted with `oracle`.
    #[must_use]
    pub fn start(client: &Client, oracle: &Arc<Oracle>, shape: &Shape) -> Self {
        let stats = Arc::<Stats>::default();
        let stop = Arc::<AtomicBool>::default();
        let mut tasks = JoinSet::new();
        for index in 0..shape.connections {
            let connection = Connection {
                client: client.clone(),
                oracle: Arc::clone(oracle),
                stats: Arc::clone(&stats),
                stop: Arc::clone(&stop),
                shape: shape.clone(),
                index,
                rng: Rng::new(shape.seed.wrapping_mul(1_000).wrapping_add(index as u64)),
                sent: 0,
            };
            tasks.spawn(connection.run());
        }
        Self { stats, stop, tasks }
    }

    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.stats.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many further events were acknowledged.
    ///
    /// # Errors
    /// When they are not by the deadline.
    pub async fn advance(&self, events: usize, deadline: Duration) -> anyhow::Result<()> {
        let goal = self.acknowledged() + events;
        crate::until(&format!("{events} further acknowledged events"), deadline, || async {
            let now = self.acknowledged();
            ensure!(now >= goal, "{} are still to come ({})", goal - now, self.stats);
            Ok(Some(()))
        })
        .await
    }

    /// Begins nothing new, and waits until what was begun is acknowledged.
    ///
    /// # Errors
    /// When something is not by the deadline, or when an answer came that should not exist.
    pub async fn stop(mut self, deadline: Duration) -> anyhow::Result<Arc<Stats>> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = tokio::time::timeout(deadline, async { while self.tasks.join_next().await.is_some() {} }).await;
        ensure!(ended.is_ok(), "{} connections wait for an acknowledgement still ({})", self.tasks.len(), self.stats);
        let unexpected = self.stats.unexpected();
        ensure!(unexpected.is_empty(), "answers that no sender should get: {unexpected:#?} ({})", self.stats);
        Ok(self.stats)
    }
}

// === impl Connection ===

impl Connection {
    /// Whether everything that it began was acknowledged.
    async fn run(mut self) -> bool {
        let per_connection = f64::from(self.shape.events_per_s) / self.shape.connections.max(1) as f64;
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let request = self.request();
            if !self.deliver(&request).await {
                return false;
            }
            // What an outage kept back is not made up for: load is to be steady.
            due = due.max(Instant::now() - Duration::from_secs(1))
                + Duration::from_secs_f64(request.ids.len() as f64 / per_connection);
            tokio::time::sleep_until(due.into()).await;
        }
        true
    }

    fn request(&mut self) -> Request {
        let count = self.rng.pick(&self.shape.batches).copied().unwrap_or(1);
        let drafts: Vec<(String, String)> = (0..count).map(|_| self.draft()).collect();
        let ids = drafts.iter().map(|(id, _)| id.clone()).collect();
        for (id, data) in &drafts {
            self.oracle.sending(&self.shape.source, id, data);
        }
        let key = self.rng.below(8);
        match drafts.as_slice() {
            // Binary mode now and then: the data is the body.
            [(id, data)] if self.rng.below(2) == 0 => Request {
                headers: vec![
                    ("content-type", "application/json".into()),
                    ("ce-specversion", "1.0".into()),
                    ("ce-type", "test.load".into()),
                    ("ce-source", self.shape.source.clone()),
                    ("ce-id", id.clone()),
                    ("ce-partitionkey", format!("k{key}")),
                ],
                body: data.clone(),
                ids,
            },
            [(id, data)] => Request {
                headers: vec![("content-type", "application/cloudevents+json".into())],
                body: self.event(id, data, key),
                ids,
            },
            many => Request {
                headers: vec![("content-type", "application/cloudevents-batch+json".into())],
                body: format!(
                    "[{}]",
                    many.iter()
                        .enumerate()
                        .map(|(at, (id, data))| self.event(id, data, key + at))
                        .collect::<Vec<_>>()
                        .join(",")
                ),
                ids,
            },
        }
    }

    fn draft(&mut self) -> (String, String) {
        self.sent += 1;
        let bytes = self.shape.data_bytes / 2 + self.rng.below(self.shape.data_bytes);
        (format!("{}-{}-{}", self.shape.seed, self.index, self.sent), self.rng.json(bytes))
    }

    fn event(&self, id: &str, data: &str, key: usize) -> String {
        format!(
            r#"{{"specversion":"1.0","type":"test.load","source":"{}","id":"{id}","partitionkey":"k{}","data":{data}}}"#,
            self.shape.source,
            key % 8
        )
    }

    /// Sends until it is acknowledged. False when it never will be.
    async fn deliver(&self, request: &Request) -> bool {
        let started = Instant::now();
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        loop {
            let posted = tokio::time::timeout(ANSWER_WITHIN, self.client.post_event(&headers, request.body.clone()));
            let wait = match posted.await {
                Ok(Ok(answer)) if answer.status == 202 => {
                    self.note(&answer, request, started);
                    return true;
                }
                Ok(Ok(answer)) if matches!(answer.status.as_u16(), 429 | 503 | 504) => {
                    self.stats.note_again(answer.status.as_u16().to_string());
                    retry_after(&answer).unwrap_or_else(|| {
                        self.stats.note_unexpected(format!("{} without Retry-After: {}", answer.status, answer.body));
                        RECONNECT_AFTER
                    })
                }
                Ok(Ok(answer)) => {
                    self.stats.note_unexpected(format!("{} {}", answer.status, answer.body));
                    return false;
                }
                Ok(Err(_)) => {
                    self.stats.note_again("connection".into());
                    RECONNECT_AFTER
                }
                Err(_) => {
                    self.stats.note_unexpected(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
                    RECONNECT_AFTER
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn note(&self, answer: &Answer, request: &Request, started: Instant) {
        let receipts: Vec<String> = receipts(answer);
        if receipts != request.ids {
            self.stats.note_unexpected(format!("receipts {receipts:?} for the events {:?}", request.ids));
        }
        for id in &request.ids {
            self.oracle.acknowledged(&self.shape.source, id);
        }
        self.stats.acknowledged.fetch_add(request.ids.len(), Ordering::Relaxed);
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.stats.slowest_ms.fetch_max(took, Ordering::Relaxed);
    }
}

/// The ids of an answer's receipts.
#[must_use]
pub fn receipts(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let receipts = json.get("receipts").and_then(serde_json::Value::as_array);
    receipts.into_iter().flatten().filter_map(|receipt| receipt.get("id")?.as_str().map(str::to_string)).collect()
}

/// What an answer asks to wait.
#[must_use]
pub fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds: u64 = answer.retry_after.as_deref()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}
