//! The platform as an application: its links, and being taken down and brought back by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::platform::{on_path, DEPLOY_WITHIN, HEALED_WITHIN};
use er_testkit::{until, Component, Consumer, Options, Oracle, Platform, Tenant};
use serde_json::Value;

use crate::support::{event, now, on_its_own, post_once, send, shared, stored, EVENT};

/// Every arrow of the diagram: source, target, package, interfaces.
const DIAGRAM: [(&str, &str, &str, &[&str]); 16] = [
    ("eventrunner-ingest_http", "eventrunner-ingest", "eventrunner:platform", &["admission"]),
    ("eventrunner-ingest", "eventrunner-jetstream", "eventrunner:platform", &["kv", "raw-log"]),
    ("eventrunner-jetstream", "eventrunner-engine", "eventrunner:platform", &["processor"]),
    ("eventrunner-engine", "eventrunner-normalizer", "eventrunner:platform", &["normalizer"]),
    ("eventrunner-engine", "eventrunner-rules", "eventrunner:platform", &["rules"]),
    ("eventrunner-rules", "eventrunner-jetstream", "eventrunner:platform", &["kv"]),
    ("eventrunner-engine", "eventrunner-store", "eventrunner:platform", &["event-store"]),
    ("eventrunner-jetstream", "eventrunner-billing", "eventrunner:platform", &["collector"]),
    ("eventrunner-billing", "eventrunner-jetstream", "eventrunner:platform", &["kv", "usage-log"]),
    ("eventrunner-billing", "eventrunner-store", "eventrunner:platform", &["analytics"]),
    ("eventrunner-api", "eventrunner-billing", "eventrunner:platform", &["accounts"]),
    ("eventrunner-api", "eventrunner-control", "eventrunner:platform", &["consumers"]),
    ("eventrunner-http", "eventrunner-api", "wasi:http", &["incoming-handler"]),
    ("eventrunner-api", "eventrunner-jetstream", "eventrunner:platform", &["kv", "redelivery", "tail"]),
    ("eventrunner-api", "eventrunner-opa", "eventrunner:platform", &["policies", "policy"]),
    ("eventrunner-api", "eventrunner-store", "eventrunner:platform", &["event-store"]),
];

type Link = (String, String, String, BTreeSet<String>);

fn link(source: &str, target: &str, package: &str, interfaces: &[&str]) -> Link {
    let interfaces = interfaces.iter().map(|name| (*name).to_string()).collect();
    (source.into(), target.into(), package.into(), interfaces)
}

/// What `wash get links` asks, and what it is answered.
async fn links(platform: &Platform) -> anyhow::Result<BTreeSet<Link>> {
    let nats = platform.nats().await?;
    let asked = nats.request("wasmbus.ctl.v1.default.link.get", Vec::new().into());
    let answer = tokio::time::timeout(Duration::from_secs(5), asked).await??;
    let answer: Value = serde_json::from_slice(&answer.payload)?;
    let links = answer["response"].as_array().with_context(|| answer.to_string())?;
    links
        .iter()
        .map(|found| {
            let text = |name: &str| found[name].as_str().map(str::to_string).with_context(|| found.to_string());
            let package = format!("{}:{}", text("wit_namespace")?, text("wit_package")?);
            let interfaces = found["interfaces"].as_array().context("no interfaces")?;
            let interfaces = interfaces.iter().filter_map(|name| name.as_str().map(str::to_string)).collect();
            Ok((text("source_id")?, text("target")?, package, interfaces))
        })
        .collect()
}

/// The links of the platform, and of one consumer.
fn expected(consumer: Option<&Consumer>) -> BTreeSet<Link> {
    let platform =
        DIAGRAM.iter().map(|(source, target, package, interfaces)| link(source, target, package, interfaces));
    let of = |consumer: &Consumer| {
        [
            link(&consumer.id, "eventrunner-jetstream", "eventrunner:platform", &["emitter"]),
            link("eventrunner-jetstream", &consumer.id, "eventrunner:platform", &["consumer"]),
        ]
    };
    platform.chain(consumer.map(of).into_iter().flatten()).collect()
}

/// Waits until the platform and a consumer have all their links. Any host may be the one that answers, also one that
/// compiles something and has not heard of the last.
async fn all_linked(platform: &Platform, consumer: &Consumer) -> anyhow::Result<()> {
    until("every link", HEALED_WITHIN, || async {
        let missing: Vec<_> = expected(Some(consumer)).difference(&links(platform).await?).cloned().collect();
        ensure!(missing.is_empty(), "missing: {missing:?}");
        Ok(Some(()))
    })
    .await
}

async fn passes(tenant: &Tenant, consumer: &Consumer, id: &str) -> anyhow::Result<()> {
    let (since, oracle) = (now(), Oracle::new(tenant.clone()));
    until("an event to be taken", HEALED_WITHIN, || async { send(tenant, "/s", id, "t", "1").await.map(Some) }).await?;
    stored(tenant, "/s", id).await?;
    until("an event with the consumer", HEALED_WITHIN, || async {
        Ok(oracle.was_handled(&consumer.id, &since, "/s", id).await?.then_some(()))
    })
    .await
}

#[test]
fn every_arrow_of_the_diagram_is_a_link() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("links").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        all_linked(&platform, &consumer).await?;
        // And no other that has to do with the platform's own parts.
        until("the diagram's links, and no others", HEALED_WITHIN, || async {
            let found = links(&platform).await?;
            let consumers = |link: &&Link| !link.3.contains("consumer") && !link.3.contains("emitter");
            let own: BTreeSet<Link> = found.iter().filter(consumers).cloned().collect();
            ensure!(own == expected(None), "besides the diagram's: {:?}", own.difference(&expected(None)));
            Ok(Some(()))
        })
        .await
    })
}

#[test]
fn undeployed_by_hand_and_deployed_again_it_works_and_has_forgotten_nothing() -> anyhow::Result<()> {
    on_its_own(&Options::default(), |platform| async move {
        let tenant = platform.tenant("redeployed").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        passes(&tenant, &consumer, "before").await?;

        platform.apps().await?.undeploy("eventrunner", DEPLOY_WITHIN).await?;
        until("ingest to be gone", HEALED_WITHIN, || async {
            let answer = post_once(&tenant.client, EVENT, event("/s", "gone", "t", "1")).await;
            Ok((!answer.is_ok_and(|answer| answer.status == 202)).then_some(()))
        })
        .await?;
        until("the platform's links to be gone", HEALED_WITHIN, || async {
            let left: Vec<_> = links(&platform).await?.intersection(&expected(None)).cloned().collect();
            ensure!(left.is_empty(), "{left:?}");
            Ok(Some(()))
        })
        .await?;

        platform.deploy().await?;
        passes(&tenant, &consumer, "after").await?;
        ensure!(tenant.event("/s", "before").await?.is_some(), "what was stored is gone");
        all_linked(&platform, &consumer).await?;

        // A consumer comes and goes by itself, and finds what came meanwhile.
        platform.retire(&consumer).await?;
        send(&tenant, "/s", "meanwhile", "t", "1").await?;
        stored(&tenant, "/s", "meanwhile").await?;
        let since = "2020-01-01T00:00:00Z";
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        until("what came meanwhile with the consumer", HEALED_WITHIN, || async {
            let oracle = Oracle::new(tenant.clone());
            Ok(oracle.was_handled(&consumer.id, since, "/s", "meanwhile").await?.then_some(()))
        })
        .await
    })
}

#[test]
fn wash_shows_the_links_where_it_is_installed() -> anyhow::Result<()> {
    shared(|platform| async move {
        // The tests above ask what it asks.
        let Ok(wash) = on_path("wash", "make wash") else { return Ok(()) };
        let port = platform.nats_url.rsplit(':').next().unwrap_or_default().to_string();
        let run = |arguments: &'static [&'static str]| {
            let mut command = tokio::process::Command::new(&wash);
            command
                .args(arguments)
                .args(["--ctl-host", "127.0.0.1", "--ctl-port", &port])
                .args(["-o", "json"])
                .kill_on_drop(true);
            async move {
                let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await??;
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                ensure!(
                    output.status.success(),
                    "wash {arguments:?}: {said}{}",
                    String::from_utf8_lossy(&output.stderr)
                );
                Ok(said)
            }
        };
        let shown = run(&["get", "links"]).await?;
        for (source, target, ..) in DIAGRAM {
            ensure!(shown.contains(&format!("\"{source}\"")) && shown.contains(&format!("\"{target}\"")), "{shown}");
        }
        let status = run(&["app", "status", "eventrunner"]).await?;
        ensure!(status.to_lowercase().contains("deployed"), "{status}");
        Ok(())
    })
}
