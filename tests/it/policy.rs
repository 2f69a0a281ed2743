//! Deliveries by policy: replaced live, and closed while nobody decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use er_deploy::client::{Answer, Client};
use er_testkit::platform::{root, HEALED_WITHIN};
use er_testkit::{until, Component, Oracle, Part, Platform, Tenant};
use futures::{FutureExt as _, StreamExt as _};
use reqwest::Method;
use serde_json::{json, Value};

use crate::support::{accepted, alone, counted, event, in_order, no_dead_letters, now_us, post, send, stored, EVENT};

/// Promised are 5 s; a machine that does much else takes its time.
const LIVE_WITHIN: Duration = Duration::from_secs(60);
const HANDLED_WITHIN: Duration = Duration::from_secs(90);
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

async fn put(client: &Client, path: &str, media_type: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    let url = format!("{}{path}", client.api);
    let request = client.raw(Method::PUT, &url).bearer_auth(client.key());
    Client::answer(request.header("content-type", media_type).body(body)).await
}

fn revision(answer: &Answer) -> anyhow::Result<String> {
    ensure!(answer.status == 201, "{} {}", answer.status, answer.body);
    answer.json()["revision"].as_str().map(str::to_owned).context("no revision")
}

async fn activate(platform: &Platform, bundle: &str, data: Option<&str>) -> anyhow::Result<()> {
    let wanted = json!({ "bundle": bundle, "data": data });
    until("it to be activated", LIVE_WITHIN, || async {
        let answer = platform.operator.call(Method::POST, "/api/v1/policies:activate", Some(&wanted)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(Some(()))
    })
    .await
}

/// The revision that decides now.
async fn decides(platform: &Platform) -> anyhow::Result<String> {
    let answer = platform.operator.get("/api/v1/policies").await?;
    answer.json()["revision"].as_str().map(str::to_owned).with_context(|| answer.body.clone())
}

async fn handled(oracle: &Oracle, consumer: &str, id: &str) -> anyhow::Result<()> {
    until(&format!("event {id} with the consumer"), HANDLED_WITHIN, || async {
        Ok(oracle.was_handled(consumer, LONG_AGO, "/s", id).await?.then_some(()))
    })
    .await
}

/// How often a batch waited since no policy decided.
async fn waits(platform: &Platform) -> anyhow::Result<f64> {
    counted(platform, "jetstream", "eventrunner_delivery_policy_waits_total").await
}

async fn waits_again(platform: &Platform, before: f64) -> anyhow::Result<()> {
    until("a batch that waits for a decision", HANDLED_WITHIN, || async {
        Ok((waits(platform).await? > before).then_some(()))
    })
    .await
}

#[test]
fn a_policy_that_is_replaced_live_keeps_a_type_back_and_lets_it_go_when_it_is_rolled_back() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("blocked").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        send(&tenant, "/s", "before", "test.blocked", "1").await?;
        handled(&oracle, &consumer.id, "before").await?;

        let bundle = std::fs::read(root().join("build/policies.tar.gz")).context("scripts/build-policies makes it")?;
        let bundle = revision(&put(&platform.operator, "/api/v1/policies/bundle", "application/gzip", bundle).await?)?;
        let data = json!({ "platform": { "tenants": { tenant.id.as_str(): { "blocked_types": ["test.blocked"] } } } });
        let data =
            put(&platform.operator, "/api/v1/policies/data", "application/json", data.to_string().into()).await?;
        let data = revision(&data)?;
        // What can't be used is refused, and changes nothing.
        let broken =
            put(&platform.operator, "/api/v1/policies/bundle", "application/gzip", b"no bundle".to_vec()).await?;
        ensure!(broken.status.is_client_error(), "{} {}", broken.status, broken.body);

        activate(&platform, &bundle, Some(&data)).await?;
        let started = Instant::now();
        let mut sent = 0;
        // A denial becomes final only once nobody can take the tenant, which is new, for one that is not there.
        while goes_through(&tenant, &oracle, &consumer.id, &format!("b{sent}")).await? {
            ensure!(started.elapsed() < LIVE_WITHIN, "nothing was kept back within {LIVE_WITHIN:?}");
            sent += 1;
        }
        eprintln!("kept back {} ms after it was activated, {sent} before", started.elapsed().as_millis());
        let kept = [format!("b{sent}"), "k1".to_owned(), "k2".to_owned()];
        for id in &kept[1..] {
            ensure!(!goes_through(&tenant, &oracle, &consumer.id, id).await?, "{id} went through");
        }
        let dead = tenant.dead_letters().await?;
        let letter = dead.iter().find(|letter| letter["event"]["id"] == kept[1]).context("no dead letter of it")?;
        ensure!(letter["reason"].as_str().is_some_and(|said| said.contains("test.blocked")), "{letter}");
        ensure!(letter["revision"].as_str().is_some_and(|revision| revision.starts_with(&bundle)), "{letter}");
        ensure!(letter["consumer"] == consumer.id, "{letter}");
        until("its story", HANDLED_WITHIN, || async {
            let story = tenant.client.get(&format!("/api/v1/events/%2Fs/{}/story", kept[1])).await?;
            ensure!(story.status == 200, "{} {}", story.status, story.body);
            let story = story.json();
            ensure!(story["end"] == "dropped" && story["stored"] == true, "{story}");
            Ok(Some(()))
        })
        .await?;
        // Other types go on.
        send(&tenant, "/s", "other", "test.other", "1").await?;
        handled(&oracle, &consumer.id, "other").await?;
        for id in &kept[1..] {
            ensure!(!oracle.was_handled(&consumer.id, LONG_AGO, "/s", id).await?, "{id} was delivered all the same");
        }

        activate(&platform, &bundle, None).await?;
        let started = Instant::now();
        let mut sent = 0;
        while !goes_through(&tenant, &oracle, &consumer.id, &format!("a{sent}")).await? {
            ensure!(started.elapsed() < LIVE_WITHIN, "nothing goes through within {LIVE_WITHIN:?}");
            sent += 1;
        }
        eprintln!("let go {} ms after it was rolled back, {sent} kept before", started.elapsed().as_millis());
        // What was kept back is not lost either.
        let wanted = json!({ "stage": "policy", "consumer": consumer.id });
        until("what was kept back to be redriven", HANDLED_WITHIN, || async {
            let redriven = tenant.client.call(Method::POST, "/api/v1/dead-letters:redrive", Some(&wanted)).await?;
            ensure!(redriven.status == 200 && redriven.json()["kept"] == json!([]), "{}", redriven.body);
            Ok(Some(()))
        })
        .await?;
        for id in &kept {
            handled(&oracle, &consumer.id, id).await?;
        }
        no_dead_letters(&tenant).await?;
        platform.retire(&consumer).await
    })
}

/// Sends an event of the type that is kept back, and says whether the consumer got it: if not, it is a dead letter by now.
async fn goes_through(tenant: &Tenant, oracle: &Oracle, consumer: &str, id: &str) -> anyhow::Result<bool> {
    send(tenant, "/s", id, "test.blocked", "1").await?;
    until(&format!("an end of event {id}"), HANDLED_WITHIN, || async {
        let dead = tenant.dead_letters().await?;
        if dead.iter().any(|letter| letter["stage"] == "policy" && letter["event"]["id"] == id) {
            return Ok(Some(false));
        }
        Ok(oracle.was_handled(consumer, LONG_AGO, "/s", id).await?.then_some(true))
    })
    .await
}

/// Sends events of a type that nobody asked about yet, and holds that none is delivered while batches wait.
async fn held_back(platform: &Arc<Platform>, tenant: &Tenant, event_type: &str, ids: &[String]) -> anyhow::Result<()> {
    let nats = platform.nats().await?;
    let mut reports = nats.subscribe(format!("er.report.delivery.{}", tenant.id)).await?;
    nats.flush().await?;
    let (before, began_us) = (waits(platform).await?, now_us());
    for id in ids {
        send(tenant, "/s", id, event_type, "1").await?;
    }
    waits_again(platform, before + 1.0).await?;
    while let Some(Some(report)) = reports.next().now_or_never() {
        let report: Value = serde_json::from_slice(&report.payload)?;
        // What came in before was delivered before, and may be told of late.
        ensure!(report["received_us"].as_i64() < Some(began_us), "delivered without a decision: {report}");
    }
    Ok(())
}

/// Sends events one after the other until it is told to stop, and says how many.
async fn send_on(tenant: Tenant, stop: Arc<AtomicBool>) -> anyhow::Result<usize> {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let id = sent.to_string();
        let answer = post(&tenant.client, EVENT, event("/ordered", &id, "test.ordered", "1")).await?;
        if answer.status != 503 {
            accepted(&answer, &[&id])?;
            sent += 1;
        }
    }
    Ok(sent)
}

#[test]
fn while_nobody_decides_nothing_is_delivered_and_nothing_is_lost_or_overtaken() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("undecided").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        send(&tenant, "/s", "before", "t", "1").await?;
        handled(&oracle, &consumer.id, "before").await?;
        let ids: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();

        let paused = platform.pause(Part::Opa).await?;
        held_back(&platform, &tenant, "test.undecided", &ids).await?;
        // What comes while others wait does not go ahead of them.
        let failed = crate::support::not_taken(&platform).await?;
        let stop = Arc::<AtomicBool>::default();
        let sending = tokio::spawn(send_on(tenant.clone(), Arc::clone(&stop)));
        let before = waits(&platform).await?;
        waits_again(&platform, before + 1.0).await?;
        // Killed, it is brought back by whoever brings providers back.
        let dead = platform.kill9(Part::Opa).await?;
        drop(paused);
        let started = Instant::now();
        until("another provider of policy", HEALED_WITHIN, || async {
            Ok(platform.processes.find(Part::Opa).filter(|pid| *pid != dead))
        })
        .await?;
        for id in &ids {
            handled(&oracle, &consumer.id, id).await?;
        }
        eprintln!("delivered {:.1} s after the kill", started.elapsed().as_secs_f32());
        stop.store(true, Ordering::Relaxed);
        let sent: Vec<String> = (0..sending.await??).map(|n| n.to_string()).collect();
        in_order(&platform, &oracle, &consumer, "/ordered", &sent, failed, HANDLED_WITHIN).await?;
        eprintln!("{} events in order", sent.len());
        ensure!(tenant.dead_letters().await?.is_empty(), "{:?}", tenant.dead_letters().await?);
        platform.retire(&consumer).await
    })
}

#[test]
fn events_of_a_suspended_tenant_wait_for_it() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("suspended").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let oracle = Oracle::new(tenant.clone());
        send(&tenant, "/s", "before", "t", "1").await?;
        handled(&oracle, &consumer.id, "before").await?;

        let hold = |what: &str| format!("/api/v1/consumers/{}:{what}?tenant={}", consumer.id, tenant.id);
        let held = platform.operator.call(Method::POST, &hold("pause"), Some(&json!({ "reason": "test" }))).await?;
        ensure!(held.status == 200, "{} {}", held.status, held.body);
        let ids: Vec<String> = (0..5).map(|n| format!("s{n}")).collect();
        for id in &ids {
            send(&tenant, "/s", id, "test.suspended", "1").await?;
            stored(&tenant, "/s", id).await?;
        }
        let known = decides(&platform).await?;
        tenant.patch(&json!({ "suspended": true })).await?;
        // Tenants are part of what the policy decides by, and so of its revision.
        until("the policy to know of it", LIVE_WITHIN, || async {
            Ok((decides(&platform).await? != known).then_some(()))
        })
        .await?;
        let before = waits(&platform).await?;
        let resumed = platform.operator.call(Method::POST, &hold("resume"), Some(&json!({}))).await?;
        ensure!(resumed.status == 200, "{} {}", resumed.status, resumed.body);
        waits_again(&platform, before).await?;
        let query = format!("/api/v1/events?tenant={}&type=test.seen", tenant.id);
        let seen = platform.operator.get(&query).await?;
        ensure!(seen.status == 200 && !seen.body.contains("\"s0\""), "{} {}", seen.status, seen.body);

        tenant.patch(&json!({ "suspended": false })).await?;
        for id in &ids {
            handled(&oracle, &consumer.id, id).await?;
        }
        ensure!(tenant.dead_letters().await?.is_empty(), "{:?}", tenant.dead_letters().await?);
        platform.retire(&consumer).await
    })
}
