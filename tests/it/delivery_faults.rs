//! Consumers that break: what they could not handle is tried again, then a dead letter; nobody else notices.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_testkit::{until, Component, Consumer, Oracle, Platform, Tenant};
use futures::StreamExt as _;
use serde_json::Value;

use crate::scene::Neighbour;
use crate::support::{accepted, alone, event, now_us, post, send, BATCH};

const DEAD_WITHIN: Duration = Duration::from_secs(120);
const HANDLED_WITHIN: Duration = Duration::from_secs(90);

const ATTEMPTS: u64 = 3;
const BACKOFF_MS: u64 = 200;

/// A tenant with a consumer that breaks on demand.
struct Hostile {
    platform: Arc<Platform>,
    tenant: Tenant,
    consumer: Consumer,
    oracle: Oracle,
}

// === impl Hostile ===

impl Hostile {
    async fn new(platform: &Arc<Platform>, theme: &str, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let tenant = platform.tenant(theme).await?;
        let (attempts, backoff) = (ATTEMPTS.to_string(), BACKOFF_MS.to_string());
        let mut all = vec![("attempts_max", &*attempts), ("backoff_ms", &*backoff), ("timeout_ms", "4000")];
        all.extend(settings);
        let consumer = platform.consumer(&tenant, Component::Hostile, &all).await?;
        Ok(Self { platform: Arc::clone(platform), oracle: Oracle::new(tenant.clone()), tenant, consumer })
    }

    async fn handled(&self, id: &str) -> anyhow::Result<()> {
        until(&format!("event {id} with the consumer"), HANDLED_WITHIN, || async {
            let handled = self.oracle.was_handled(&self.consumer.id, "2020-01-01T00:00:00Z", "/s", id).await?;
            Ok(handled.then_some(()))
        })
        .await
    }

    /// The dead letter of an event.
    async fn dead(&self, id: &str) -> anyhow::Result<Value> {
        until(&format!("the dead letter of {id}"), DEAD_WITHIN, || async {
            let dead = self.tenant.dead_letters().await?;
            Ok(dead.into_iter().find(|letter| letter["event"]["id"] == id))
        })
        .await
    }

    /// Holds a dead letter to say who gave up on what, why, and after how many attempts.
    async fn given_up(&self, id: &str, reason: &str) -> anyhow::Result<()> {
        let letter = self.dead(id).await?;
        ensure!(letter["stage"] == "deliver", "{letter}");
        ensure!(letter["attempts"] == ATTEMPTS, "{letter}");
        ensure!(letter["consumer"] == self.consumer.id, "{letter}");
        ensure!(letter["event"]["source"] == "/s", "{letter}");
        ensure!(letter["reason"].as_str().is_some_and(|said| said.contains(reason)), "expected {reason:?}: {letter}");
        Ok(())
    }

    /// The consumer still works: what comes now is handled.
    async fn works(&self, id: &str) -> anyhow::Result<()> {
        send(&self.tenant, "/s", id, "fine", "1").await?;
        self.handled(id).await
    }

    async fn retire(self) -> anyhow::Result<()> {
        self.platform.retire(&self.consumer).await
    }
}

#[test]
fn whatever_way_a_consumer_breaks_its_event_dies_and_the_neighbours_go_on() -> anyhow::Result<()> {
    alone(|platform| async move {
        let hostile = Hostile::new(&platform, "broken", &[]).await?;
        hostile.works("before").await?;
        let neighbour = Neighbour::start(&platform, "neighbour").await?;
        let ways = [
            ("trap", "test.trap", "1", "trapped"),
            ("error", "test.error", "1", "test.error: the whole batch"),
            ("fail", "test.fail", "1", "test.fail: never"),
            ("slow", "test.slow", "30000", "did not answer within 4000 ms"),
            ("loop", "test.loop", "1", "did not answer within 4000 ms"),
        ];
        for (id, event_type, data, reason) in ways {
            let started = Instant::now();
            send(&hostile.tenant, "/s", id, event_type, data).await?;
            hostile.given_up(id, reason).await?;
            eprintln!("{id}: dead after {:.1} s", started.elapsed().as_secs_f32());
            hostile.works(&format!("after-{id}")).await?;
        }
        neighbour.stop().await?;
        let dead = hostile.tenant.dead_letters().await?;
        ensure!(dead.len() == ways.len(), "{dead:?}");
        hostile.retire().await
    })
}

#[test]
fn many_that_loop_for_ever_at_once_hold_no_neighbour_up() -> anyhow::Result<()> {
    alone(|platform| async move {
        let neighbour = Neighbour::start(&platform, "besieged").await?;
        let mut all = Vec::new();
        for n in 0..3 {
            let hostile = Hostile::new(&platform, &format!("loops{n}"), &[]).await?;
            hostile.works("before").await?;
            all.push(hostile);
        }
        // One each: with more they would strike out.
        for hostile in &all {
            send(&hostile.tenant, "/s", "1", "test.loop", "1").await?;
        }
        for hostile in &all {
            hostile.given_up("1", "did not answer within 4000 ms").await?;
        }
        neighbour.stop().await?;
        for hostile in all {
            hostile.works("after").await?;
            hostile.retire().await?;
        }
        Ok(())
    })
}

#[test]
fn what_fails_for_a_while_is_handled_in_the_end() -> anyhow::Result<()> {
    alone(|platform| async move {
        let hostile = Hostile::new(&platform, "later", &[("attempts_max", "10")]).await?;
        let from_ms = now_us() / 1_000 + 2_000;
        send(&hostile.tenant, "/s", "later", "test.later", &from_ms.to_string()).await?;
        hostile.handled("later").await?;
        ensure!(now_us() / 1_000 >= from_ms, "it was handled before it could be");
        ensure!(hostile.tenant.dead_letters().await?.is_empty(), "it is a dead letter as well");
        hostile.retire().await
    })
}

#[test]
fn attempts_are_counted_and_each_waits_longer_than_the_last() -> anyhow::Result<()> {
    alone(|platform| async move {
        let hostile = Hostile::new(&platform, "backoff", &[]).await?;
        hostile.works("before").await?;
        let nats = platform.nats().await?;
        let mut reports = nats.subscribe(format!("er.report.delivery.{}", hostile.tenant.id)).await?;
        nats.flush().await?;
        send(&hostile.tenant, "/s", "fail", "test.fail", "1").await?;
        hostile.given_up("fail", "never").await?;
        let mut attempts = Vec::new();
        while attempts.len() < usize::try_from(ATTEMPTS)? {
            let report = tokio::time::timeout(Duration::from_secs(5), reports.next()).await.context("no report")?;
            let report: Value = serde_json::from_slice(&report.context("no more reports")?.payload)?;
            if report["failed"] == 1 {
                attempts.push((report["attempt"].as_u64(), report["handled_us"].as_u64().unwrap_or_default()));
            }
        }
        let counted: Vec<u64> = attempts.iter().filter_map(|(attempt, _)| *attempt).collect();
        ensure!(counted == (1..=ATTEMPTS).collect::<Vec<_>>(), "attempts {counted:?}");
        for (pair, doublings) in attempts.windows(2).zip(0..) {
            let waited_ms = pair[1].1.saturating_sub(pair[0].1) / 1_000;
            let backoff_ms = BACKOFF_MS << doublings;
            ensure!(waited_ms >= backoff_ms, "attempt {:?} came {waited_ms} ms after the last", pair[1].0);
        }
        hostile.retire().await
    })
}

#[test]
fn one_bad_event_of_a_batch_dies_alone() -> anyhow::Result<()> {
    alone(|platform| async move {
        // 40 events are single ones by the third attempt.
        let hostile = Hostile::new(&platform, "poison", &[("attempts_max", "3")]).await?;
        hostile.works("before").await?;
        for (theme, event_type, reason) in [
            ("trap", "test.trap", "trapped"),
            ("error", "test.error", "the whole batch"),
            ("fail", "test.fail", "never"),
        ] {
            let id = |n: usize| format!("{theme}-{n}");
            let ids: Vec<String> = (0..40).map(id).collect();
            let events =
                ids.iter().enumerate().map(|(n, id)| event("/s", id, if n == 17 { event_type } else { "fine" }, "1"));
            let body = format!("[{}]", events.collect::<Vec<_>>().join(","));
            let answer = post(&hostile.tenant.client, BATCH, body).await?;
            accepted(&answer, &ids.iter().map(String::as_str).collect::<Vec<_>>())?;
            hostile.given_up(&id(17), reason).await?;
            for n in (0..40).filter(|n| *n != 17) {
                hostile.handled(&id(n)).await?;
            }
        }
        let dead = hostile.tenant.dead_letters().await?;
        ensure!(dead.len() == 3, "{dead:?}");
        hostile.retire().await
    })
}
