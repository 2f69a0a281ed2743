use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, kv};
use er_policy::{Failure, Limits};
use er_provider_opa::library::BUCKET;
use er_provider_opa::log::{Allowed, STREAM};
use er_provider_opa::{Desk, Error, Options};
use futures::StreamExt as _;
use serde_json::{json, Value};

use crate::nats::{until, Nats};

/// What is promised of a replacement, a heal and a stale limit of one second. The machine may be busy with others.
const FOLLOWS: Duration = Duration::from_secs(5);
const HEALS: Duration = Duration::from_secs(30);

/// One provider's desk, which follows.
struct Provider {
    desk: Desk,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Provider {
    async fn start(nats: &Nats, options: Options) -> Self {
        let js = nats.js().await;
        let (desk, writer) = Desk::new(options);
        let written = tokio::spawn(writer.run(js.clone(), 1, Duration::from_secs(3_600), 64 << 20));
        let follower = desk.clone();
        let following = tokio::spawn(async move { follower.follow(js).await });
        Self { desk, tasks: vec![written, following] }
    }

    async fn ready(nats: &Nats) -> Self {
        let provider = Self::start(nats, options()).await;
        until("a policy that decides", HEALS, || async { provider.desk.health().0.then_some(()) }).await;
        provider
    }

    fn allows(&self, question: &Value) -> bool {
        self.desk.decide("test", &question.to_string()).decision.allow
    }

    async fn comes_to(&self, question: &Value, allow: bool, at_most: Duration) {
        let what = format!("{question} to be {allow}");
        until(&what, at_most, || async { (self.allows(question) == allow).then_some(()) }).await;
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn bundle() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = Command::new(root().join("scripts/build-policies")).output().unwrap();
        assert!(built.status.success(), "scripts/build-policies: {}", String::from_utf8_lossy(&built.stderr));
        root().join("build/policies.tar.gz")
    });
    built.clone()
}

/// The platform's bundle with other data in it, and so another revision.
fn bundle_with(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    repacked(|name, content| match name {
        "data.json" => {
            let mut data: Value = serde_json::from_slice(&content).unwrap();
            change(&mut data);
            data.to_string().into_bytes()
        }
        _ => content,
    })
}

fn repacked(change: impl FnOnce(&str, Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut change = Some(change);
    let packed = std::fs::read(bundle()).unwrap();
    let mut from = tar::Archive::new(flate2::read::GzDecoder::new(&packed[..]));
    let mut to = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for entry in from.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().trim_start_matches('/').to_owned();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        if name == "data.json" {
            content = change.take().unwrap()(&name, content);
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        to.append_data(&mut header, name, &content[..]).unwrap();
    }
    to.into_inner().unwrap().finish().unwrap()
}

fn options() -> Options {
    Options {
        bundle: bundle(),
        tenants_bucket: Some("ER_TENANTS".into()),
        poll: Duration::from_millis(50),
        stale_after: Duration::from_secs(30),
        log_allowed: Allowed::Fresh,
        replicas: 1,
        limits: Limits::default(),
    }
}

async fn tenants(nats: &Nats) -> kv::Store {
    let config = kv::Config { bucket: "ER_TENANTS".into(), history: 5, ..kv::Config::default() };
    let bucket = nats.js().await.create_key_value(config).await.unwrap();
    put(&bucket, "acme", false).await;
    bucket
}

async fn put(bucket: &kv::Store, tenant: &str, suspended: bool) {
    let record = json!({"id": tenant, "suspended": suspended}).to_string();
    bucket.put(tenant, record.into()).await.unwrap();
}

fn delivery(tenant: &str) -> Value {
    json!({"kind": "deliver", "tenant": tenant, "consumer": {"tenant": tenant, "name": "alert"}, "type": "push"})
}

fn viewer_writes() -> Value {
    json!({"kind": "api", "principal": {"tenant": "acme", "role": "viewer", "key": "k"}, "action": "write", "tenant": "acme"})
}

#[tokio::test]
async fn tenants_come_are_suspended_and_go_while_it_decides() {
    let nats = Nats::start().await;
    let bucket = tenants(&nats).await;
    let provider = Provider::ready(&nats).await;
    provider.comes_to(&delivery("acme"), true, FOLLOWS).await;
    assert!(!provider.allows(&delivery("globex")), "nobody knows that tenant");
    put(&bucket, "globex", false).await;
    provider.comes_to(&delivery("globex"), true, FOLLOWS).await;
    put(&bucket, "acme", true).await;
    provider.comes_to(&delivery("acme"), false, FOLLOWS).await;
    bucket.purge("globex").await.unwrap();
    provider.comes_to(&delivery("globex"), false, FOLLOWS).await;
    // A bucket that is made anew is read anew.
    nats.js().await.delete_key_value("ER_TENANTS").await.unwrap();
    tenants(&nats).await;
    provider.comes_to(&delivery("acme"), true, HEALS).await;
}

#[tokio::test]
async fn policies_and_data_are_replaced_live_in_every_provider_and_rolled_back() {
    let nats = Nats::start().await;
    tenants(&nats).await;
    let (one, two) = (Provider::ready(&nats).await, Provider::ready(&nats).await);
    let own = one.desk.publish_bundle(std::fs::read(bundle()).unwrap()).await.unwrap();
    one.desk.activate(&own, None, "test", None).await.unwrap();
    assert!(!one.allows(&viewer_writes()));

    // Data: viewers may write.
    let roles = json!({"platform": {"roles": {"viewer": ["read", "write"]}}});
    let data = one.desk.publish_data(&roles.to_string()).await.unwrap();
    assert!(!one.allows(&viewer_writes()), "what is published does not count yet");
    let asked = Instant::now();
    one.desk.activate(&own, Some(&data), "test", None).await.unwrap();
    assert!(one.allows(&viewer_writes()));
    two.comes_to(&viewer_writes(), true, FOLLOWS).await;
    eprintln!("replaced everywhere after {:?}", asked.elapsed());
    assert_eq!(one.desk.state()["revision"], two.desk.state()["revision"]);

    // A policy: nobody may deliver to acme.
    let next = bundle_with(|data| data["platform"]["tenants"]["acme"] = json!({"blocked_types": ["*"]}));
    let next = two.desk.publish_bundle(next).await.unwrap();
    assert_ne!(next, own);
    two.desk.activate(&next, None, "test", None).await.unwrap();
    one.comes_to(&delivery("acme"), false, FOLLOWS).await;
    assert!(!one.allows(&viewer_writes()), "the data over the one before does not count any more");

    // Back.
    one.desk.activate(&own, Some(&data), "test", None).await.unwrap();
    two.comes_to(&delivery("acme"), true, FOLLOWS).await;
    two.comes_to(&viewer_writes(), true, FOLLOWS).await;
    let versions = one.desk.versions().await.unwrap();
    let counted: Vec<&str> =
        versions["activations"].as_array().unwrap().iter().map(|row| row["bundle"].as_str().unwrap()).collect();
    assert_eq!(counted, [&*own, &next, &own, &own]);
    assert_eq!(versions["bundles"].as_array().unwrap().len(), 2);
    assert_eq!(versions["data"][0]["revision"], *data);
}

#[tokio::test]
async fn what_does_not_load_or_fails_its_self_test_is_refused_and_the_old_stays() {
    let nats = Nats::start().await;
    tenants(&nats).await;
    let provider = Provider::ready(&nats).await;
    let own = provider.desk.publish_bundle(std::fs::read(bundle()).unwrap()).await.unwrap();
    provider.desk.activate(&own, None, "test", None).await.unwrap();
    provider.comes_to(&delivery("acme"), true, FOLLOWS).await;

    // By the API.
    let desk = &provider.desk;
    let garbage = desk.publish_bundle(b"garbage".to_vec()).await.unwrap_err();
    assert!(matches!(garbage, Error::Policy(er_policy::Error::Bundle(_))), "{garbage}");
    let locked_out = bundle_with(|data| data["platform"]["roles"] = json!({}));
    let refused = desk.publish_bundle(locked_out.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("operators are not locked out"), "{refused}");
    let refused = desk.publish_data(r#"{"platform":{"roles":{"operator":[]}}}"#).await.unwrap_err().to_string();
    assert!(refused.contains("operators are not locked out"), "{refused}");
    assert!(matches!(desk.publish_data("[]").await, Err(Error::Invalid(_))));
    assert!(matches!(desk.publish_data("{").await, Err(Error::Invalid(_))));
    assert!(matches!(desk.activate("0123456789ab", None, "test", None).await, Err(Error::Unknown { .. })));
    assert!(matches!(desk.activate("*", None, "test", None).await, Err(Error::Unknown { .. })));
    assert!(matches!(desk.activate(&own, Some("0123456789ab"), "test", None).await, Err(Error::Unknown { .. })));
    assert!(matches!(desk.activate(&own, None, "", None).await, Err(Error::Invalid(_))));
    // Only over what was seen.
    let last = desk.state()["activation"].as_u64().unwrap();
    assert!(matches!(desk.activate(&own, None, "test", Some(last + 1)).await, Err(Error::Conflict)));
    let next = desk.activate(&own, None, "test", Some(last)).await.unwrap()["activation"].as_u64().unwrap();
    assert!(next > last);
    assert!(matches!(desk.activate(&own, None, "test", Some(last)).await, Err(Error::Conflict)));
    let large = desk.publish_bundle(vec![0; 700 * 1_024 + 1]).await.unwrap_err();
    assert!(matches!(large, Error::TooLarge { .. }), "{large}");
    assert_eq!(desk.state()["refused"], Value::Null);

    // By hand, past all of that.
    let bucket = nats.js().await.get_key_value(BUCKET).await.unwrap();
    bucket.put("bundle.badbadbadbad", locked_out.into()).await.unwrap();
    let pointers =
        [json!({"bundle": "badbadbadbad", "data": null, "by": "me", "at": "now"}).to_string(), "not JSON".to_owned()];
    for pointer in pointers {
        bucket.put("current", pointer.into()).await.unwrap();
        until("the refusal to be told", FOLLOWS, || async { desk.health().1.contains("refused").then_some(()) }).await;
        assert!(desk.health().0, "{:?}", desk.health());
        assert!(provider.allows(&delivery("acme")) && !provider.allows(&viewer_writes()));
        // Who knows no other has nothing to decide by.
        let late = Provider::start(&nats, options()).await;
        until("the refusal to be told", HEALS, || async { late.desk.health().1.contains("refused").then_some(()) })
            .await;
        let answer = late.desk.decide("test", &delivery("acme").to_string());
        assert_eq!(answer.decision.failure, Some(Failure::NotLoaded));
        // And the one that counts takes another that is good.
        desk.activate(&own, None, "test", None).await.unwrap();
        assert_eq!(desk.state()["refused"], Value::Null);
        late.comes_to(&delivery("acme"), true, FOLLOWS).await;
    }
}

#[tokio::test]
async fn two_who_activate_at_once_are_told_and_agree() {
    let nats = Nats::start().await;
    tenants(&nats).await;
    let (one, two) = (Provider::ready(&nats).await, Provider::ready(&nats).await);
    let own = one.desk.publish_bundle(std::fs::read(bundle()).unwrap()).await.unwrap();
    let other = bundle_with(|data| data["platform"]["limits"]["replay_h_max"] = json!(1));
    let other = two.desk.publish_bundle(other).await.unwrap();
    let (first, second) =
        tokio::join!(one.desk.activate(&own, None, "one", None), two.desk.activate(&other, None, "two", None));
    for outcome in [&first, &second] {
        assert!(matches!(outcome, Ok(_) | Err(Error::Conflict)), "{outcome:?}");
    }
    assert!(first.is_ok() || second.is_ok());
    until("both to agree", FOLLOWS, || async {
        (one.desk.state()["revision"] == two.desk.state()["revision"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn nothing_is_allowed_on_stale_data_and_everything_is_again_once_it_heals() {
    let mut nats = Nats::start().await;
    let bucket = tenants(&nats).await;
    let provider = Provider::start(&nats, Options { stale_after: Duration::from_secs(1), ..options() }).await;
    provider.comes_to(&delivery("acme"), true, HEALS).await;
    nats.kill();
    // It was asked before, so that the answer is remembered; it must not be given any more.
    provider.comes_to(&delivery("acme"), false, HEALS).await;
    let answer = provider.desk.decide("test", &delivery("acme").to_string());
    assert_eq!(answer.decision.failure, Some(Failure::Stale));
    assert!(answer.decision.reason.contains("not known"), "{}", answer.decision.reason);
    let (healthy, says) = provider.desk.health();
    assert!(!healthy && says.contains("everything is denied"), "{says}");
    assert_eq!(provider.desk.state()["fresh"], false);
    assert!(matches!(provider.desk.publish_data("{}").await, Err(Error::Away(_))));
    nats.restart().await;
    provider.comes_to(&delivery("acme"), true, HEALS).await;
    // What changed while it was away is not missed.
    nats.restart().await;
    put(&bucket, "acme", true).await;
    provider.comes_to(&delivery("acme"), false, HEALS).await;
}

#[tokio::test]
async fn everything_is_denied_while_there_are_no_tenants_no_bundle_or_no_jetstream() {
    let mut nats = Nats::start().await;
    // No bucket of tenants: there are none, and the platform's own parts may start, which make it.
    let provider = Provider::ready(&nats).await;
    let own_link = json!({
        "kind": "link", "manifest": "eventrunner", "tenant": null, "package": "eventrunner:platform",
        "source": {"app": "eventrunner", "name": "ingest"}, "target": {"app": "eventrunner", "name": "jetstream"},
        "interfaces": ["kv"], "config": {},
    });
    assert!(provider.allows(&own_link));
    assert!(!provider.allows(&delivery("acme")));
    assert_eq!(provider.desk.names().owner("acme-alert"), None);
    tenants(&nats).await;
    provider.comes_to(&delivery("acme"), true, HEALS).await;
    assert_eq!(provider.desk.names().owner("acme-alert"), Some("acme"));
    // It goes, and the tenants with it.
    nats.js().await.delete_key_value("ER_TENANTS").await.unwrap();
    provider.comes_to(&delivery("acme"), false, HEALS).await;
    assert!(provider.allows(&own_link));
    let bucket = tenants(&nats).await;
    provider.comes_to(&delivery("acme"), true, HEALS).await;
    // Who can't wait for the next poll asks.
    let slow = Provider::start(&nats, Options { poll: Duration::from_secs(3_600), ..options() }).await;
    until("a policy that decides", HEALS, || async { slow.desk.health().0.then_some(()) }).await;
    put(&bucket, "late", false).await;
    assert!(!slow.allows(&delivery("late")));
    slow.desk.refresh(HEALS).await;
    assert!(slow.allows(&delivery("late")));
    // No bundle.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policies.tar.gz");
    let without = Provider::start(&nats, Options { bundle: path.clone(), ..options() }).await;
    until("the mend to be told", HEALS, || async {
        without.desk.health().1.contains("scripts/build-policies").then_some(())
    })
    .await;
    assert!(!without.allows(&delivery("acme")));
    std::fs::copy(bundle(), &path).unwrap();
    without.comes_to(&delivery("acme"), true, HEALS).await;
    // No JetStream since the start.
    nats.kill();
    let (late, _writer) = Desk::new(options());
    let decision = late.decide("test", &delivery("acme").to_string()).decision;
    assert_eq!((decision.allow, decision.failure), (false, Some(Failure::NotLoaded)));
}

#[tokio::test]
async fn every_denial_is_logged_also_those_of_a_time_when_the_log_was_away() {
    let mut nats = Nats::start().await;
    tenants(&nats).await;
    let provider = Provider::ready(&nats).await;
    provider.comes_to(&delivery("acme"), true, FOLLOWS).await;
    for _ in 0..10 {
        assert!(provider.allows(&delivery("acme")));
    }
    let denied = |n: u64| json!({"kind": "deliver", "tenant": "nobody", "n": n});
    for n in 0..500 {
        assert!(!provider.allows(&denied(n)));
    }
    nats.kill();
    for n in 500..1_000 {
        assert!(!provider.allows(&denied(n)));
    }
    assert!(!provider.desk.decide("test", "not JSON").decision.allow);
    nats.restart().await;
    provider.desk.drain(HEALS).await;
    let records = logged(&nats.js().await).await;
    let mut seen: Vec<u64> = records
        .iter()
        .filter(|record| record["allow"] == false)
        .filter_map(|record| record["input"]["n"].as_u64())
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    let broken = records.iter().find(|record| record["text"] == "not JSON").unwrap();
    assert_eq!(broken["failure"], "input");
    let allowed: Vec<&Value> = records.iter().filter(|record| record["allow"] == true).collect();
    assert!(!allowed.is_empty() && allowed.iter().all(|record| record["cached"] == false), "{allowed:?}");
    assert!(records.iter().all(|record| record["caller"] == "test" && record["reason"] != ""));
}

/// Everything in the stream.
async fn logged(js: &jetstream::Context) -> Vec<Value> {
    let mut stream = js.get_stream(STREAM).await.unwrap();
    let count = stream.info().await.unwrap().state.messages as usize;
    let consumer = stream.create_consumer(jetstream::consumer::pull::OrderedConfig::default()).await.unwrap();
    let messages = consumer.messages().await.unwrap().take(count);
    messages.map(|message| serde_json::from_slice(&message.unwrap().payload).unwrap()).collect().await
}
