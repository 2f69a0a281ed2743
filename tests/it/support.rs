//! One platform for all, turns for those that must be alone, and the words that most tests use.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{ensure, Context as _};
use er_deploy::client::{Answer, Client};
use er_testkit::cassandra::Cassandra;
use er_testkit::clickhouse::Server;
use er_testkit::load::receipts;
use er_testkit::{until, Consumer, Gateway, Idp, Options, Oracle, Platform, Stores, Tenant};
use reqwest::{Method, RequestBuilder};
use serde_json::value::RawValue;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, RwLock, Semaphore};

pub const JSON: &str = "application/json";
pub const EVENT: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

/// From the 202 to the store, on a machine that does much else.
pub const STORED_WITHIN: Duration = Duration::from_secs(90);
/// A saved change of rules is live within a second; a machine with much to do may take longer to show it.
pub const LIVE_WITHIN: Duration = Duration::from_secs(60);
/// For so long a client comes again when it is told to, or told nothing.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
const COMES_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// As many tests at once as a machine of two cores can bear.
const BESIDE_EACH_OTHER: usize = 4;

struct Stage {
    runtime: Runtime,
    platform: Mutex<Option<Arc<Platform>>>,
    broken: AtomicBool,
    turns: RwLock<()>,
    room: Semaphore,
}

static STAGE: LazyLock<anyhow::Result<Stage>> = LazyLock::new(|| {
    Ok(Stage {
        runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?,
        platform: Mutex::default(),
        broken: AtomicBool::default(),
        turns: RwLock::default(),
        room: Semaphore::new(BESIDE_EACH_OTHER),
    })
});

/// Set until the test is over: a panic leaves it set.
struct Verdict<'a> {
    platform: &'a Platform,
    broken: Option<&'a AtomicBool>,
    good: bool,
}

/// Runs a test on the platform that all share.
pub fn shared<F, Fut>(test: F) -> anyhow::Result<()>
where
    F: FnOnce(Arc<Platform>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let stage = stage()?;
    stage.runtime.block_on(async {
        let _turn = stage.turns.read().await;
        let _room = stage.room.acquire().await?;
        let platform = stage.platform().await?;
        judged(&platform, None, test(Arc::clone(&platform))).await
    })
}

/// Runs a test on the platform that all share while no other test does: it breaks something. If it fails, the others
/// get a new platform.
pub fn alone<F, Fut>(test: F) -> anyhow::Result<()>
where
    F: FnOnce(Arc<Platform>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let stage = stage()?;
    stage.runtime.block_on(async {
        let _turn = stage.turns.write().await;
        let platform = stage.platform().await?;
        judged(&platform, Some(&stage.broken), test(Arc::clone(&platform))).await
    })
}

/// Runs a test on a platform of its own, while no other test runs.
pub fn on_its_own<F, Fut>(options: &Options, test: F) -> anyhow::Result<()>
where
    F: FnOnce(Arc<Platform>) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let stage = stage()?;
    stage.runtime.block_on(async {
        let _turn = stage.turns.write().await;
        let platform = Arc::new(Platform::start(options).await?);
        judged(&platform, None, test(Arc::clone(&platform))).await
    })
}

/// Servers of Cassandra and ClickHouse, and a platform that has its events and usage on them. No other test runs.
pub fn on_stores<F, Fut>(clickhouse: &str, test: F) -> anyhow::Result<()>
where
    F: FnOnce(Arc<Platform>, Cassandra, Server) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let stage = stage()?;
    stage.runtime.block_on(async {
        let _turn = stage.turns.write().await;
        let (cassandra, clickhouse) = (Cassandra::run().await?, Server::start(clickhouse, None)?);
        let stores = Stores { scylla: cassandra.address(), clickhouse: clickhouse.url().to_owned() };
        let options = Options { stores: Some(stores), ..Options::default() };
        let platform = Arc::new(Platform::start(&options).await?);
        judged(&platform, None, test(Arc::clone(&platform), cassandra, clickhouse)).await
    })
}

/// A platform that lets in only who comes through its gateway, and an identity provider whose users do. No other test runs.
pub fn behind_gateway<F, Fut>(test: F) -> anyhow::Result<()>
where
    F: FnOnce(Arc<Platform>, Gateway, Idp) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let stage = stage()?;
    stage.runtime.block_on(async {
        let _turn = stage.turns.write().await;
        let (idp, mut gateway) = (Idp::start().await?, Gateway::reserve().await?);
        let options = Options { sets: gateway.settings(), gateway: true, ..Options::default() };
        let platform = Arc::new(Platform::start(&options).await?);
        gateway.start(&platform, &idp).await?;
        judged(&platform, None, test(Arc::clone(&platform), gateway, idp)).await
    })
}

async fn judged(
    platform: &Platform,
    broken: Option<&AtomicBool>,
    test: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut verdict = Verdict { platform, broken, good: false };
    let result = test.await;
    verdict.good = result.is_ok();
    result
}

fn stage() -> anyhow::Result<&'static Stage> {
    STAGE.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

impl Stage {
    async fn platform(&self) -> anyhow::Result<Arc<Platform>> {
        let mut slot = self.platform.lock().await;
        if self.broken.swap(false, Ordering::Relaxed) {
            *slot = None;
        }
        match &*slot {
            Some(platform) => Ok(Arc::clone(platform)),
            None => Ok(Arc::clone(slot.insert(Arc::new(Platform::start(&Options::default()).await?)))),
        }
    }
}

impl Drop for Verdict<'_> {
    fn drop(&mut self) {
        if !self.good {
            self.platform.mark_failed();
            if let Some(broken) = self.broken {
                broken.store(true, Ordering::Relaxed);
            }
        }
    }
}

// === what most tests say ===

/// Posts a body with a content type, as often as ingest asks for.
pub async fn post(client: &Client, content_type: &str, body: impl Into<reqwest::Body>) -> anyhow::Result<Answer> {
    posted(client, &[("content-type", content_type)], body).await
}

/// Posts a body with a content type once, for who wants to see that ingest can't take it now.
pub async fn post_once(client: &Client, content_type: &str, body: impl Into<reqwest::Body>) -> anyhow::Result<Answer> {
    client.post_event(&[("content-type", content_type)], body).await
}

/// Posts a body with these headers, as often as ingest asks for: by their ids, events that come twice are one.
pub async fn posted(
    client: &Client,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> anyhow::Result<Answer> {
    let request = client.raw(Method::POST, &format!("{}/events", client.ingest)).bearer_auth(client.key());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    answered(request.body(body)).await
}

/// The answer to a request that is made again while there is none, or one that asks for that.
pub async fn answered(request: RequestBuilder) -> anyhow::Result<Answer> {
    let started = Instant::now();
    while let Some(again) = request.try_clone() {
        match Client::answer(again).await {
            Ok(answer) if !asks_to_come_again(&answer) => return Ok(answer),
            told if started.elapsed() >= TAKEN_WITHIN => return told,
            _ => tokio::time::sleep(COMES_AGAIN_AFTER).await,
        }
    }
    // A body that is read as it is sent can't be sent twice.
    Client::answer(request).await
}

/// Whether an answer says nothing about the request, but that the platform is held up.
pub fn asks_to_come_again(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 503 | 504)
}

/// Holds an answer to be a 202 with one receipt for each of these ids, in order.
pub fn accepted(answer: &Answer, ids: &[&str]) -> anyhow::Result<()> {
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    ensure!(answer.content_type == JSON, "the receipts are {}", answer.content_type);
    ensure!(receipts(answer) == ids, "receipts for {ids:?}: {}", answer.body);
    Ok(())
}

/// Holds an answer to be a problem document with this status and the last part of its type's URN, that tells how to mend
/// what is wrong.
pub fn refused(answer: &Answer, status: u16, slug: &str) -> anyhow::Result<()> {
    let said = format!("{} {} {}", answer.status, answer.content_type, answer.body);
    let problem = answer.json();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(answer.status == status, "expected {status}: {said}");
    ensure!(answer.content_type == "application/problem+json", "no problem document: {said}");
    ensure!(problem.get("status").and_then(Value::as_u64) == Some(status.into()), "another status inside: {said}");
    ensure!(text("type") == format!("urn:eventrunner:error:{slug}"), "expected {slug}: {said}");
    ensure!(!text("title").is_empty() && !text("detail").is_empty(), "no words: {said}");
    Ok(())
}

/// The text of the event, once it is stored.
pub async fn stored(tenant: &Tenant, source: &str, id: &str) -> anyhow::Result<String> {
    until(&format!("event {id} of {source} in the store"), STORED_WITHIN, || tenant.event(source, id)).await
}

/// What a provider counts, by how its line begins; 0 while it did not.
pub async fn counted(platform: &Platform, provider: &str, line: &str) -> anyhow::Result<f64> {
    let text = reqwest::get(platform.metrics(provider)?).await?.text().await?;
    let line = text.lines().find(|found| found.starts_with(line));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default())
}

/// How often batches were given to the engine again so far.
pub async fn engine_retries(platform: &Platform) -> anyhow::Result<f64> {
    counted(platform, "jetstream", r#"eventrunner_pipeline_retries_total{stage="engine"}"#).await
}

/// Events that calls of consumers did not take so far: each may come again, and later than others.
pub async fn not_taken(platform: &Platform) -> anyhow::Result<f64> {
    counted(platform, "jetstream", "eventrunner_delivery_events_failed_total").await
}

/// Waits until a consumer has these events of a source, and holds it that it got them in this order, and no others. At
/// most as many were overtaken as were not taken since `before`, which [`not_taken`] said before they were sent: what a
/// call did not take is tried again while others go on.
pub async fn in_order(
    platform: &Platform,
    oracle: &Oracle,
    consumer: &Consumer,
    source: &str,
    ids: &[String],
    before: f64,
    within: Duration,
) -> anyhow::Result<()> {
    let order = until("all of them with the consumer", within, || async {
        let order = oracle.order(&consumer.id, source).await?;
        Ok((order.len() >= ids.len()).then_some(order))
    })
    .await?;
    let failed = not_taken(platform).await? - before;
    let places: HashMap<&String, usize> = ids.iter().zip(0..).collect();
    // Where the longest rising sequences end: for each length the one that ends lowest.
    let mut ends: Vec<usize> = Vec::new();
    for id in &order {
        let place = *places.get(id).with_context(|| format!("{id} is none of them"))?;
        let length = ends.partition_point(|end| *end < place);
        match ends.get_mut(length) {
            Some(end) => *end = place,
            None => ends.push(place),
        }
    }
    let overtaken = ids.len() - ends.len();
    ensure!(
        order.len() == ids.len() && overtaken as f64 <= failed,
        "of {}, {overtaken} were overtaken, though {failed} were not taken: {order:?}",
        ids.len()
    );
    Ok(())
}

/// Has a consumer handle a first event: until then its links may not be there yet, and calls that fail are no attempts.
pub async fn warmed_up(tenant: &Tenant, consumer: &Consumer) -> anyhow::Result<()> {
    let (oracle, since) = (Oracle::new(tenant.clone()), now());
    send(tenant, "/warm", "1", "fine", "1").await?;
    only(&oracle, consumer, &since, &[("/warm", "1")], &[]).await
}

/// Waits until a tenant has no dead letter; those that it has are told when time is up.
pub async fn no_dead_letters(tenant: &Tenant) -> anyhow::Result<()> {
    until("no dead letter", STORED_WITHIN, || async {
        let letters = tenant.dead_letters().await?;
        ensure!(letters.is_empty(), "{} of them: {letters:?}", letters.len());
        Ok(Some(()))
    })
    .await
}

/// Holds it that a consumer gets these events, by source and id, and not those, which were sent before the last of these.
pub async fn only(
    oracle: &Oracle,
    consumer: &Consumer,
    since: &str,
    these: &[(&str, &str)],
    not_those: &[(&str, &str)],
) -> anyhow::Result<()> {
    for (source, id) in these {
        until(&format!("event {id} with the consumer"), STORED_WITHIN, || async {
            Ok(oracle.was_handled(&consumer.id, since, source, id).await?.then_some(()))
        })
        .await?;
    }
    for (source, id) in not_those {
        // What came after it in the same stream was handled.
        let handled = oracle.was_handled(&consumer.id, since, source, id).await?;
        ensure!(!handled, "event {id} of {source} is none of its own");
    }
    Ok(())
}

/// A member of an event, as its JSON text stands.
pub fn member(event: &str, name: &str) -> anyhow::Result<Option<String>> {
    let members: std::collections::BTreeMap<String, &RawValue> =
        serde_json::from_str(event).with_context(|| format!("not an event: {event}"))?;
    Ok(members.get(name).map(|value| value.get().to_string()))
}

/// A string member of an event.
pub fn text(event: &str, name: &str) -> anyhow::Result<String> {
    let raw = member(event, name)?.with_context(|| format!("no `{name}` in {event}"))?;
    serde_json::from_str(&raw).with_context(|| format!("`{name}` is no string: {raw}"))
}

/// Saves a rule text as curl does.
pub async fn put_rules(client: &Client, name: &str, grl: &str) -> anyhow::Result<Answer> {
    let url = format!("{}/api/v1/rules/{name}", client.api);
    let request = client.raw(Method::PUT, &url).bearer_auth(client.key());
    Client::answer(request.header("content-type", "text/plain").body(grl.to_owned())).await
}

/// Saves rules that are right; their version.
pub async fn save_rules(tenant: &Tenant, name: &str, grl: &str) -> anyhow::Result<u64> {
    let answer = put_rules(&tenant.client, name, grl).await?;
    ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
    answer.json()["version"].as_u64().context("no version")
}

/// Sends events until one went through this version of the rules.
pub async fn live(tenant: &Tenant, version: u64) -> anyhow::Result<()> {
    until(&format!("version {version} to be live"), LIVE_WITHIN, || async {
        let id = format!("live-{version}-{}", now_us());
        send(tenant, "/live", &id, "test.live", "1").await?;
        let ran = text(&stored(tenant, "/live", &id).await?, "errules").unwrap_or_default();
        Ok((ran.split(':').next() == Some(&version.to_string())).then_some(()))
    })
    .await
}

pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// This moment, as queries take it.
pub fn now() -> String {
    er_event::event::rfc3339_us(now_us())
}

/// One CloudEvent in the JSON format. `data` is JSON text.
pub fn event(source: &str, id: &str, event_type: &str, data: &str) -> String {
    format!(r#"{{"specversion":"1.0","type":"{event_type}","source":"{source}","id":"{id}","data":{data}}}"#)
}

/// Posts one event in structured mode and holds the answer to be its receipt.
pub async fn send(tenant: &Tenant, source: &str, id: &str, event_type: &str, data: &str) -> anyhow::Result<()> {
    let answer = post(&tenant.client, EVENT, event(source, id, event_type, data)).await?;
    accepted(&answer, &[id])
}
