//! The gate: whatever changes the lattice is asked about first, and what is refused is refused to its sender's face.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{bail, ensure, Context as _};
use er_deploy::app::part_id;
use er_deploy::manifest;
use er_testkit::consumer::PROVEN;
use er_testkit::platform::{cache, root, DEPLOY_WITHIN, HEALED_WITHIN};
use er_testkit::{until, Component, Part, Platform, Tenant};
use futures::StreamExt as _;
use serde_json::{json, Value};

use crate::support::{alone, send, shared, stored};

/// As long as wash waits, and a busy machine.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);
const PUBLIC: &str = "wasmbus.ctl.v1.default";
const PRIVATE: &str = "wasmbus.ctl-private.v1.default";

async fn ask(platform: &Platform, subject: &str, request: &Value) -> anyhow::Result<Value> {
    let nats = platform.nats().await?;
    let asked = async_nats::Request::new().payload(request.to_string().into()).timeout(Some(ANSWERED_WITHIN));
    let answer = nats.send_request(subject.to_owned(), asked).await.with_context(|| format!("{subject} {request}"))?;
    serde_json::from_slice(&answer.payload).with_context(|| format!("{subject} answers no JSON"))
}

pub async fn control(platform: &Platform, operation: &str, request: &Value) -> anyhow::Result<Value> {
    ask(platform, &format!("{PUBLIC}.{operation}"), request).await
}

/// Holds an answer of the control interface to be a refusal by a policy of some revision, which says all of `words`.
fn refused(answer: &Value, words: &[&str]) -> anyhow::Result<()> {
    let message = answer["message"].as_str().unwrap_or_default();
    ensure!(answer["success"] == false, "it was done: {answer}");
    ensure!(message.starts_with("refused by policy: ") && message.contains(" (policy "), "{answer}");
    for word in words {
        ensure!(message.contains(word), "nothing of {word} in: {message}");
    }
    Ok(())
}

fn link(source: &str, target: &str, interface: &str, configs: [&[&str]; 2]) -> Value {
    json!({
        "source_id": source, "target": target, "name": "by-hand", "wit_namespace": "eventrunner",
        "wit_package": "platform", "interfaces": [interface],
        "source_config": configs[0], "target_config": configs[1],
    })
}

async fn is_linked(platform: &Platform, source: &str, target: &str) -> anyhow::Result<bool> {
    let answer = control(platform, "link.get", &json!(null)).await?;
    let links = answer["response"].as_array().with_context(|| answer.to_string())?;
    Ok(links.iter().any(|link| link["source_id"] == source && link["target"] == target))
}

/// wasmCloud's own command line, where there is one: `make wash` brings it in.
fn wash(platform: &Platform, arguments: &[&str]) -> anyhow::Result<Option<Output>> {
    let brought = cache().join("bin/wash");
    let program = if brought.exists() { brought } else { PathBuf::from("wash") };
    let port = platform.nats_url.rsplit(':').next().unwrap_or_default();
    let ran = Command::new(program)
        .args(arguments)
        .args(["--ctl-port", port, "--timeout-ms", "15000"])
        .stdin(Stdio::null())
        .output();
    match ran {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("no wash here: tried without it");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Holds wash to have failed, and to have said all of `words`.
fn failed(output: Option<Output>, words: &[&str]) -> anyhow::Result<()> {
    let Some(output) = output else { return Ok(()) };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.code() == Some(1), "wash ended with {}: {said}", output.status);
    for word in words {
        ensure!(said.contains(word), "wash says nothing of {word}: {said}");
    }
    Ok(())
}

async fn delivered(platform: &Platform, tenant: &Tenant, consumer: &str, id: &str) -> anyhow::Result<()> {
    let oracle = er_testkit::Oracle::new(tenant.clone());
    let since = crate::support::now();
    send(tenant, "/gate", id, "test.gate", "1").await?;
    stored(tenant, "/gate", id).await?;
    until(&format!("{id} with {consumer}, on {}", platform.nats_url), HEALED_WITHIN, || async {
        Ok(oracle.was_handled(consumer, &since, "/gate", id).await?.then_some(()))
    })
    .await
}

#[test]
fn a_link_between_tenants_is_refused_to_its_senders_face_and_is_not_there() -> anyhow::Result<()> {
    shared(|platform| async move {
        let (one, other) = (platform.tenant("gate-one").await?, platform.tenant("gate-other").await?);
        let mine = platform.consumer(&one, Component::Recorder, &[]).await?;
        let theirs = platform.consumer(&other, Component::Recorder, &[]).await?;
        let crosses = format!("it leads from tenant {} to tenant {}", one.id, other.id);
        let answer = control(&platform, "link.put", &link(&mine.id, &theirs.id, "consumer", [&[], &[]])).await?;
        refused(&answer, &[&crosses, "link "])?;
        let put = ["link", "put", &mine.id, &theirs.id, "eventrunner", "platform", "--interface", "consumer"];
        failed(wash(&platform, &put)?, &["refused by policy", &crosses])?;
        ensure!(!is_linked(&platform, &mine.id, &theirs.id).await?, "there is such a link");

        // Nor with the settings of another, which the provider would believe.
        let borrowed = part_id(&theirs.app, &format!("{}-emitter", theirs.app));
        let answer =
            control(&platform, "link.put", &link(&mine.id, "eventrunner-jetstream", "emitter", [&[], &[&borrowed]]))
                .await?;
        refused(&answer, &[&borrowed, "is not"])?;
        // Nor by calling one's own settings those of another tenant.
        let own = part_id(&mine.app, &format!("{}-emitter", mine.app));
        let answer = control(&platform, &format!("config.put.{own}"), &json!({ "tenant": other.id })).await?;
        refused(&answer, &["the setting `tenant` is not", &one.id])?;
        // Nor what is the platform's alone.
        let answer =
            control(&platform, "link.put", &link(&mine.id, "eventrunner-jetstream", "kv", [&[], &[&own]])).await?;
        refused(&answer, &["nothing allows", "kv"])?;
        // What is allowed goes on as if nothing were in between: its links, and who reads them.
        until("the delivery to be there, whichever host is asked", HEALED_WITHIN, || async {
            Ok(is_linked(&platform, "eventrunner-jetstream", &mine.id).await?.then_some(()))
        })
        .await?;
        let own_value = json!({ "tenant": one.id });
        let answer = control(&platform, &format!("config.put.{own}"), &own_value).await?;
        ensure!(answer["success"] == true, "{answer}");
        let answer = control(&platform, &format!("config.get.{own}"), &json!(null)).await?;
        ensure!(answer["response"] == own_value, "{answer}");
        delivered(&platform, &one, &mine.id, "as-before").await?;
        platform.retire(&mine).await?;
        platform.retire(&theirs).await
    })
}

#[test]
fn what_is_made_by_hand_or_changes_hosts_is_refused() -> anyhow::Result<()> {
    shared(|platform| async move {
        let answer =
            control(&platform, "link.put", &link("byhand", "eventrunner-jetstream", "emitter", [&[], &[]])).await?;
        refused(&answer, &["(nobody)"])?;
        let answer = control(&platform, "config.put.byhand", &json!({"a": "b"})).await?;
        refused(&answer, &["(nobody)"])?;
        let hosts = control(&platform, "host.ping", &json!(null)).await?;
        let host = hosts["response"]["id"].as_str().with_context(|| hosts.to_string())?.to_owned();
        let role = json!({"key": "eventrunner.role", "value": "tenant"});
        refused(&control(&platform, &format!("label.put.{host}"), &role).await?, &["eventrunner.role"])?;
        refused(&control(&platform, "registry.put", &json!({})).await?, &["registry-put"])?;
        // No policy is asked about what nobody knows.
        let answer = control(&platform, "link.put.more", &json!({})).await?;
        ensure!(
            answer["success"] == false && answer.to_string().contains("no operation that anybody knows"),
            "{answer}"
        );
        Ok(())
    })
}

/// A manifest with something that is allowed, and a link, an image and an import that are not.
fn forbidden(tenant: &Tenant) -> String {
    let app = format!("{}-greedy", tenant.id);
    let image = |name: &str| format!("file://{}", root().join("build").join(name).display());
    let (recorder, api) = (image("er_test_recorder.wasm"), image("er_api.wasm"));
    let tenant = &tenant.id;
    format!(
        "
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {{ name: {app}, annotations: {{ version: v1 }} }}
spec:
  components:
    - name: good
      type: component
      properties: {{ image: '{recorder}' }}
      traits:
        - &tenants
          type: spreadscaler
          properties:
            instances: 1
            spread: [{{ name: tenants, requirements: {{ eventrunner.role: tenant }} }}]
        - type: link
          properties:
            namespace: eventrunner
            package: platform
            interfaces: [kv]
            target: {{ name: jetstream, config: [{{ name: {app}-kv, properties: {{ tenant: {tenant} }} }}] }}
    - name: imports
      type: component
      properties: {{ image: '{api}' }}
      traits: [*tenants]
    - name: elsewhere
      type: component
      properties: {{ image: 'registry.example/evil:1' }}
      traits: [*tenants]
    - name: jetstream
      type: capability
      properties: {{ application: {{ name: eventrunner, component: jetstream }} }}
"
    )
}

#[test]
fn a_manifest_is_refused_at_once_with_all_that_is_wrong_with_it() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("gate-greedy").await?;
        let app = format!("{}-greedy", tenant.id);
        let file = platform.images().with_file_name(format!("{app}.yaml"));
        std::fs::write(&file, forbidden(&tenant))?;
        let words = [
            "refused by policy (policy ",
            "nothing allows good of",
            "[\"kv\"]",
            "a tenant's code may not import wasi:http/",
            "image registry.example/evil:1 comes from nowhere that is trusted",
        ];
        let apps = platform.apps().await?;
        let manifest = manifest::read(&file).await?;
        let Err(error) = apps.deploy(&manifest, DEPLOY_WITHIN, |_| {}).await else {
            bail!("it was deployed");
        };
        let said = format!("{error:#}");
        for word in words {
            ensure!(said.contains(word), "nothing of {word} in: {said}");
        }
        failed(wash(&platform, &["app", "deploy", &file.display().to_string()])?, &words)?;
        ensure!(apps.list().await?.iter().all(|(name, ..)| *name != app), "wadm knows of it");
        Ok(())
    })
}

#[test]
fn a_host_that_is_told_behind_the_gate_asks_before_it_starts_anything() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("gate-behind").await?;
        let nats = platform.nats().await?;
        let host = platform.processes.host_id(PROVEN).context("no tenants' host")?;
        let id = part_id(&format!("{}-x", tenant.id), "api");
        let mut failures = nats.subscribe("wasmbus.evt.default.component_scale_failed").await?;
        nats.flush().await?;
        let image = format!("file://{}", root().join("build/er_api.wasm").display());
        let start = json!({
            "component_ref": image, "component_id": id, "count": 1, "host_id": host, "config": [], "annotations": {},
            "allow_update": false,
        });
        let answer = ask(&platform, &format!("{PRIVATE}.component.scale.{host}"), &start).await?;
        ensure!(answer["success"] == true, "the host does not even try: {answer}");
        let failed = tokio::time::timeout(ANSWERED_WITHIN, async {
            while let Some(event) = failures.next().await {
                let event: Value = serde_json::from_slice(&event.payload)?;
                if event["data"]["component_id"] == id.as_str() {
                    return Ok(());
                }
            }
            bail!("no more events")
        });
        failed.await.context("it seems to have started")??;
        let inventory = ask(&platform, &format!("{PUBLIC}.host.get.{host}"), &json!(null)).await?;
        ensure!(!inventory.to_string().contains(&id), "it runs: {inventory}");
        Ok(())
    })
}

/// `current` of the policies says which version counts.
async fn counting(platform: &Platform) -> anyhow::Result<async_nats::jetstream::kv::Store> {
    let js = async_nats::jetstream::new(platform.nats().await?);
    Ok(js.get_key_value("ER_POLICY").await?)
}

#[test]
fn without_a_policy_everything_is_refused_and_events_flow_on() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("gate-away").await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        delivered(&platform, &tenant, &consumer.id, "before").await?;

        // One that nobody published: a gate that starts now knows no other.
        let bucket = counting(&platform).await?;
        let none = json!({"bundle": "0123456789ab", "data": null, "by": "test", "at": "2026-01-01T00:00:00Z"});
        bucket.put("current", none.to_string().into()).await?;
        let before = platform.kill9(Part::Gate).await?;
        let another = || async { Ok(platform.processes.find(Part::Gate).filter(|pid| *pid != before)) };
        until("another gate", HEALED_WITHIN, another).await?;
        let own = part_id(&consumer.app, &format!("{}-emitter", consumer.app));
        let allowed = json!({ "tenant": tenant.id });
        let answer = until("a gate that answers", HEALED_WITHIN, || async {
            control(&platform, &format!("config.put.{own}"), &allowed).await.map(Some)
        })
        .await?;
        let message = answer["message"].as_str().unwrap_or_default();
        ensure!(answer["success"] == false && message.contains("no policy could decide"), "{answer}");
        let apps = platform.apps().await?;
        let wanted = manifest::load(&root().join("wadm/consumer.yaml"), &platform.images(), &[]).await?;
        let Err(error) = apps.deploy(&wanted, DEPLOY_WITHIN, |_| {}).await else { bail!("it was deployed") };
        ensure!(format!("{error:#}").contains("no policy could decide"), "{error:#}");
        // What runs is not the gate's business.
        delivered(&platform, &tenant, &consumer.id, "without").await?;

        bucket.delete("current").await?;
        until("the policy to count again", HEALED_WITHIN, || async {
            let answer = control(&platform, &format!("config.put.{own}"), &allowed).await?;
            Ok((answer["success"] == true).then_some(()))
        })
        .await?;
        platform.retire(&consumer).await
    })
}
