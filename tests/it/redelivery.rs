//! Dead letters delivered again or discarded, and stored events replayed, by who may.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::client::Answer;
use er_testkit::{until, Component, Consumer, Oracle, Part, Tenant};
use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{accepted, alone, no_dead_letters, now, now_us, posted, refused, send, shared, stored, JSON};

const WITHIN: Duration = Duration::from_secs(60);
/// Of a replay that is interrupted.
const EVENTS: u64 = 100;
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn post(tenant: &Tenant, path: &str, body: &Value) -> anyhow::Result<Answer> {
    tenant.client.call(Method::POST, path, Some(body)).await
}

async fn handled(oracle: &Oracle, consumer: &Consumer, id: &str) -> anyhow::Result<()> {
    until(&format!("event {id} with the consumer"), WITHIN, || async {
        Ok(oracle.was_handled(&consumer.id, LONG_AGO, "/s", id).await?.then_some(()))
    })
    .await
}

/// The dead letter of an event behind a place.
async fn dead(tenant: &Tenant, id: &str, after: u64) -> anyhow::Result<Value> {
    until(&format!("the dead letter of {id}"), WITHIN, || async {
        let all = tenant.dead_letters().await?;
        Ok(all.into_iter().find(|letter| letter["event"]["id"] == id && letter["seq"].as_u64() > Some(after)))
    })
    .await
}

#[test]
fn dead_letters_are_delivered_again_die_again_and_are_discarded() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("redriven").await?;
        let consumer = platform.consumer(&tenant, Component::Hostile, &[("attempts_max", "1")]).await?;
        let oracle = Oracle::new(tenant.clone());
        send(&tenant, "/s", "first", "fine", "1").await?;
        handled(&oracle, &consumer, "first").await?;
        let from_ms = now_us() / 1_000 + 45_000;
        send(&tenant, "/s", "later", "test.later", &from_ms.to_string()).await?;
        send(&tenant, "/s", "never", "test.fail", "1").await?;
        let later = dead(&tenant, "later", 0).await?["seq"].as_u64().context("no seq")?;
        let never = dead(&tenant, "never", 0).await?["seq"].as_u64().context("no seq")?;
        let one = tenant.client.get(&format!("/api/v1/dead-letters/{never}")).await?;
        ensure!(one.status == 200 && one.json()["reason"] == "test.fail: never", "{}", one.body);

        // Another tenant neither sees them nor moves them.
        let other = platform.tenant("stranger").await?;
        refused(&other.client.get(&format!("/api/v1/dead-letters/{never}")).await?, 404, "not-found")?;
        let theirs = post(&other, "/api/v1/dead-letters:redrive", &json!({ "seqs": [never] })).await?;
        ensure!(theirs.json()["redriven"] == 0, "{}", theirs.body);
        let theirs = post(&other, "/api/v1/dead-letters:discard", &json!({ "seqs": [never] })).await?;
        ensure!(theirs.json()["discarded"] == 0, "{}", theirs.body);
        let viewer = tenant.key("viewer").await?;
        let path = "/api/v1/dead-letters:redrive";
        refused(&viewer.client.call(Method::POST, path, Some(&json!({ "all": true }))).await?, 403, "forbidden")?;

        // What still fails is a dead letter again: another one, though it is the same event.
        let again = post(&tenant, path, &json!({ "seqs": [never] })).await?;
        ensure!(again.json()["redriven"] == 1, "{} {}", again.status, again.body);
        let again = dead(&tenant, "never", never).await?["seq"].as_u64().context("no seq")?;

        until("the time that it waits for", WITHIN * 2, || async { Ok((now_us() / 1_000 > from_ms).then_some(())) })
            .await?;
        let done = post(&tenant, path, &json!({ "consumer": consumer.id, "reason": "test.later" })).await?;
        ensure!(done.json()["redriven"] == 1, "{} {}", done.status, done.body);
        handled(&oracle, &consumer, "later").await?;
        let gone = post(&tenant, path, &json!({ "seqs": [later] })).await?;
        ensure!(gone.json()["redriven"] == 0, "{}", gone.body);

        let discarded = post(&tenant, "/api/v1/dead-letters:discard", &json!({ "seqs": [again] })).await?;
        ensure!(discarded.json()["discarded"] == 1, "{} {}", discarded.status, discarded.body);
        no_dead_letters(&tenant).await?;
        platform.retire(&consumer).await
    })
}

#[test]
fn an_event_that_is_given_up_once_more_is_a_dead_letter_once_more() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("twice").await?;
        let headers = [("content-type", JSON), ("x-github-event", "push"), ("x-github-delivery", "odd")];
        let mut last = 0;
        // Again and again within what JetStream remembers of ids.
        for _ in 0..3 {
            accepted(&posted(&tenant.client, &headers, "7").await?, &["odd"])?;
            last = dead(&tenant, "odd", last).await?["seq"].as_u64().context("no seq")?;
            let discarded = post(&tenant, "/api/v1/dead-letters:discard", &json!({ "seqs": [last] })).await?;
            ensure!(discarded.json()["discarded"] == 1, "{} {}", discarded.status, discarded.body);
        }
        Ok(())
    })
}

#[test]
fn a_window_is_replayed_to_one_consumer_once_more_and_no_other_event() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("replayed").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        let ids: Vec<String> = (0..30).map(|n| n.to_string()).collect();
        let sent = |id: String| {
            let (tenant, oracle) = (&tenant, &oracle);
            async move {
                oracle.sending("/s", &id, "1");
                send(tenant, "/s", &id, "t", "1").await?;
                oracle.acknowledged("/s", &id);
                stored(tenant, "/s", &id).await.map(drop)
            }
        };
        sent("early".into()).await?;
        handled(&oracle, &consumer, "early").await?;
        let from = now();
        for id in &ids {
            sent(id.clone()).await?;
        }
        for id in &ids {
            handled(&oracle, &consumer, id).await?;
        }
        let nats = platform.nats().await?;
        let mut reports = nats.subscribe(format!("er.report.delivery.{}", tenant.id)).await?;
        nats.flush().await?;
        // The stream is for fresh events: what left it is in the store.
        let stream = async_nats::jetstream::new(nats.clone()).get_stream("ER_EVENTS").await?;
        let purged = stream.purge().filter(format!("er.events.{}", tenant.id)).await?;
        ensure!(purged.purged > 30, "{purged:?}");

        let unknown = json!({ "consumer": "nobody", "from": from });
        refused(&post(&tenant, "/api/v1/replays", &unknown).await?, 404, "not-found")?;
        let old = json!({ "consumer": consumer.id, "from": LONG_AGO });
        refused(&post(&tenant, "/api/v1/replays", &old).await?, 403, "forbidden")?;
        let begun =
            post(&tenant, "/api/v1/replays", &json!({ "consumer": consumer.id, "from": from, "types": ["t"] })).await?;
        ensure!(begun.status == 202, "{} {}", begun.status, begun.body);
        let id = begun.json()["id"].as_str().context("no id")?.to_owned();
        let done = until("the replay to be over", WITHIN, || async {
            let record = tenant.client.get(&format!("/api/v1/replays/{id}")).await?.json();
            Ok((record["done"] == true).then_some(record))
        })
        .await?;
        ensure!(done["state"] == "done" && done["sent"] == 30 && done["reached"] == done["to"], "{done}");
        // The recorder's own reports say the same of an event that it sees again, and so count once.
        let (mut again, mut events) = (Vec::new(), 0);
        while events < 30 {
            let report = tokio::time::timeout(WITHIN, reports.next()).await.context("too few deliveries")?;
            let report: Value = serde_json::from_slice(&report.context("no more reports")?.payload)?;
            // What is replayed was not received now.
            if report["received_us"] == 0 {
                let count = |name: &str| report[name].as_u64().unwrap_or_default();
                events += count("events") - count("failed");
                again.push(report);
            }
        }
        ensure!(events == 30, "{again:?}");
        let report = oracle.consumer(&consumer.id).await?;
        ensure!(report.is_clean(), "{report}");
        ensure!(tenant.dead_letters().await?.is_empty());
        platform.retire(&consumer).await
    })
}

#[test]
fn a_replay_goes_on_where_a_provider_that_was_killed_left_it() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("interrupted").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        let from = now();
        let ids: Vec<String> = (0..EVENTS).map(|n| n.to_string()).collect();
        for id in &ids {
            send(&tenant, "/s", id, "t", "1").await?;
        }
        for id in &ids {
            handled(&oracle, &consumer, id).await?;
        }
        let nats = platform.nats().await?;
        let mut reports = nats.subscribe(format!("er.report.delivery.{}", tenant.id)).await?;
        nats.flush().await?;
        let window = json!({ "consumer": consumer.id, "from": from, "types": ["t"], "events_per_s": 4 });
        let begun = post(&tenant, "/api/v1/replays", &window).await?;
        ensure!(begun.status == 202, "{} {}", begun.status, begun.body);
        let path = format!("/api/v1/replays/{}", begun.json()["id"].as_str().context("no id")?);
        let record = || async { anyhow::Ok(tenant.client.get(&path).await?.json()) };
        let midway = until("a replay that is under way", WITHIN, || async {
            let record = record().await?;
            Ok((record["sent"].as_u64() > Some(0)).then_some(record))
        })
        .await?;
        ensure!(midway["state"] == "running" && midway["sent"].as_u64() < Some(EVENTS), "{midway}");
        platform.kill9(Part::Jetstream).await?;
        let done = until("the replay to be over", WITHIN * 3, || async {
            let record = record().await?;
            Ok((record["done"] == true).then_some(record))
        })
        .await?;
        ensure!(done["state"] == "done" && done["sent"] == EVENTS, "{done}");
        let mut events = 0;
        while events < EVENTS {
            let report = tokio::time::timeout(WITHIN, reports.next()).await.context("too few deliveries")?;
            let report: Value = serde_json::from_slice(&report.context("no more reports")?.payload)?;
            events += report["events"].as_u64().unwrap_or_default();
        }
        ensure!(tenant.dead_letters().await?.is_empty());
        platform.retire(&consumer).await
    })
}
