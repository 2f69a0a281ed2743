//! What each user of deploy/nats may reach, and what not.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use futures::StreamExt as _;
use tokio::time::timeout;

use crate::nats::{Nats, User};

const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// The lattice's own buckets, and wadm's.
const BUCKETS: [&str; 5] = ["LATTICEDATA_default", "CONFIGDATA_default", "wadm_manifests", "wadm_state", "ER_TENANTS"];

async fn denied(user: &mut User, subject: &str) {
    let said = timeout(TOLD_WITHIN, user.told.recv()).await.unwrap_or_else(|_| panic!("{subject} is not denied"));
    let said = said.unwrap().to_lowercase();
    assert!(said.contains("permissions violation") && said.contains(&subject.to_lowercase()), "{subject}: {said}");
}

async fn may_not_publish(user: &mut User, subject: &str) {
    user.client.publish(subject.to_owned(), "{}".into()).await.unwrap();
    user.client.flush().await.unwrap();
    denied(user, subject).await;
}

async fn may_not_subscribe(user: &mut User, subject: &str) {
    let _messages = user.client.subscribe(subject.to_owned()).await.unwrap();
    user.client.flush().await.unwrap();
    denied(user, subject).await;
}

/// The platform's buckets, with one value in each.
async fn buckets(nats: &Nats) -> Vec<kv::Store> {
    let js = jetstream::new(nats.user("platform").await.client);
    let mut made = Vec::new();
    for bucket in BUCKETS {
        let store = js.create_key_value(kv::Config { bucket: bucket.into(), ..kv::Config::default() }).await.unwrap();
        store.put("own", "untouched".into()).await.unwrap();
        made.push(store);
    }
    made
}

#[tokio::test]
async fn a_tenant_writes_to_no_bucket_and_reaches_nothing_of_the_platforms() {
    let nats = Nats::start().await;
    let buckets = buckets(&nats).await;
    let platform = nats.user("platform").await;
    // What a tenant might send would come here.
    let mut seen = platform.client.subscribe("wasmbus.>").await.unwrap();
    platform.client.flush().await.unwrap();
    let mut tenant = nats.user("tenant").await;
    for bucket in BUCKETS {
        may_not_publish(&mut tenant, &format!("$KV.{bucket}.own")).await;
        may_not_publish(&mut tenant, &format!("$JS.API.STREAM.PURGE.KV_{bucket}")).await;
        may_not_subscribe(&mut tenant, &format!("$KV.{bucket}.>")).await;
    }
    for subject in [
        "wasmbus.ctl.v1.default.link.put",
        "wasmbus.ctl-private.v1.default.link.put",
        "wasmbus.rpc.default.eventrunner-jetstream.x",
        "wasmbus.policy.default",
        "wadm.api.default.model.put",
        "wadm.api-private.default.model.put",
        "er.raw.acme",
        "$JS.API.INFO",
        "$SYS.REQ.SERVER.PING",
    ] {
        may_not_publish(&mut tenant, subject).await;
        may_not_subscribe(&mut tenant, subject).await;
    }
    for subject in [">", "er.>", "_INBOX.>", "_INBOX.platform.>"] {
        may_not_subscribe(&mut tenant, subject).await;
    }
    for bucket in buckets {
        assert_eq!(bucket.get("own").await.unwrap().as_deref(), Some(&b"untouched"[..]), "{}", bucket.name);
    }
    // The subscription is alive, and heard nothing before this.
    platform.client.publish("wasmbus.last", "".into()).await.unwrap();
    assert_eq!(seen.next().await.unwrap().subject.as_str(), "wasmbus.last");
}

#[tokio::test]
async fn an_operator_reaches_the_gate_and_nothing_behind_it() {
    let nats = Nats::start().await;
    let buckets = buckets(&nats).await;
    let platform = nats.user("platform").await;
    let mut gate = platform.client.subscribe("wasmbus.ctl.v1.>").await.unwrap();
    platform.client.flush().await.unwrap();
    let mut ops = nats.user("ops").await;
    for subject in [
        "$KV.LATTICEDATA_default.own",
        "$KV.CONFIGDATA_default.own",
        "$KV.wadm_manifests.own",
        "$JS.API.INFO",
        "wasmbus.ctl-private.v1.default.link.put",
        "wadm.api-private.default.model.put",
        "wasmbus.rpc.default.x",
        "er.raw.acme",
    ] {
        may_not_publish(&mut ops, subject).await;
    }
    for subject in ["er.>", "$KV.>", "wasmbus.ctl-private.>", "wasmbus.rpc.>"] {
        may_not_subscribe(&mut ops, subject).await;
    }
    for bucket in buckets {
        assert_eq!(bucket.get("own").await.unwrap().as_deref(), Some(&b"untouched"[..]), "{}", bucket.name);
    }
    // Asked and answered.
    let answering = tokio::spawn(async move {
        let asked = gate.next().await.unwrap();
        platform.client.publish(asked.reply.unwrap(), "here".into()).await.unwrap();
        platform.client.flush().await.unwrap();
    });
    let answer = ops.client.request("wasmbus.ctl.v1.default.link.put", "{}".into());
    let answer = timeout(TOLD_WITHIN, answer).await.unwrap().unwrap();
    assert_eq!(&answer.payload[..], b"here");
    answering.await.unwrap();
}

#[tokio::test]
async fn whoever_has_no_password_does_not_come_in() {
    let nats = Nats::start().await;
    assert!(nats.anonymous().await.is_err());
    assert!(nats.connect("tenant", "guessed").await.is_err());
    assert!(nats.connect("ops", nats.password("tenant")).await.is_err());
}
