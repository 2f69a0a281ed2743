//! What is slow or gone is told at once, memory stays bounded, and nothing that was promised is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_deploy::client::Client;
use er_testkit::load::Shape;
use er_testkit::{until, Component, Load, Options, Oracle, Part, Platform, Rng, Tenant};
use tokio::task::JoinSet;

use crate::support::{
    accepted, alone, engine_retries, event, in_order, not_taken, on_its_own, post, post_once, send, stored, BATCH,
    EVENT,
};

/// Ingest gives up on a request after 15 s; reading its body and the way back come on top.
const ANSWERED_WITHIN: Duration = Duration::from_secs(28);
const HEALED_WITHIN: Duration = Duration::from_secs(180);
const SENDERS: usize = 200;
/// Of a process that holds at most 32 MiB of bodies.
const RSS_BYTES_MAX: u64 = 160 << 20;
const EVENTS: usize = 64;

/// What so many senders were told, each over a connection of its own, while something stood still.
struct Told {
    refusals: usize,
    accepted: usize,
    slowest: Duration,
    rss_bytes_max: u64,
}

/// A text that does not shrink when it is packed: what is bounded in packed bytes is then full soon.
fn dense(rng: &mut Rng) -> String {
    let hex: String = std::iter::repeat_with(|| format!("{:016x}", rng.draw())).take(250).collect();
    format!("\"{hex}\"")
}

/// Everybody posts a large batch, again and again, until as many as there are senders were refused.
async fn press(platform: &Arc<Platform>, tenant: &Tenant, oracle: &Arc<Oracle>) -> anyhow::Result<Told> {
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let client = Client::new(&platform.api_url, &platform.ingest_url, tenant.client.key())?;
        let oracle = Arc::clone(oracle);
        senders.spawn(async move {
            let mut accepted_events = 0;
            let mut slowest = Duration::ZERO;
            let mut rng = Rng::new(sender as u64);
            for round in 0.. {
                let ids: Vec<String> = (0..EVENTS).map(|n| format!("{sender}-{round}-{n}")).collect();
                let mut body = Vec::new();
                for id in &ids {
                    let data = dense(&mut rng);
                    oracle.sending("/press", id, &data);
                    body.push(event("/press", id, "t", &data));
                }
                let started = Instant::now();
                let answer =
                    tokio::time::timeout(ANSWERED_WITHIN, post_once(&client, BATCH, format!("[{}]", body.join(","))));
                let answer =
                    answer.await.with_context(|| format!("no answer within {} s", ANSWERED_WITHIN.as_secs()))??;
                slowest = slowest.max(started.elapsed());
                match answer.status.as_u16() {
                    202 => {
                        accepted_events += ids.len();
                        ids.iter().for_each(|id| oracle.acknowledged("/press", id));
                    }
                    429 | 503 | 504 => {
                        let wait: u64 =
                            answer.retry_after.with_context(|| format!("no Retry-After: {}", answer.body))?.parse()?;
                        ensure!((1..=60).contains(&wait), "Retry-After: {wait}");
                        ensure!(answer.content_type == "application/problem+json", "{}", answer.content_type);
                        break;
                    }
                    other => anyhow::bail!("{other} {}", answer.body),
                }
            }
            anyhow::Ok((accepted_events, slowest))
        });
    }
    let mut told = Told { refusals: 0, accepted: 0, slowest: Duration::ZERO, rss_bytes_max: 0 };
    loop {
        let ended = tokio::time::timeout(Duration::from_millis(50), senders.join_next()).await;
        told.rss_bytes_max = told.rss_bytes_max.max(platform.processes.rss_bytes(Part::Ingest)?);
        match ended {
            Err(_) => continue,
            Ok(None) => return Ok(told),
            Ok(Some(sender)) => {
                let (accepted, slowest) = sender??;
                told.refusals += 1;
                told.accepted += accepted;
                told.slowest = told.slowest.max(slowest);
            }
        }
    }
}

fn judge(told: &Told) -> anyhow::Result<()> {
    eprintln!(
        "{} refused, {} events taken before, the slowest answer after {:.1} s, ingest at {} MiB at most",
        told.refusals,
        told.accepted,
        told.slowest.as_secs_f32(),
        told.rss_bytes_max >> 20
    );
    ensure!(told.refusals == SENDERS);
    ensure!(told.rss_bytes_max <= RSS_BYTES_MAX, "ingest grew to {} MiB", told.rss_bytes_max >> 20);
    Ok(())
}

/// Load before, pressure while a part stands still, and everything there afterwards.
async fn stand_still(platform: Arc<Platform>, part: Part) -> anyhow::Result<()> {
    let seed = Rng::seed("backpressure");
    let tenant = platform.tenant("pressed").await?;
    let settings = [("attempts_max", "20"), ("backoff_ms", "100")];
    let consumer = platform.consumer(&tenant, Component::Recorder, &settings).await?;
    let oracle = Arc::new(Oracle::new(tenant.clone()));
    let load =
        Load::start(&tenant.client, &oracle, &Shape { seed, connections: 2, events_per_s: 100, ..Shape::default() });
    load.advance(100, HEALED_WITHIN).await?;

    let paused = platform.pause(part).await?;
    let told = press(&platform, &tenant, &oracle).await;
    paused.resume();
    judge(&told?)?;

    // By itself: nobody restarts anything.
    load.advance(100, HEALED_WITHIN).await.context("after it went on")?;
    let stats = load.stop(HEALED_WITHIN).await?;
    eprintln!("load: {stats}");
    let (store, handled) = oracle.settled(&consumer.id, HEALED_WITHIN).await?;
    eprintln!("store: {store}\nconsumer: {handled}");
    ensure!(store.is_clean() && store.repeated == 0, "the store: {store}");
    ensure!(handled.is_clean(), "the consumer: {handled}");
    platform.operator.wait_healthy(HEALED_WITHIN).await
}

/// With these settings, and an edge that believes a key for longer than anything stands still here: each sender is to
/// get as far as to what does.
fn options(sets: &[&str]) -> Options {
    let sets = [sets, &["ingest-http.key_ttl_ms=60000"]].concat().into_iter().map(str::to_owned).collect();
    Options { sets, ..Options::default() }
}

#[test]
fn when_jetstream_stands_still_every_sender_is_told_to_wait() -> anyhow::Result<()> {
    on_its_own(&options(&[]), |platform| stand_still(platform, Part::Nats))
}

#[test]
fn when_the_store_stands_still_events_wait_up_to_a_limit_and_then_senders_do() -> anyhow::Result<()> {
    // A backlog that is full soon.
    on_its_own(&options(&["jetstream.raw_bytes_max=33554432"]), |platform| stand_still(platform, Part::Store))
}

#[test]
fn when_the_jetstream_provider_stands_still_every_sender_is_told_to_wait() -> anyhow::Result<()> {
    on_its_own(&options(&[]), |platform| stand_still(platform, Part::Jetstream))
}

#[test]
fn memory_for_bodies_is_bounded_and_who_finds_none_is_told() -> anyhow::Result<()> {
    on_its_own(&options(&["ingest-http.inflight_bytes_max=1048576"]), |platform| async move {
        let tenant = platform.tenant("room").await?;
        send(&tenant, "/s", "before", "t", "1").await?;
        let paused = platform.pause(Part::Jetstream).await?;
        // Five of these fill the room. Whoever comes then is told without waiting for anybody.
        let large = |n: usize| event("/s", &n.to_string(), "t", &format!("\"{}\"", "x".repeat(200_000)));
        let mut waiting = JoinSet::new();
        for n in 0..40 {
            let (client, body) = (tenant.client.clone(), large(n));
            waiting.spawn(async move {
                let started = Instant::now();
                let answer = post_once(&client, EVENT, body).await?;
                anyhow::Ok((answer, started.elapsed()))
            });
        }
        let mut quick = 0;
        while let Some(ended) = tokio::time::timeout(ANSWERED_WITHIN, waiting.join_next()).await? {
            let (answer, took) = ended??;
            ensure!(matches!(answer.status.as_u16(), 503 | 504), "{} {}", answer.status, answer.body);
            ensure!(answer.retry_after.is_some(), "no Retry-After: {}", answer.body);
            // Those who have room wait for 15 s.
            quick += usize::from(
                answer.status == 503 && answer.body.contains("overloaded") && took < Duration::from_secs(10),
            );
        }
        paused.resume();
        ensure!(quick >= 30, "{quick} of 40 were told at once that there is no room");
        until("an event to be taken again", HEALED_WITHIN, || async {
            let answer = post(&tenant.client, EVENT, large(100)).await?;
            accepted(&answer, &["100"]).map(Some)
        })
        .await?;
        stored(&tenant, "/s", "100").await?;
        Ok(())
    })
}

#[test]
fn what_waits_for_a_store_that_stands_still_goes_on_in_order() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("ordered").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        let (before, failed) = (engine_retries(&platform).await?, not_taken(&platform).await?);
        let paused = platform.pause(Part::Store).await?;
        let ids: Vec<String> = (0..400).map(|n| n.to_string()).collect();
        for (n, id) in ids.iter().enumerate() {
            send(&tenant, "/ordered", id, "t", "1").await?;
            if n == ids.len() / 2 {
                until("a batch that is tried again", HEALED_WITHIN, || async {
                    Ok((engine_retries(&platform).await? > before).then_some(()))
                })
                .await?;
            }
        }
        paused.resume();
        in_order(&platform, &oracle, &consumer, "/ordered", &ids, failed, HEALED_WITHIN).await?;
        platform.retire(&consumer).await
    })
}
