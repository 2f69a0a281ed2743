//! A consumer that fails again and again is held, with a word to its owner, and loses nothing.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::{until, Component, Consumer, Oracle, Platform, Tenant};
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{alone, send, stored};

const WITHIN: Duration = Duration::from_secs(60);
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// What rests under a consumer's key.
async fn record(
    platform: &Platform,
    tenant: &Tenant,
    consumer: &Consumer,
    what: &str,
) -> anyhow::Result<Option<Value>> {
    let js = async_nats::jetstream::new(platform.nats().await?);
    let bucket = js.get_key_value("ER_CONSUMERS").await?;
    let found = bucket.get(format!("{}.{}.{what}", tenant.id, consumer.id)).await?;
    found.map(|value| serde_json::from_slice(&value).context("not JSON")).transpose()
}

async fn paused(platform: &Platform, tenant: &Tenant, consumer: &Consumer) -> anyhow::Result<Value> {
    until("the consumer to be paused", WITHIN, || async {
        Ok(record(platform, tenant, consumer, "state").await?.filter(|state| state["paused"] == true))
    })
    .await
}

async fn seen(platform: &Platform, tenant: &Tenant, consumer: &Consumer, paused: bool) -> anyhow::Result<()> {
    until("what delivers to act upon it", WITHIN, || async {
        let seen = record(platform, tenant, consumer, "seen").await?;
        Ok(seen.filter(|seen| seen["paused"] == paused && seen["revision"].is_u64()).map(drop))
    })
    .await
}

async fn handled(oracle: &Oracle, consumer: &Consumer, id: &str) -> anyhow::Result<()> {
    until(&format!("event {id} with the consumer"), WITHIN, || async {
        Ok(oracle.was_handled(&consumer.id, LONG_AGO, "/s", id).await?.then_some(()))
    })
    .await
}

#[test]
fn five_calls_that_fail_in_a_row_pause_a_consumer_and_what_came_meanwhile_follows() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("strikes").await?;
        let settings = [("attempts_max", "6"), ("backoff_ms", "200")];
        let consumer = platform.consumer(&tenant, Component::Hostile, &settings).await?;
        let oracle = Oracle::new(tenant.clone());
        send(&tenant, "/s", "before", "fine", "1").await?;
        handled(&oracle, &consumer, "before").await?;

        send(&tenant, "/s", "bad", "test.trap", "1").await?;
        let state = paused(&platform, &tenant, &consumer).await?;
        ensure!(state["by"] == "strikes" && state["strikes"] == 5, "{state}");
        let reason = state["reason"].as_str().unwrap_or_default();
        ensure!(["5 calls", "trapped", "none is lost", "resume"].iter().all(|part| reason.contains(part)), "{reason}");
        seen(&platform, &tenant, &consumer, true).await?;

        let ids: Vec<String> = (0..5).map(|n| format!("w{n}")).collect();
        for id in &ids {
            send(&tenant, "/s", id, "fine", "1").await?;
            stored(&tenant, "/s", id).await?;
        }
        for id in &ids {
            ensure!(
                !oracle.was_handled(&consumer.id, LONG_AGO, "/s", id).await?,
                "{id} was delivered to a paused consumer"
            );
        }
        ensure!(tenant.dead_letters().await?.is_empty(), "its last attempt was made while it was paused");

        let path = format!("/api/v1/consumers/{}:resume", consumer.id);
        let resumed = tenant.client.call(Method::POST, &path, Some(&json!({}))).await?;
        ensure!(resumed.status == 200, "{} {}", resumed.status, resumed.body);
        for id in &ids {
            handled(&oracle, &consumer, id).await?;
        }
        let letter = until("the dead letter of what trapped", WITHIN, || async {
            Ok(tenant.dead_letters().await?.into_iter().next())
        })
        .await?;
        ensure!(letter["event"]["id"] == "bad" && letter["attempts"] == 6, "{letter}");
        platform.retire(&consumer).await
    })
}

#[test]
fn events_that_fail_alone_are_no_strikes() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("fails").await?;
        let settings = [("attempts_max", "2"), ("backoff_ms", "50")];
        let consumer = platform.consumer(&tenant, Component::Hostile, &settings).await?;
        let oracle = Oracle::new(tenant.clone());
        for n in 0..7 {
            send(&tenant, "/s", &format!("f{n}"), "test.fail", "1").await?;
        }
        until("their dead letters", WITHIN, || async { Ok((tenant.dead_letters().await?.len() == 7).then_some(())) })
            .await?;
        let state = record(&platform, &tenant, &consumer, "state").await?;
        ensure!(state.is_none(), "{state:?}");
        send(&tenant, "/s", "after", "fine", "1").await?;
        handled(&oracle, &consumer, "after").await?;
        platform.retire(&consumer).await
    })
}
