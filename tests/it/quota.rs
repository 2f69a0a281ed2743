//! A tenant far beyond its quota, and the neighbour that keeps to its own. Counted over the same rounds, since how many
//! a second a busy machine makes of them is no matter.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_deploy::client::Answer;
use er_testkit::Tenant;
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::{interval, MissedTickBehavior};

use crate::support::{event, post, refused, shared, EVENT};

const RATE_PER_S: u32 = 4;
const TIMES: usize = 10;
const ROUNDS: usize = 40;
/// Rounds come no faster than the quota earns one event.
const ROUND: Duration = Duration::from_millis(1_000 / RATE_PER_S as u64);

#[derive(Debug, Default)]
struct Count {
    admitted: usize,
    refused: usize,
}

// === impl Count ===

impl Count {
    fn note(&mut self, answer: &Answer) -> anyhow::Result<()> {
        if answer.status == 202 {
            self.admitted += 1;
            return Ok(());
        }
        refused(answer, 429, "rate-limited")?;
        let wait: u64 = answer.retry_after.as_deref().context("no Retry-After")?.parse()?;
        ensure!(wait >= 1, "Retry-After: {wait}");
        self.refused += 1;
        Ok(())
    }
}

async fn one(tenant: &Tenant, id: String) -> anyhow::Result<Answer> {
    post(&tenant.client, EVENT, event("/s", &id, "t", "1")).await
}

#[test]
fn ten_times_the_quota_is_refused_and_the_neighbour_keeps_its_rate() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (greedy, neighbour) = (platform.tenant("greedy").await?, platform.tenant("frugal").await?);
        // Before the edge sees a key of theirs for the first time, so that it never knew another quota.
        for tenant in [&greedy, &neighbour] {
            tenant.patch(&json!({ "quota": { "events_per_s": RATE_PER_S, "burst": RATE_PER_S } })).await?;
        }
        let (mut much, mut little) = (Count::default(), Count::default());
        let mut rounds = interval(ROUND);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let started = Instant::now();
        for round in 0..ROUNDS {
            rounds.tick().await;
            let many = try_join_all((0..TIMES).map(|n| one(&greedy, format!("{round}-{n}"))));
            let (many, answer) = tokio::try_join!(many, one(&neighbour, round.to_string()))?;
            little.note(&answer)?;
            for answer in &many {
                much.note(answer)?;
            }
        }
        let earned = started.elapsed().as_secs_f64() * f64::from(RATE_PER_S);
        eprintln!("greedy {much:?} of {} with {earned:.0} earned; its neighbour {little:?}", ROUNDS * TIMES);
        ensure!(little.admitted * 10 >= ROUNDS * 9, "the neighbour: {little:?}");
        // The burst, and the requests that passed beside the one that overdrew.
        let most = earned + f64::from(RATE_PER_S) + TIMES as f64;
        ensure!(much.admitted as f64 <= most, "{} were admitted, over {most:.0}", much.admitted);
        // Unless rounds took so long that most of them were earned.
        let half = ROUNDS * TIMES / 2;
        ensure!(most > half as f64 || much.refused > half, "hardly anything was refused: {much:?}");
        // What it may, it still may.
        ensure!(much.admitted * 10 >= ROUNDS * 5, "it was shut out: {much:?}");
        Ok(())
    })
}
