//! What is tried again and again while something breaks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use er_testkit::load::Shape;
use er_testkit::usage::collected;
use er_testkit::{until, Component, Consumer, Load, Oracle, Platform, Rng};
use tokio::sync::watch;

use crate::support::{event, now, post, save_rules, send, stored, EVENT, LIVE_WITHIN};

/// From a kill to a fresh event with the consumer, sent by a client that only does what 503 and Retry-After tell it to.
pub const FRESH_WITHIN: Duration = Duration::from_secs(180);
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(180);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
const COUNTED_WITHIN: Duration = Duration::from_secs(180);
/// A neighbour's events are with its consumer within this time, whatever happens next door. `make bench` measures how fast; this is
/// more than one halt of the machine, or some calls that had to be made again.
const NEIGHBOUR_WITHIN: Duration = Duration::from_secs(60);

/// What the tenant's rules leave on every event.
const SEEN: &str = r#""ertags":"seen""#;

/// A tenant with rules and a consumer, load on it, and what it is all held to in the end.
pub struct Scene {
    platform: Arc<Platform>,
    oracle: Arc<Oracle>,
    consumer: Consumer,
    pub rng: Rng,
    probes: usize,
}

/// A tenant that has steady load on it and a consumer, and must not notice what happens next door.
pub struct Neighbour {
    oracle: Arc<Oracle>,
    consumer: Consumer,
    load: Load,
    stop: watch::Sender<bool>,
    probes: tokio::task::JoinHandle<anyhow::Result<()>>,
    arrived: Arc<Arrived>,
}

/// Events whose way to the consumer was watched one by one.
#[derive(Debug, Default)]
struct Arrived {
    count: AtomicU64,
    slowest_ms: AtomicU64,
}

// === impl Neighbour ===

impl Neighbour {
    /// Starts it; returns once its first event arrived.
    pub async fn start(platform: &Arc<Platform>, theme: &str) -> anyhow::Result<Self> {
        let tenant = platform.tenant(theme).await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Arc::new(Oracle::new(tenant));
        arrives(&oracle, &consumer, "first", FRESH_WITHIN).await?;
        let shape = Shape { connections: 2, events_per_s: 60, batches: vec![1, 1, 8], ..Shape::default() };
        let load = Load::start(&oracle.tenant.client, &oracle, &shape);
        let (stop, stopped) = watch::channel(false);
        let arrived = Arc::<Arrived>::default();
        let probes = {
            let (oracle, consumer, arrived) = (Arc::clone(&oracle), consumer.clone(), Arc::clone(&arrived));
            tokio::spawn(async move {
                while !*stopped.borrow() {
                    let started = Instant::now();
                    let count = arrived.count.load(Ordering::Relaxed);
                    arrives(&oracle, &consumer, &format!("probe-{count}"), NEIGHBOUR_WITHIN).await?;
                    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                    arrived.slowest_ms.fetch_max(took, Ordering::Relaxed);
                    arrived.count.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        Ok(Self { oracle, consumer, load, stop, probes, arrived })
    }

    /// Waits until an event that is sent from now on arrives: how many have by then, and after how many milliseconds the
    /// slowest since this was asked last.
    pub async fn goes_on(&self) -> anyhow::Result<(u64, u64)> {
        // The one that is on its way may have been sent before.
        let goal = self.arrived.count.load(Ordering::Relaxed) + 2;
        until("the neighbour's next event with its consumer", 2 * NEIGHBOUR_WITHIN, || async {
            ensure!(!self.probes.is_finished(), "an event of the neighbour did not arrive");
            Ok((self.arrived.count.load(Ordering::Relaxed) >= goal).then_some(()))
        })
        .await?;
        let slowest = self.arrived.slowest_ms.swap(0, Ordering::Relaxed);
        Ok((self.arrived.count.load(Ordering::Relaxed), slowest))
    }

    /// Ends it, and holds the platform to have lost nothing of it, made nothing up, and kept each in time.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.probes.await??;
        let (count, slowest) = (&self.arrived.count, &self.arrived.slowest_ms);
        let (count, slowest) = (count.load(Ordering::Relaxed), slowest.load(Ordering::Relaxed));
        let stats = self.load.stop(ACKNOWLEDGED_WITHIN).await?;
        eprintln!("the neighbour: {count} events watched, the slowest after {slowest} ms; load: {stats}");
        ensure!(count > 0, "the neighbour got nothing");
        let (store, handled) = self.oracle.settled(&self.consumer.id, SETTLED_WITHIN).await?;
        ensure!(store.is_clean() && store.repeated == 0, "the neighbour's store: {store}");
        ensure!(handled.is_clean(), "the neighbour's consumer: {handled}");
        let dead = self.oracle.tenant.dead_letters().await?;
        ensure!(dead.is_empty(), "the neighbour has {} dead letters, such as {:?}", dead.len(), dead.first());
        Ok(())
    }
}

async fn arrives(oracle: &Oracle, consumer: &Consumer, id: &str, within: Duration) -> anyhow::Result<()> {
    let since = now();
    oracle.sending("/watched", id, "1");
    // As a client would that is told to come again.
    until("the neighbour's event to be taken", within, || async {
        send(&oracle.tenant, "/watched", id, "t", "1").await.map(Some)
    })
    .await?;
    oracle.acknowledged("/watched", id);
    until("the neighbour's event with its consumer", within, || async {
        Ok(oracle.was_handled(&consumer.id, &since, "/watched", id).await?.then_some(()))
    })
    .await
}

// === impl Scene ===

impl Scene {
    pub async fn new(platform: &Arc<Platform>, seed: u64) -> anyhow::Result<Self> {
        let tenant = platform.tenant("kills").await?;
        // What breaks here is the platform, so that no number of attempts may be too many.
        let settings = [("attempts_max", "20"), ("backoff_ms", "100")];
        let consumer = platform.consumer(&tenant, Component::Recorder, &settings).await?;
        // No event may pass its tenant's rules by, whoever died in the midst of it.
        save_rules(&tenant, "seen", r#"rule Seen { when true then Tag("seen"); }"#).await?;
        let oracle = Arc::new(Oracle::new(tenant.clone()));
        until("the rules to be live", LIVE_WITHIN, || async {
            let id = now();
            oracle.sending("/live", &id, "1");
            send(&tenant, "/live", &id, "test.live", "1").await?;
            oracle.acknowledged("/live", &id);
            Ok(stored(&tenant, "/live", &id).await?.contains(SEEN).then_some(()))
        })
        .await?;
        Ok(Self { platform: Arc::clone(platform), oracle, consumer, rng: Rng::new(seed), probes: 0 })
    }

    pub fn load(&self, seed: u64) -> Load {
        Load::start(&self.oracle.tenant.client, &self.oracle, &Shape { seed, ..Shape::default() })
    }

    /// An event sent now arrives at the consumer, without anybody's help.
    pub async fn fresh(&mut self) -> anyhow::Result<Duration> {
        self.probes += 1;
        let (started, since, id) = (Instant::now(), now(), format!("fresh-{}", self.probes));
        self.oracle.sending("/fresh", &id, "1");
        until("a fresh event to be taken", FRESH_WITHIN, || async {
            let answer = post(&self.oracle.tenant.client, EVENT, event("/fresh", &id, "test.fresh", "1")).await?;
            ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
            Ok(Some(()))
        })
        .await?;
        self.oracle.acknowledged("/fresh", &id);
        until("a fresh event with the consumer", FRESH_WITHIN.saturating_sub(started.elapsed()), || async {
            Ok(self.oracle.was_handled(&self.consumer.id, &since, "/fresh", &id).await?.then_some(()))
        })
        .await?;
        Ok(started.elapsed())
    }

    /// Ends the load, and holds the platform to every promise that it made.
    pub async fn judge(self, load: Load, seed: u64) -> anyhow::Result<()> {
        let stats = load.stop(ACKNOWLEDGED_WITHIN).await?;
        eprintln!("load: {stats}");
        let (store, handled) = self.oracle.settled(&self.consumer.id, SETTLED_WITHIN).await?;
        let reads = self.oracle.point_reads(seed).await?;
        eprintln!("store: {store}\nconsumer: {handled}\npoint reads: {reads}");
        let unseen = self.oracle.tenant.events("").await?;
        let unseen: Vec<_> =
            unseen.iter().filter(|event| !event.contains(SEEN) && !event.contains(r#""source":"/live""#)).collect();
        ensure!(unseen.is_empty(), "{} events passed the rules by, such as {:?}", unseen.len(), unseen.first());
        let dead = self.oracle.tenant.dead_letters().await?;
        ensure!(dead.is_empty(), "{} dead letters, such as {:?}", dead.len(), dead.first());
        ensure!(store.is_clean() && store.repeated == 0, "the store: {store}");
        ensure!(handled.is_clean(), "the consumer: {handled}");
        ensure!(reads.is_clean(), "point reads: {reads}");
        // Money: each event once, whoever died while it was counted, and however often a client sent it again. A consumer may
        // still be told again of what it handled before it died, and report that: the two numbers meet when it is through.
        until("usage of what is stored, to the unit", COUNTED_WITHIN, || async {
            let used = collected(&self.platform, &self.oracle.tenant).await?;
            let stored = self.oracle.tenant.events("").await?;
            // A consumer does not get what it emitted itself.
            let wanted = stored.iter().filter(|event| !event.contains(r#""eremitter""#)).count() as u64;
            let stored = stored.len() as u64;
            let of = |meter: &str| used.get(meter).copied().unwrap_or_default();
            eprintln!("usage of {stored} events: {used:?}");
            ensure!(
                of("events_in") == stored && of("rule_evaluations") == of("events_in"),
                "{stored} events: {used:?}"
            );
            ensure!(of("events_out") >= wanted && of("deliveries") >= of("events_out"), "{wanted} wanted: {used:?}");
            Ok(Some(()))
        })
        .await?;
        self.platform.retire(&self.consumer).await
    }
}
