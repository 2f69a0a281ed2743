//! The whole path, measured: HTTP or gRPC in, stored, delivered to the consumer, acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use crate::check::{self, Stored};
use crate::door::Kind;
use crate::events::Known;
use crate::load::{Load, Pace, Posted};
use crate::now_us;
use crate::platform::{Counters, Platform};
use crate::procs::{self, Process, Used};
use crate::reports::{Delivered, Reports};
use crate::stats::{Middle, Weighted};

const DELIVERED_MAX: Duration = Duration::from_secs(60);

/// Batch size, how many connections post at once, and by which door.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub events: usize,
    pub connections: usize,
    pub door: Kind,
}

/// The path, ready to be loaded.
pub struct Path<'p> {
    platform: &'p Platform,
    processes: Vec<Process>,
    load: Load,
    reports: Reports,
    runs: usize,
    run: Duration,
}

/// A case over all its runs.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Delivered events a second, from the first request until the last event was delivered.
    pub rate: Middle,
    pub requests_per_s: Middle,
    pub events: u64,
    pub delivered: u64,
    pub refused: u64,
    pub failed: u64,
    /// Posting and draining, all runs.
    pub seconds: f64,
    /// How much of it was draining.
    pub drain_s: f64,
    pub answered_us: Weighted,
    pub late_us: Weighted,
    pub latency_us: Weighted,
    pub call_us: Weighted,
    pub consumer_calls: u64,
    pub used: Used,
    pub counters: Counters,
    pub stored: Stored,
}

struct Run {
    posted: Posted,
    delivered: Delivered,
}

// === impl Path ===

impl<'p> Path<'p> {
    pub async fn new(platform: &'p Platform, runs: usize, run: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            platform,
            processes: platform.processes()?,
            load: Load {
                addr: platform.ingest_addr(),
                grpc_addr: platform.deployed.env.grpc_addr.clone(),
                api_key: platform.deployed.env.api_key.clone(),
                numbers: Arc::new(AtomicU64::new(1)),
            },
            reports: Reports::follow(&platform.deployed.env.nats_url, &platform.deployed.env.tenant).await?,
            runs,
            run,
        })
    }

    pub async fn measure(&self, case: Case, pace: Pace) -> anyhow::Result<Measured> {
        let (first, from_us) = (self.load.numbers.load(Ordering::Relaxed), now_us());
        self.once(case, pace, self.run / 3).await?;
        self.platform.quiet().await?;
        let mut sum = Measured::default();
        let (mut rates, mut requests) = (Vec::new(), Vec::new());
        let counters = self.platform.counters().await?;
        for _ in 0..self.runs {
            let before = procs::sample(&self.processes);
            let run = self.once(case, pace, self.run).await?;
            sum.used.add(&Used::between(&self.processes, &before, &procs::sample(&self.processes)));
            rates.push(run.events_per_s());
            requests.push(run.posted.requests_per_s());
            sum.add(run);
            self.platform.quiet().await?;
        }
        sum.rate = Middle::of(&rates);
        sum.requests_per_s = Middle::of(&requests);
        sum.counters = self.platform.counters().await?;
        for (name, value) in &mut sum.counters {
            *value -= counters.get(name).copied().unwrap_or_default();
        }
        let sent = first..self.load.numbers.load(Ordering::Relaxed);
        let known = Known::new(case.connections, case.events, case.door)?;
        sum.stored = check::stored(self.platform, &known, sent, from_us).await?;
        Ok(sum)
    }

    /// From arrival to the consumer, of one run.
    pub async fn latency(&self, case: Case, pace: Pace) -> anyhow::Result<Weighted> {
        Ok(self.once(case, pace, self.run).await?.delivered.latency_us)
    }

    async fn once(&self, case: Case, pace: Pace, duration: Duration) -> anyhow::Result<Run> {
        self.reports.restart();
        let posted = self.load.run(case, pace, duration).await?;
        let delivered = self.reports.until(posted.events, DELIVERED_MAX).await?;
        Ok(Run { posted, delivered })
    }

    pub fn processes(&self) -> &[Process] {
        &self.processes
    }
}

// === impl Run ===

impl Run {
    fn seconds(&self) -> f64 {
        self.delivered.last_us.saturating_sub(self.posted.first_us) as f64 / 1e6
    }

    fn events_per_s(&self) -> f64 {
        self.posted.events as f64 / self.seconds()
    }
}

// === impl Measured ===

impl Measured {
    fn add(&mut self, run: Run) {
        self.seconds += run.seconds();
        self.drain_s += run.delivered.last_us.saturating_sub(run.posted.last_us) as f64 / 1e6;
        self.events += run.posted.events;
        self.delivered += run.delivered.events;
        self.refused += run.posted.refused;
        self.failed += run.delivered.failed;
        self.consumer_calls += run.delivered.calls;
        self.answered_us.append(&run.posted.answered_us);
        self.late_us.append(&run.posted.late_us);
        self.latency_us.append(&run.delivered.latency_us);
        self.call_us.append(&run.delivered.call_us);
    }

    /// What is wrong with it, if anything: no number counts that was reached by losing events.
    pub fn defects(&self) -> Vec<String> {
        let Stored { missing, repeated, altered, distinct } = self.stored;
        let mut defects = Vec::new();
        if missing + repeated + altered > 0 {
            defects.push(format!(
                "the store holds {distinct} of the events sent: {missing} missing, {repeated} twice, {altered} altered"
            ));
        }
        if self.failed > 0 {
            defects.push(format!("the consumer did not handle {} events at once", self.failed));
        }
        defects
    }

    /// An event's share of a counter.
    pub fn per_event(&self, name: &str) -> f64 {
        self.counters.get(name).copied().unwrap_or_default() / self.events as f64
    }

    /// The mean of a histogram.
    pub fn mean(&self, name: &str) -> f64 {
        let get = |suffix: &str| self.counters.get(&format!("{name}{suffix}")).copied().unwrap_or_default();
        let count = get("_count");
        if count > 0.0 {
            get("_sum") / count
        } else {
            0.0
        }
    }
}
