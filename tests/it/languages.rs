//! The sample consumers of each language, which all do the same: thanks for each order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use er_testkit::{until, Component};
use serde_json::{json, Value};

use crate::support::{event, post, send, shared, BATCH};

const THANKED_WITHIN: Duration = Duration::from_secs(90);
/// A host takes in links only when it has compiled what was started before, which are many megabytes here.
const LINKED_WITHIN: Duration = Duration::from_secs(90);
const ORDERS: usize = 50;
const ATTEMPTS: u64 = 4;

fn thanks_for_each_order(component: Component) -> anyhow::Result<()> {
    shared(|platform| async move {
        let tenant = platform.tenant(component.name()).await?;
        let attempts = ATTEMPTS.to_string();
        let settings = [("attempts_max", attempts.as_str()), ("backoff_ms", "100")];
        let consumer = platform.consumer(&tenant, component, &settings).await?;

        let source = format!("/consumers/{}", component.name());
        send(&tenant, "/first", "1", "order.placed", r#"{"total":0}"#).await?;
        until("the first thanks", LINKED_WITHIN, || async { Ok(tenant.event(&source, "/first#1").await?.map(drop)) })
            .await?;

        // Among the orders, one without a number for its total, and an event that is none of the consumer's business.
        let orders: BTreeMap<String, f64> = (0..ORDERS).map(|n| (format!("ü-{n}"), n as f64 / 2.0)).collect();
        let mut batch: Vec<String> = orders
            .iter()
            .map(|(id, total)| event("/shop", id, "order.placed", &json!({ "total": total }).to_string()))
            .collect();
        batch.insert(20, event("/shop", "malformed", "order.placed", r#"{"total":"much"}"#));
        batch.insert(10, event("/shop", "other", "order.cancelled", "null"));
        let answer = post(&tenant.client, BATCH, format!("[{}]", batch.join(","))).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);

        let thanks = until("thanks for each order", THANKED_WITHIN, || async {
            let mut thanks = tenant.events("type=order.thanks").await?;
            thanks.retain(|event| event.contains("/shop#"));
            Ok((thanks.len() >= ORDERS).then_some(thanks))
        })
        .await?;
        let mut thanked = BTreeMap::new();
        for text in thanks {
            let event: Value = serde_json::from_str(&text)?;
            let order = event["data"]["order"].as_str().unwrap_or_default().to_string();
            ensure!(event["source"] == source && event["id"] == format!("/shop#{order}"), "{text}");
            ensure!(event["eremitter"] == consumer.id, "{text}");
            let twice = thanked.insert(order, event["data"]["amount"].as_f64().unwrap_or(f64::NAN));
            ensure!(twice.is_none(), "thanked twice: {text}");
        }
        ensure!(thanked == orders, "thanked for {thanked:?}");

        let dead = until("the malformed order among the dead letters", THANKED_WITHIN, || async {
            let mut dead = tenant.dead_letters().await?;
            dead.retain(|letter| letter["event"]["source"] == "/shop");
            Ok((!dead.is_empty()).then_some(dead))
        })
        .await?;
        let [letter] = &dead[..] else { anyhow::bail!("not one dead letter: {dead:?}") };
        ensure!(letter["event"]["id"] == "malformed", "{letter}");
        ensure!(letter["attempts"] == ATTEMPTS && letter["consumer"] == consumer.id, "{letter}");
        ensure!(letter["reason"].as_str().is_some_and(|said| said.contains("data.total is not a number")), "{letter}");

        platform.retire(&consumer).await
    })
}

#[test]
fn a_consumer_in_python_thanks_for_each_order() -> anyhow::Result<()> {
    thanks_for_each_order(Component::PythonThanks)
}

#[test]
fn a_consumer_in_typescript_thanks_for_each_order() -> anyhow::Result<()> {
    thanks_for_each_order(Component::TypescriptThanks)
}

#[test]
fn a_consumer_in_go_thanks_for_each_order() -> anyhow::Result<()> {
    thanks_for_each_order(Component::GoThanks)
}
