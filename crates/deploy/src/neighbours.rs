//! The demo's second half: a second tenant with a consumer in Python, and what it gets when it reaches for the first one's.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, Context as _};
use er_deploy::app::part_id;
use er_deploy::client::{Answer, Client};
use er_deploy::first::Env;
use er_deploy::links::Links;
use reqwest::{Method, StatusCode};
use serde_json::{json, Value};

const TENANT: &str = "acme";
const CONSUMER: &str = "thanks";
/// The part of the first tenant that the second reaches for, as wadm names the one of `wadm/consumer.yaml`.
const VICTIM: &str = "demo_rust_alert-rust_alert";
const ORDERS: usize = 5;
const POLL: Duration = Duration::from_millis(250);

pub async fn run(env: &Env, lattice: &str, component: &Path, deadline: Duration) -> anyhow::Result<()> {
    let operator = env.client()?.with_key(&env.admin_key);
    let acme = operator.with_key(&operator.make_tenant(TENANT, "admin").await?);
    println!("\nA second tenant, `{TENANT}`, with a consumer in Python ({})", component.display());
    upload(&acme, component, deadline).await?;
    let thanks = order(&acme, deadline).await?;
    println!("  {ORDERS} orders in, {thanks} thanks out, all of them {TENANT}'s");
    refused_by_the_api(env, &acme).await?;
    refused_by_policy(env, lattice).await
}

/// `PUT /api/v1/consumers/{name}`, and waits until it runs.
async fn upload(acme: &Client, component: &Path, deadline: Duration) -> anyhow::Result<()> {
    let bytes = std::fs::read(component)
        .with_context(|| format!("{}; `scripts/build-consumers python` makes it", component.display()))?;
    let url = format!("{}/api/v1/consumers/{CONSUMER}?types=order.placed", acme.api);
    let request = acme.raw(Method::PUT, &url).bearer_auth(acme.key()).header("content-type", "application/wasm");
    let put = Client::answer(request.body(bytes)).await?;
    if !put.status.is_success() {
        bail!("the consumer was refused: {} {}", put.status, put.body);
    }
    let started = Instant::now();
    let mut last = String::new();
    loop {
        let record = acme.read(&format!("/api/v1/consumers/{CONSUMER}")).await?;
        let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (state, message) = (text("state"), text("message"));
        if state != last {
            eprintln!("  {state}: {message}");
        }
        match state.as_str() {
            "running" => return Ok(()),
            "refused" | "failed" => bail!("the consumer is {state}: {message}"),
            _ if started.elapsed() > deadline => {
                bail!("the consumer is still {state} after {} s: {message}", deadline.as_secs())
            }
            _ => last = state,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Sends orders, and waits for what the consumer makes of each.
async fn order(acme: &Client, deadline: Duration) -> anyhow::Result<usize> {
    let run = uuid::Uuid::now_v7();
    let orders: Vec<Value> = (0..ORDERS)
        .map(|n| {
            json!({"specversion": "1.0", "id": format!("{run}-{n}"), "source": "/demo/shop", "type": "order.placed",
                   "data": {"total": 10 + n}})
        })
        .collect();
    let headers = [("content-type", "application/cloudevents-batch+json")];
    let posted = acme.post_event(&headers, serde_json::to_vec(&orders)?).await?;
    if posted.status != StatusCode::ACCEPTED {
        bail!("the orders were refused: {} {}", posted.status, posted.body);
    }
    let started = Instant::now();
    loop {
        let page = acme.read("/api/v1/events?type=order.thanks&limit=100").await?;
        let ours = run.to_string();
        let events = page.get("events").and_then(Value::as_array);
        let thanks = events.into_iter().flatten().filter(|event| event.to_string().contains(&ours)).count();
        if thanks >= ORDERS {
            return Ok(thanks);
        }
        if started.elapsed() > deadline {
            bail!("{thanks} of {ORDERS} orders were thanked for after {} s", deadline.as_secs());
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn refused_by_the_api(env: &Env, acme: &Client) -> anyhow::Result<()> {
    let path = format!("/api/v1/events?tenant={}", env.tenant);
    println!("\n`{TENANT}` asks for the events of `{}`: GET {path}", env.tenant);
    let Answer { status, body, .. } = acme.get(&path).await?;
    println!("  {status} {body}");
    anyhow::ensure!(status == StatusCode::FORBIDDEN, "it was not refused");
    Ok(())
}

/// What `wash link put` sends, and what it would print.
async fn refused_by_policy(env: &Env, lattice: &str) -> anyhow::Result<()> {
    let links = Links::connect(&env.nats_url, lattice).await?;
    let source = part_id(&format!("{TENANT}-{CONSUMER}"), CONSUMER);
    println!("\nA link from `{TENANT}`'s consumer to one of `{}`:", env.tenant);
    println!("  wash link put {source} {VICTIM} eventrunner platform --interface consumer");
    let refusal = links.refused(&source, VICTIM, "consumer").await?;
    println!("  {refusal}");
    let there = links.between(&source, VICTIM).await?;
    anyhow::ensure!(there == 0, "the link is there all the same");
    println!("  links between the two: {there}");
    Ok(())
}
