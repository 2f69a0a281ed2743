//! Tenants' consumers through the API: put in, updated and rolled back under load, looked at, taken out; and what is refused.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_deploy::app::part_id;
use er_deploy::client::{Answer, Client};
use er_testkit::consumer::{PROBATION, PROVEN};
use er_testkit::load::Shape;
use er_testkit::platform::{need, root, Options};
use er_testkit::{until, Load, Oracle, Part, Platform, Tenant};
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{json, Value};

use crate::gate::control;
use crate::support::{alone, not_taken, now, on_its_own, posted, send, shared, stored, JSON};

const WASM: &str = "application/wasm";
/// Its trial, its deployment, and what others do meanwhile.
const RUNS_WITHIN: Duration = Duration::from_secs(180);
const GONE_WITHIN: Duration = Duration::from_secs(180);
const HANDLED_WITHIN: Duration = Duration::from_secs(60);
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
pub const RECORDER: &str = "er_test_recorder.wasm";
const HOSTILE: &str = "er_test_hostile.wasm";

/// As curl does it.
pub async fn put(tenant: &Tenant, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<Answer> {
    let url = format!("{}/api/v1/consumers/{path}", tenant.client.api);
    let request = tenant.client.raw(Method::PUT, &url).bearer_auth(tenant.client.key());
    Client::answer(request.header("content-type", content_type).body(body)).await
}

pub fn built(name: &str) -> anyhow::Result<Vec<u8>> {
    let file = root().join("build").join(name);
    need(&file, "scripts/build-components")?;
    Ok(std::fs::read(file)?)
}

async fn upload(tenant: &Tenant, path: &str, component: &str) -> anyhow::Result<u64> {
    let answer = put(tenant, path, WASM, built(component)?).await?;
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    answer.json()["version"].as_u64().with_context(|| answer.body.clone())
}

async fn show(tenant: &Tenant, name: &str) -> anyhow::Result<Value> {
    let answer = tenant.client.get(&format!("/api/v1/consumers/{name}")).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(answer.json())
}

/// Waits until a version runs, or is paused, and fails as soon as it never will.
pub async fn runs(tenant: &Tenant, name: &str, version: u64) -> anyhow::Result<Value> {
    let record = settled(tenant, name).await?;
    ensure!(record["deployed"] == version && record["version"] == version, "{record}");
    ensure!(["running", "paused"].contains(&record["state"].as_str().unwrap_or_default()), "{record}");
    Ok(record)
}

pub async fn settled(tenant: &Tenant, name: &str) -> anyhow::Result<Value> {
    until("a consumer that is settled", RUNS_WITHIN, || async {
        let record = show(tenant, name).await?;
        let state = record["state"].as_str().context("no state")?;
        if ["checking", "deploying"].contains(&state) {
            bail!("{record}");
        }
        Ok(Some(record))
    })
    .await
}

fn id(tenant: &Tenant, name: &str) -> String {
    part_id(&format!("{}-{name}", tenant.id), name)
}

pub async fn handled(tenant: &Tenant, name: &str, event: &str) -> anyhow::Result<()> {
    let (oracle, since) = (Oracle::new(tenant.clone()), now());
    send(tenant, "/s", event, "t", "1").await?;
    stored(tenant, "/s", event).await?;
    until("an event with the consumer", HANDLED_WITHIN, || async {
        Ok(oracle.was_handled(&id(tenant, name), &since, "/s", event).await?.then_some(()))
    })
    .await
}

/// Ends a load, and holds it that each of its events was stored, and handed over once; more often only what was in
/// calls that failed since `before`, which [`not_taken`] said when it began: it may have been handled all the same.
async fn all_came_once(
    platform: &Platform,
    before: f64,
    load: Load,
    oracle: &Oracle,
    name: &str,
) -> anyhow::Result<()> {
    let stats = load.stop(HANDLED_WITHIN).await?;
    let (store, consumer) = oracle.settled(&id(&oracle.tenant, name), SETTLED_WITHIN).await?;
    eprintln!("load: {stats}\nstore: {store}\nconsumer: {consumer}");
    ensure!(store.is_clean() && consumer.is_clean(), "store: {store}; consumer: {consumer}");
    let failed = not_taken(platform).await? - before;
    ensure!(consumer.repeated as f64 <= failed, "twice, though {failed} were in calls that failed: {consumer}");
    Ok(())
}

#[test]
fn a_replay_to_a_consumer_that_is_deleted_ends_and_leaves_nothing() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("leaving").await?;
        let since = now();
        // More than are replayed until it is gone, however long that takes.
        let last = 2 * GONE_WITHIN.as_secs();
        let ids: Vec<String> = (0..=last).map(|n| n.to_string()).collect();
        // Not in one request: a replay goes by times, and hands over at once what came in together.
        let sent = futures::stream::iter(&ids).map(|id| send(&tenant, "/s", id, "t", "1"));
        sent.buffered(16).try_collect::<()>().await?;
        stored(&tenant, "/s", &last.to_string()).await?;
        let version = upload(&tenant, "recorder?deliver=new", RECORDER).await?;
        runs(&tenant, "recorder", version).await?;
        handled(&tenant, "recorder", "first").await?;
        let window = json!({ "consumer": "recorder", "from": since, "events_per_s": 1 });
        let begun = tenant.client.call(Method::POST, "/api/v1/replays", Some(&window)).await?;
        ensure!(begun.status == 202, "{} {}", begun.status, begun.body);
        let replay = format!("/api/v1/replays/{}", begun.json()["id"].as_str().context("no id")?);
        until("a replay that is under way", HANDLED_WITHIN, || async {
            Ok((tenant.client.get(&replay).await?.json()["sent"].as_u64() > Some(0)).then_some(()))
        })
        .await?;
        let gone = tenant.client.call(Method::DELETE, "/api/v1/consumers/recorder", None).await?;
        ensure!(gone.status.is_success(), "{} {}", gone.status, gone.body);
        let ended = until("the replay to end", GONE_WITHIN, || async {
            let record = tenant.client.get(&replay).await?.json();
            Ok((record["done"] == true).then_some(record))
        })
        .await?;
        let said = ended["message"].as_str().unwrap_or_default();
        ensure!(ended["state"] == "failed" && said.contains("`recorder` is gone"), "{ended}");
        let stream = async_nats::jetstream::new(platform.nats().await?).get_stream("ER_RETRY").await?;
        let left: Vec<_> = stream.info_with_subjects(format!("er.retry.{}.>", tenant.id)).await?.try_collect().await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

#[test]
fn an_update_and_a_roll_back_under_load_lose_and_double_nothing() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("updated").await?;
        let version = upload(&tenant, "recorder?deliver=all&env.GREETING=hello", RECORDER).await?;
        ensure!(version == 1, "{version}");
        let record = runs(&tenant, "recorder", 1).await?;
        ensure!(record["spec"]["env"]["GREETING"] == "hello", "{record}");
        ensure!(record["lattice"]["status"] == "deployed", "{record}");

        let oracle = Arc::new(Oracle::new(tenant.clone()));
        let shape = Shape { seed: 5, events_per_s: 200, ..Shape::default() };
        let before = not_taken(&platform).await?;
        let load = Load::start(&tenant.client, &oracle, &shape);
        load.advance(200, HANDLED_WITHIN).await?;

        upload(&tenant, "recorder?deliver=all&batch_events_max=16", RECORDER).await?;
        runs(&tenant, "recorder", 2).await?;
        load.advance(200, HANDLED_WITHIN).await?;

        let back = json!({ "version": 1 });
        let answer = tenant.client.call(Method::POST, "/api/v1/consumers/recorder:rollback", Some(&back)).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        let record = runs(&tenant, "recorder", 3).await?;
        ensure!(record["spec"]["env"]["GREETING"] == "hello", "{record}");
        load.advance(200, HANDLED_WITHIN).await?;

        all_came_once(&platform, before, load, &oracle, "recorder").await?;
        gone(&tenant, "recorder").await
    })
}

/// The role of the host that runs a tenant's consumer, where exactly one does.
async fn role_of(platform: &Platform, tenant: &Tenant, name: &str) -> anyhow::Result<Option<String>> {
    let mut roles = Vec::new();
    for role in ["platform", PROVEN, PROBATION] {
        let host = platform.processes.host_id(role).context("no such host")?;
        let answer = control(platform, &format!("host.get.{host}"), &json!(null)).await?;
        let components = answer["response"]["components"].as_array().context("no components")?;
        if components.iter().any(|component| component["id"] == id(tenant, name)) {
            roles.push(role.to_owned());
        }
    }
    Ok(<[String; 1]>::try_from(roles).ok().map(|[role]| role))
}

async fn runs_on(platform: &Platform, tenant: &Tenant, name: &str, role: &str, standing: &str) -> anyhow::Result<()> {
    until(&format!("the consumer on the host of role {role}"), RUNS_WITHIN, || async {
        let record = show(tenant, name).await?;
        let there = role_of(platform, tenant, name).await?;
        ensure!(record["versions"][0]["standing"] == standing && there.as_deref() == Some(role), "{there:?} {record}");
        Ok(Some(()))
    })
    .await
}

#[test]
fn new_code_runs_apart_until_it_is_proven_and_again_after_strikes() -> anyhow::Result<()> {
    let sets = ["control.probation_s=3", "control.reconcile_s=1"].map(String::from).to_vec();
    on_its_own(&Options { sets, ..Options::default() }, |platform| async move {
        let tenant = platform.tenant("probation").await?;
        upload(&tenant, "hostile?deliver=all&attempts_max=6&backoff_ms=50", HOSTILE).await?;
        runs(&tenant, "hostile", 1).await?;
        runs_on(&platform, &tenant, "hostile", "probation", "probation").await?;
        // Its host may die, as any other.
        platform.kill9(Part::ProbationHost).await?;
        let oracle = Arc::new(Oracle::new(tenant.clone()));
        let before = not_taken(&platform).await?;
        let load = Load::start(&tenant.client, &oracle, &Shape { seed: 7, events_per_s: 200, ..Shape::default() });
        load.advance(200, HANDLED_WITHIN).await?;
        runs_on(&platform, &tenant, "hostile", "tenant", "proven").await?;
        load.advance(200, HANDLED_WITHIN).await?;
        all_came_once(&platform, before, load, &oracle, "hostile").await?;

        send(&tenant, "/s", "bad", "test.trap", "1").await?;
        runs_on(&platform, &tenant, "hostile", "probation", "probation").await?;
        let record = show(&tenant, "hostile").await?;
        ensure!(record["state"] == "paused" && record["pause"]["by"] == "strikes", "it is let go on: {record}");
        let answer = tenant.client.call(Method::POST, "/api/v1/consumers/hostile:resume", None).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        let calls = AtomicUsize::new(0);
        until("the consumer to be proven again, by calls that it takes", RUNS_WITHIN, || async {
            handled(&tenant, "hostile", &format!("after-{}", calls.fetch_add(1, Ordering::Relaxed))).await?;
            let there = role_of(&platform, &tenant, "hostile").await?;
            ensure!(there.as_deref() == Some("tenant"), "{there:?}");
            Ok(Some(()))
        })
        .await?;
        gone(&tenant, "hostile").await
    })
}

/// Has wadm give up a command. It stays in wadm's stream for ever, and must not hold up anybody.
async fn give_up_a_command(platform: &Platform) -> anyhow::Result<()> {
    let host = platform.processes.host_id("tenant").context("no tenant host")?;
    let stop = json!({ "provider_id": "nobody", "host_id": host, "model_name": "none", "annotations": {} });
    let js = async_nats::jetstream::new(platform.nats().await?);
    js.publish("wadm.cmd.default", json!({ "StopProvider": stop }).to_string().into()).await?.await?;
    until("a command that was given up", SETTLED_WITHIN, || async {
        let mut stream = js.get_stream("wadm_commands").await?;
        let waiting: Vec<_> =
            stream.consumers().map_ok(|info| info.num_pending + info.num_ack_pending as u64).try_collect().await?;
        let kept = stream.info().await?.state.messages;
        Ok((kept > 0 && waiting.iter().sum::<u64>() == 0).then_some(()))
    })
    .await
}

#[test]
fn a_component_that_is_lost_is_told_of_and_can_be_uploaded_again() -> anyhow::Result<()> {
    let options = Options { sets: vec!["control.reconcile_s=1".into()], ..Options::default() };
    on_its_own(&options, |platform| async move {
        let tenant = platform.tenant("lost").await?;
        upload(&tenant, "recorder?deliver=all", RECORDER).await?;
        runs(&tenant, "recorder", 1).await?;
        handled(&tenant, "recorder", "before").await?;
        let mut images = tokio::fs::read_dir(platform.images().join("consumers")).await?;
        while let Some(image) = images.next_entry().await? {
            tokio::fs::remove_file(image.path()).await?;
        }
        // A host that has it runs it on.
        handled(&tenant, "recorder", "after").await?;
        // The one that comes after it gets nothing, and wadm never stops to ask.
        platform.kill9(Part::ProbationHost).await?;
        until("a consumer that is told of", RUNS_WITHIN, || async {
            let record = show(&tenant, "recorder").await?;
            let message = record["message"].as_str().unwrap_or_default();
            ensure!(record["state"] == "failed" && message.contains("upload it again"), "{record}");
            Ok(Some(()))
        })
        .await?;
        let (oracle, since) = (Oracle::new(tenant.clone()), now());
        send(&tenant, "/s", "meanwhile", "t", "1").await?;
        give_up_a_command(&platform).await?;
        upload(&tenant, "recorder?deliver=all", RECORDER).await?;
        runs(&tenant, "recorder", 2).await?;
        until("what came meanwhile with the consumer", HANDLED_WITHIN, || async {
            Ok(oracle.was_handled(&id(&tenant, "recorder"), &since, "/s", "meanwhile").await?.then_some(()))
        })
        .await?;
        gone(&tenant, "recorder").await
    })
}

#[test]
fn a_consumer_that_was_deleted_leaves_nothing_to_its_namesake() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("again").await?;
        let js = async_nats::jetstream::new(platform.nats().await?);
        for event in ["first", "second"] {
            upload(&tenant, "recorder?deliver=all", RECORDER).await?;
            runs(&tenant, "recorder", 1).await?;
            handled(&tenant, "recorder", event).await?;
            gone(&tenant, "recorder").await?;
            for stream in ["ER_EVENTS", "ER_RETRY"] {
                let places: Vec<String> = js.get_stream(stream).await?.consumer_names().try_collect().await?;
                ensure!(!places.iter().any(|place| place.contains(&tenant.id)), "{stream}: {places:?}");
            }
        }
        Ok(())
    })
}

pub async fn gone(tenant: &Tenant, name: &str) -> anyhow::Result<()> {
    let path = format!("/api/v1/consumers/{name}");
    let answer = tenant.client.call(Method::DELETE, &path, None).await?;
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    until("a consumer that is gone", GONE_WITHIN, || async {
        let answer = tenant.client.get(&path).await?;
        ensure!(answer.status == 404, "{} {}", answer.status, answer.body);
        Ok(Some(()))
    })
    .await
}

#[test]
fn an_owners_pause_outlasts_an_update() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("held").await?;
        upload(&tenant, "recorder?deliver=all", RECORDER).await?;
        runs(&tenant, "recorder", 1).await?;
        handled(&tenant, "recorder", "before").await?;
        let answer = tenant.client.call(Method::POST, "/api/v1/consumers/recorder:pause", None).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);

        // Only settings: the component is the one that is there.
        let settings = json!({ "deliver": "all", "attempts_max": 3 }).to_string();
        let answer = put(&tenant, "recorder", JSON, settings.into_bytes()).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        let record = runs(&tenant, "recorder", 2).await?;
        ensure!(record["state"] == "paused" && record["pause"]["by"] == "owner", "{record}");
        ensure!(record["versions"][0]["digest"] == record["versions"][1]["digest"], "{record}");

        let answer = tenant.client.call(Method::POST, "/api/v1/consumers/recorder:resume", None).await?;
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        handled(&tenant, "recorder", "after").await?;
        gone(&tenant, "recorder").await
    })
}

#[test]
fn what_cannot_be_a_consumer_is_refused_with_the_mend() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("refused").await?;
        let module = b"\0asm\x01\0\0\0".to_vec();
        for (path, content_type, body, said) in [
            ("a", WASM, b"not WebAssembly".to_vec(), "not WebAssembly"),
            ("a", WASM, module, "core module"),
            // A part of the platform's own, which imports what tenants' code may not.
            ("a", WASM, built("er_engine.wasm")?, "eventrunner:platform/event-store"),
            ("a", JSON, b"{}".to_vec(), "upload a component"),
            ("a", JSON, br#"{"image":"127.0.0.1:1/a/b:1"}"#.to_vec(), "not taken from 127.0.0.1:1"),
            ("a?attempts_max=21", WASM, built(RECORDER)?, "attempts_max"),
        ] {
            let answer = put(&tenant, path, content_type, body).await?;
            ensure!(answer.status.is_client_error(), "{path}: {} {}", answer.status, answer.body);
            ensure!(answer.body.contains(said), "{path}: no `{said}` in {}", answer.body);
        }
        let answer = tenant.client.get("/api/v1/consumers").await?;
        ensure!(answer.json()["consumers"] == json!([]), "{}", answer.body);
        Ok(())
    })
}

#[test]
fn a_consumer_hears_its_own_log_and_no_other_tenant_sees_it() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (tenant, other) = (platform.tenant("logs").await?, platform.tenant("logs-not").await?);
        upload(&tenant, "rust-alert?deliver=all", "er_rust_alert.wasm").await?;
        runs(&tenant, "rust-alert", 1).await?;
        let webhook = r#"{"action":"publicized","repository":{"full_name":"acme/secret","html_url":"https://example.com/acme/secret"},"sender":{"login":"me"}}"#;
        let headers = [("content-type", JSON), ("x-github-event", "repository"), ("x-github-delivery", "d-1")];
        let answer = posted(&tenant.client, &headers, webhook).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        let its_own = |line: &Value| line["message"].as_str().is_some_and(|said| said.contains("acme/secret"));
        until("its line in the log", HANDLED_WITHIN, || async {
            let answer = tenant.client.get("/api/v1/consumers/rust-alert/logs?limit=20").await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            let there = answer.json()["lines"].as_array().is_some_and(|lines| lines.iter().any(its_own));
            ensure!(there, "{}", answer.body);
            Ok(Some(()))
        })
        .await?;
        let answer = other.client.get("/api/v1/consumers/rust-alert/logs").await?;
        ensure!(answer.status == 404, "{} {}", answer.status, answer.body);
        gone(&tenant, "rust-alert").await
    })
}

#[test]
fn what_a_killed_provider_was_at_its_successor_finishes() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("resumed").await?;
        upload(&tenant, "recorder?deliver=all", RECORDER).await?;
        platform.kill9(Part::Control).await?;
        runs(&tenant, "recorder", 1).await?;
        handled(&tenant, "recorder", "after").await?;
        gone(&tenant, "recorder").await
    })
}

#[test]
fn what_is_up_after_its_deadline_runs_all_the_same() -> anyhow::Result<()> {
    let options = Options { sets: vec!["control.deploy_within_s=5".into()], ..Options::default() };
    on_its_own(&options, |platform| async move {
        let tenant = platform.tenant("late").await?;
        let paused = platform.pause(Part::ProbationHost).await?;
        upload(&tenant, "recorder?deliver=all", RECORDER).await?;
        let record = settled(&tenant, "recorder").await?;
        ensure!(record["state"] == "failed" && record["deployed"].is_null(), "{record}");
        paused.resume();
        until("the consumer to run", RUNS_WITHIN, || async {
            let record = show(&tenant, "recorder").await?;
            ensure!(record["state"] == "running" && record["deployed"] == 1, "{record}");
            Ok(Some(()))
        })
        .await?;
        handled(&tenant, "recorder", "after").await?;
        gone(&tenant, "recorder").await
    })
}
