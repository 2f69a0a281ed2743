//! Any process may be killed at any time: what was acknowledged is stored, delivered, and unchanged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_testkit::load::Shape;
use er_testkit::usage::collected;
use er_testkit::{until, Component, Consumer, Load, Oracle, Part, Platform, Rng};

use crate::support::{alone, event, now, post, save_rules, send, stored, EVENT, LIVE_WITHIN};

/// From a kill to a fresh event with the consumer, sent by a client that only does what 503 and Retry-After tell it to.
const FRESH_WITHIN: Duration = Duration::from_secs(60);
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// Longer than it takes until a message's events are tried one by one.
const OUTAGE: Duration = Duration::from_secs(12);

/// What the tenant's rules leave on every event.
const SEEN: &str = r#""ertags":"seen""#;

fn kills() -> usize {
    std::env::var("ER_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(3)
}

/// All of them, or those that `ER_KILL` names («Nats,Store»).
fn victims() -> Vec<Part> {
    let named = std::env::var("ER_KILL").unwrap_or_default();
    Part::CRITICAL
        .into_iter()
        .filter(|part| named.is_empty() || named.split(',').any(|name| name == format!("{part:?}")))
        .collect()
}

struct Scene {
    platform: Arc<Platform>,
    oracle: Arc<Oracle>,
    consumer: Consumer,
    rng: Rng,
    probes: usize,
}

// === impl Scene ===

impl Scene {
    async fn new(platform: &Arc<Platform>, seed: u64) -> anyhow::Result<Self> {
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

    fn load(&self, seed: u64) -> Load {
        Load::start(&self.oracle.tenant.client, &self.oracle, &Shape { seed, ..Shape::default() })
    }

    /// An event sent now arrives at the consumer, without anybody's help.
    async fn fresh(&mut self) -> anyhow::Result<Duration> {
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
    async fn judge(self, load: Load, seed: u64) -> anyhow::Result<()> {
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

#[test]
fn nothing_acknowledged_is_lost_whichever_process_is_killed() -> anyhow::Result<()> {
    alone(|platform| async move {
        let seed = Rng::seed("kills");
        let mut scene = Scene::new(&platform, seed).await?;
        scene.fresh().await.context("before any kill")?;
        let load = scene.load(seed);
        let mut parts: Vec<Part> = (0..kills()).flat_map(|_| victims()).collect();
        scene.rng.shuffle(&mut parts);
        for (n, part) in parts.iter().enumerate() {
            // In the midst of it: after so many events, not at a time.
            load.advance(1 + scene.rng.below(200), FRESH_WITHIN)
                .await
                .with_context(|| format!("before kill {n} of {part:?}"))?;
            let pid = platform.kill9(*part).await?;
            let healed = scene.fresh().await.with_context(|| format!("after kill {n}: {part:?} ({pid})"))?;
            eprintln!(
                "kill {n:2} {part:?} ({pid}): a fresh event passed after {:.1} s; {}",
                healed.as_secs_f32(),
                load.stats
            );
        }
        scene.judge(load, seed).await
    })
}

#[test]
fn an_outage_of_the_store_makes_no_dead_letters() -> anyhow::Result<()> {
    alone(|platform| async move {
        let seed = Rng::seed("outage");
        let mut scene = Scene::new(&platform, seed).await?;
        scene.fresh().await.context("before the outage")?;
        let load = scene.load(seed);
        load.advance(100, FRESH_WITHIN).await?;
        let began = Instant::now();
        while began.elapsed() < OUTAGE {
            platform.kill9(Part::Store).await?;
        }
        scene.fresh().await.context("after the outage")?;
        scene.judge(load, seed).await
    })
}

#[test]
fn nothing_acknowledged_is_lost_when_everything_is_killed_at_once() -> anyhow::Result<()> {
    alone(|platform| async move {
        let seed = Rng::seed("kills of everything");
        let mut scene = Scene::new(&platform, seed).await?;
        scene.fresh().await.context("before any kill")?;
        let load = scene.load(seed);
        load.advance(200, FRESH_WITHIN).await?;
        for part in victims() {
            // A host's death takes its providers with it.
            if platform.processes.find(part).is_some() {
                let _ = platform.kill9(part).await;
            }
        }
        let healed = scene.fresh().await?;
        eprintln!("everything: a fresh event passed after {:.1} s", healed.as_secs_f32());
        scene.judge(load, seed).await
    })
}
