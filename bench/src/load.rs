//! The load: connections that post stamped batches, as fast as they are answered or at a set rate.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use memchr::memmem;
use tokio::task::JoinSet;

use crate::door::{Answer, Door};
use crate::events::Batch;
use crate::now_us;
use crate::path::Case;
use crate::stats::Weighted;

/// How long a refused request waits at most before it is sent again, whatever Retry-After says: the bench measures
/// what the platform takes, not how patient its clients are.
const REFUSED_WAIT_MAX: Duration = Duration::from_millis(50);
const GIVE_UP: Duration = Duration::from_secs(30);

/// Who posts where.
#[derive(Debug, Clone)]
pub struct Load {
    pub addr: SocketAddr,
    pub grpc_addr: String,
    pub api_key: String,
    /// The number of the next event, never used twice.
    pub numbers: Arc<AtomicU64>,
}

/// How requests follow one another.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each connection's next request goes when the one before is answered.
    Closed,
    /// Requests go at set times, whether earlier ones are answered or not.
    Open { events_per_s: f64 },
}

/// What was posted.
#[derive(Debug, Clone, Default)]
pub struct Posted {
    pub events: u64,
    pub requests: u64,
    /// Answers that asked to come again.
    pub refused: u64,
    pub first_us: u64,
    pub last_us: u64,
    /// Microseconds from the request to its 202, refusals included.
    pub answered_us: Weighted,
    /// Microseconds from when a request was due to when it went out.
    pub late_us: Weighted,
}

struct Poster {
    door: Door,
    request: Batch,
    numbers: Arc<AtomicU64>,
    answer_bytes: Option<usize>,
    posted: Posted,
}

// === impl Load ===

impl Load {
    pub async fn run(&self, case: Case, pace: Pace, duration: Duration) -> anyhow::Result<Posted> {
        let Case { events, connections, door } = case;
        let mut posters = Vec::new();
        for index in 0..connections {
            posters.push(Poster {
                door: door.open(self.addr, &self.grpc_addr, &self.api_key).await?,
                request: door.request(events, index, self.addr, &self.api_key)?,
                numbers: Arc::clone(&self.numbers),
                answer_bytes: None,
                posted: Posted::default(),
            });
        }
        let start = Instant::now();
        let end = start + duration;
        let mut tasks = JoinSet::new();
        for (index, poster) in posters.into_iter().enumerate() {
            match pace {
                Pace::Closed => tasks.spawn(poster.closed(end)),
                Pace::Open { events_per_s } => {
                    let gap = Duration::from_secs_f64(events as f64 / events_per_s);
                    let first = start + gap.mul_f64(index as f64);
                    tasks.spawn(poster.open(first, gap.mul_f64(connections as f64), end))
                }
            };
        }
        let mut all = Posted::default();
        while let Some(posted) = tasks.join_next().await {
            all.add(&posted.context("a poster")??);
        }
        Ok(all)
    }
}

// === impl Poster ===

impl Poster {
    async fn closed(mut self, end: Instant) -> anyhow::Result<Posted> {
        while Instant::now() < end {
            self.post().await?;
        }
        Ok(self.posted)
    }

    async fn open(mut self, first: Instant, gap: Duration, end: Instant) -> anyhow::Result<Posted> {
        let mut due = first;
        while due < end {
            tokio::time::sleep_until(due.into()).await;
            let late = due.elapsed();
            self.posted.late_us.push(micros(late), self.request.events() as u64);
            self.post().await?;
            due += gap;
        }
        Ok(self.posted)
    }

    /// Posts the next batch until it is taken.
    async fn post(&mut self) -> anyhow::Result<()> {
        let events = self.request.events() as u64;
        let first = self.numbers.fetch_add(events, Ordering::Relaxed);
        let started = Instant::now();
        let now = now_us();
        if self.posted.first_us == 0 {
            self.posted.first_us = now;
        }
        self.request.stamp(first, now);
        loop {
            match self.door.exchange(&self.request).await? {
                Answer::Taken(receipts) => {
                    // Ids have a fixed width, so that answers have one too, once one was looked into.
                    if self.answer_bytes != Some(receipts.len()) {
                        check_receipts(&receipts, first, events)?;
                        self.answer_bytes = Some(receipts.len());
                    }
                    break;
                }
                Answer::Again(wait) => {
                    anyhow::ensure!(started.elapsed() < GIVE_UP, "refused for {} s", GIVE_UP.as_secs());
                    self.posted.refused += 1;
                    tokio::time::sleep(wait.unwrap_or(REFUSED_WAIT_MAX).min(REFUSED_WAIT_MAX)).await;
                }
            }
        }
        self.posted.events += events;
        self.posted.requests += 1;
        self.posted.last_us = now_us();
        self.posted.answered_us.push(micros(started.elapsed()), 1);
        Ok(())
    }
}

fn check_receipts(body: &[u8], first: u64, events: u64) -> anyhow::Result<()> {
    for number in first..first + events {
        let id = format!("{number:012}");
        let found = memmem::find(body, id.as_bytes()).is_some();
        anyhow::ensure!(found, "no receipt for event {number} in {}", String::from_utf8_lossy(body));
    }
    Ok(())
}

// === impl Posted ===

impl Posted {
    fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.requests += other.requests;
        self.refused += other.refused;
        if self.first_us == 0 || (other.first_us > 0 && other.first_us < self.first_us) {
            self.first_us = other.first_us;
        }
        self.last_us = self.last_us.max(other.last_us);
        self.answered_us.append(&other.answered_us);
        self.late_us.append(&other.late_us);
    }

    pub fn requests_per_s(&self) -> f64 {
        self.requests as f64 / (self.last_us.saturating_sub(self.first_us).max(1) as f64 / 1e6)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
