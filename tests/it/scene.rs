//! What is tried again and again while something breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use er_testkit::load::Shape;
use er_testkit::usage::collected;
use er_testkit::{until, Component, Consumer, Load, Oracle, Platform, Rng};

use crate::support::{event, now, post, save_rules, send, stored, EVENT, LIVE_WITHIN};

/// From a kill to a fresh event with the consumer, sent by a client that only does what 503 and Retry-After tell it to.
pub const FRESH_WITHIN: Duration = Duration::from_secs(60);
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

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
        // Money: each event once, whoever died while it was counted, and however often a client sent it again.
        let stored = self.oracle.tenant.events("").await?;
        // A consumer does not get what it emitted itself.
        let wanted = stored.iter().filter(|event| !event.contains(r#""eremitter""#)).count() as u64;
        let stored = stored.len() as u64;
        let used = collected(&self.platform, &self.oracle.tenant).await?;
        let of = |meter: &str| used.get(meter).copied().unwrap_or_default();
        eprintln!("usage of {stored} events: {used:?}");
        ensure!(of("events_in") == stored && of("rule_evaluations") == of("events_in"), "{stored} events: {used:?}");
        ensure!(of("events_out") >= wanted && of("deliveries") >= of("events_out"), "{wanted} wanted: {used:?}");
        self.platform.retire(&self.consumer).await
    }
}
