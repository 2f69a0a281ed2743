//! Real webhooks of others: every example of npm's `@octokit/webhooks-examples`, posted as GitHub would.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_deploy::samples;
use er_testkit::platform::cache;
use er_testkit::sse::Tail;
use er_testkit::{until, Component};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use crate::support::{accepted, member, posted, shared, stored, text, JSON, STORED_WITHIN};

const AT_ONCE: usize = 8;

fn action(body: &str) -> anyhow::Result<Option<String>> {
    let body: Value = serde_json::from_str(body)?;
    Ok(body.get("action").and_then(Value::as_str).map(str::to_string))
}

#[test]
fn every_example_becomes_an_event_that_says_what_happened() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("github").await?;
        platform.consumer(&tenant, Component::RustAlert, &[]).await?;
        let webhooks = samples::github(&cache().join("npm/node_modules"))?;
        ensure!(webhooks.len() > 200, "{} examples", webhooks.len());
        let client = &tenant.client;
        futures::stream::iter(webhooks.iter().enumerate())
            .map(|(n, webhook)| async move {
                let id = format!("delivery-{n}");
                let headers = [("content-type", JSON), ("x-github-event", &webhook.event), ("x-github-delivery", &id)];
                accepted(&posted(client, &headers, webhook.body.clone()).await?, &[&id])
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;

        let found = until("every webhook in the store", STORED_WITHIN, || async {
            let events = tenant.events("type=com.github.*").await?;
            ensure!(events.len() >= webhooks.len(), "{} of {}", events.len(), webhooks.len());
            Ok(Some(events))
        })
        .await?;
        let by_id: BTreeMap<String, &String> =
            found.iter().map(|event| Ok((text(event, "id")?, event))).collect::<anyhow::Result<_>>()?;
        ensure!(by_id.len() == webhooks.len() && found.len() == webhooks.len(), "{} found", found.len());
        for (n, webhook) in webhooks.iter().enumerate() {
            let event = by_id.get(&format!("delivery-{n}")).context("one is missing")?;
            let mut expected = format!("com.github.{}", webhook.event);
            if let Some(action) = action(&webhook.body)? {
                expected = format!("{expected}.{action}");
            }
            ensure!(text(event, "type")? == expected, "expected {expected}: {event}");
            ensure!(member(event, "data")?.as_deref() == Some(&*webhook.body), "the data changed: {event}");
            ensure!(text(event, "source")?.starts_with("http"), "{event}");
            ensure!(er_event::event::time_us(&text(event, "time")?).is_some(), "{event}");
            ensure!(!text(event, "subject")?.is_empty(), "{event}");
        }
        ensure!(tenant.dead_letters().await?.is_empty(), "{:?}", tenant.dead_letters().await?);

        // What the sample consumer found worth an alert: at least one of these, and each about an event that we sent.
        let alerts = until("alerts in the store", STORED_WITHIN, || async {
            let alerts = tenant.events("type=alert").await?;
            Ok((!alerts.is_empty()).then_some(alerts))
        })
        .await?;
        for alert in &alerts {
            let data: Value = serde_json::from_str(&member(alert, "data")?.context("no data")?)?;
            let about = data["event"]["id"].as_str().and_then(|id| by_id.get(id)).context(alert.clone())?;
            ensure!(text(about, "type")? == data["event"]["type"].as_str().unwrap_or_default(), "{alert}");
        }
        let mut tail = Tail::open(&tenant.client, "types=alert&after=0", None).await?;
        let block = tail.next_event(Duration::from_secs(60)).await?.context("the tail ended")?;
        ensure!(block.event == "alert" && text(&block.data, "type")? == "alert", "{block:?}");
        Ok(())
    })
}

#[test]
fn source_subject_and_time_come_from_the_payload() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("payload").await?;
        let body = r#"{"action":"opened","issue":{"number":7,"updated_at":"2024-05-06T07:08:09Z"},"repository":{"html_url":"https://github.com/octo/hello"}}"#;
        let headers = [("content-type", JSON), ("x-github-event", "issues"), ("x-github-delivery", "d-7")];
        accepted(&posted(&tenant.client, &headers, body).await?, &["d-7"])?;
        let event = stored(&tenant, "https://github.com/octo/hello", "d-7").await?;
        for (name, value) in [("type", "com.github.issues.opened"), ("subject", "7"), ("time", "2024-05-06T07:08:09Z")]
        {
            ensure!(text(&event, name)? == value, "`{name}` should be {value}: {event}");
        }
        let found =
            tenant.events("type=com.github.issues.opened&from=2024-05-06T07:08:09Z&to=2024-05-06T07:08:10Z").await?;
        ensure!(found == [event], "{found:?}");
        Ok(())
    })
}

#[test]
fn what_can_not_be_normalized_is_a_dead_letter_with_its_original_bytes() -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant("dead").await?;
        let bodies = [("dead-1", "[1,  2.50 , \"\\u00fc ü\"]"), ("dead-2", "\"just text\""), ("dead-3", "7")];
        for (id, body) in bodies {
            let headers = [("content-type", JSON), ("x-github-event", "push"), ("x-github-delivery", id)];
            accepted(&posted(&tenant.client, &headers, body).await?, &[id])?;
        }
        let dead = until("three dead letters", STORED_WITHIN, || async {
            let dead = tenant.dead_letters().await?;
            ensure!(dead.len() >= bodies.len(), "{} so far", dead.len());
            Ok(Some(dead))
        })
        .await?;
        ensure!(dead.len() == bodies.len(), "{dead:?}");
        for (id, body) in bodies {
            let letter = dead.iter().find(|letter| letter["event"]["id"] == id).context("one is missing")?;
            ensure!(letter["stage"] == "normalize", "{letter}");
            ensure!(letter["original"] == body, "{letter}");
            let reason = letter["reason"].as_str().unwrap_or_default();
            ensure!(reason.contains("GitHub") && reason.contains("object"), "{letter}");
            ensure!(er_event::event::time_us(letter["time"].as_str().unwrap_or_default()).is_some(), "{letter}");
        }
        ensure!(tenant.events("").await?.is_empty(), "it is stored as an event as well");
        Ok(())
    })
}
