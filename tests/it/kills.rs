//! Any process may be killed at any time: what was acknowledged is stored, delivered, and unchanged.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use er_testkit::{Options, Part, Rng};

use crate::scene::{Scene, FRESH_WITHIN};
use crate::support::{alone, on_its_own, send, stored};

/// Longer than it takes until a message's events are tried one by one.
const OUTAGE: Duration = Duration::from_secs(12);

/// A host is started anew at once; a machine that does much else takes its time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

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

/// Whoever starts a lattice that ran before, and deploys at once, meets hosts that are still bringing up what ran then.
#[test]
fn another_version_is_deployed_while_the_one_before_it_comes_up() -> anyhow::Result<()> {
    on_its_own(&Options::default(), |platform| async move {
        let tenant = platform.tenant("redeployed").await?;
        platform.kill9(Part::PlatformHost).await?;
        platform.processes.wait(Part::PlatformHost, BACK_WITHIN).await?;
        platform.redeploy("jetstream.strikes_max=6").await?;
        tenant.client.wait_ingesting(FRESH_WITHIN).await?;
        send(&tenant, "/s", "after", "t", "1").await?;
        stored(&tenant, "/s", "after").await?;
        Ok(())
    })
}
