//! The demo: every example webhook once, as its sender would post it, and a table of where it went.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use er_deploy::client::Client;
use er_deploy::first::Env;
use er_deploy::samples;
use er_event::packed;
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde_json::Value;

use crate::bill::{self, Used};

/// Requests under way at once, as a busy sender would have.
const CONCURRENCY: usize = 16;
const TYPES_SHOWN: usize = 12;
/// What the tenant's rules are for the demo.
const RULES: &str = include_str!("../../../rules/demo.grl");
const POLL: Duration = Duration::from_millis(200);

/// What the consumer was handed, as the delivery reports say.
#[derive(Debug, Default)]
struct Delivered {
    events: usize,
    failed: usize,
    /// Milliseconds from the arrival of the POST to the return of the consumer, per event.
    latency_ms: Vec<f64>,
}

/// What the tenant's rules did, as the rules reports say.
#[derive(Debug, Default)]
struct Ruled {
    version: u64,
    dropped: usize,
    emitted: usize,
    /// How often each rule fired.
    fired: BTreeMap<String, usize>,
}

pub async fn run(env: &Env, modules: &Path, deadline: Duration) -> anyhow::Result<()> {
    let client = env.client()?;
    let webhooks = samples::github(modules)?;
    let nats = async_nats::connect(&env.nats_url).await.context("NATS of the lattice")?;
    let mut reports = nats.subscribe(format!("er.report.*.{}", env.tenant)).await?;
    let delivered = Arc::new(Mutex::new(Delivered::default()));
    let ruled = Arc::new(Mutex::new(Ruled::default()));
    let collector = tokio::spawn({
        let (delivered, ruled) = (Arc::clone(&delivered), Arc::clone(&ruled));
        async move {
            while let Some(message) = reports.next().await {
                let Ok(report) = serde_json::from_slice::<Value>(&message.payload) else { continue };
                if message.subject.starts_with("er.report.rules.") {
                    ruled.lock().note(&report);
                } else {
                    note(&delivered, &report);
                }
            }
        }
    });
    save_rules(env, &client).await?;
    let used = Used::read(&client, &env.tenant).await?;
    let dead_before = count_dead(&client).await?;
    let position = tail_position(&nats).await?;

    eprintln!("sending {} real GitHub webhooks to {}/events", webhooks.len(), env.ingest_url);
    let started = Instant::now();
    let mut accepted = 0;
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut answers = futures::stream::iter(&webhooks)
        .map(|webhook| {
            let client = client.clone();
            async move {
                let delivery = uuid::Uuid::now_v7().to_string();
                let headers = [
                    ("content-type", "application/json"),
                    ("user-agent", "GitHub-Hookshot/demo"),
                    ("x-github-event", webhook.event.as_str()),
                    ("x-github-delivery", delivery.as_str()),
                ];
                client.post_event(&headers, webhook.body.clone()).await
            }
        })
        .buffer_unordered(CONCURRENCY);
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if answer.status.as_u16() == 202 {
            accepted += 1;
        } else {
            *refused.entry(format!("{} {}", answer.status, answer.body)).or_default() += 1;
        }
    }
    let sent_in = started.elapsed();

    // Delivered or dead, each: and the alerts that came of them went the same way.
    let alerts = loop {
        let (types, total) = types_since(&nats, &env.tenant, position).await?;
        let alerts = types.get("alert").copied().unwrap_or_default();
        let dead = count_dead(&client).await? - dead_before;
        let handled = {
            let delivered = delivered.lock();
            delivered.events
        };
        let (dropped, emitted) = {
            let ruled = ruled.lock();
            (ruled.dropped, ruled.emitted)
        };
        if total + dead + dropped >= accepted + alerts + emitted && handled + alerts >= total {
            break (types, alerts, dead);
        }
        anyhow::ensure!(
            started.elapsed() < deadline,
            "after {} s {handled} of {total} events were delivered, {dead} are dead letters, {accepted} were accepted",
            deadline.as_secs()
        );
        tokio::time::sleep(POLL).await;
    };
    let (types, alerts, dead) = alerts;
    collector.abort();
    let handed_over = {
        let delivered = delivered.lock();
        print_table(&Table {
            sent: webhooks.len(),
            accepted,
            refused,
            sent_in,
            types,
            alerts,
            dead,
            delivered: &delivered,
            ruled: &ruled.lock(),
        });
        delivered.events
    };
    // What consumers emit comes in as what clients send does.
    let (events_in, deliveries) = (accepted + alerts, handed_over);
    let used = used.grown(&client, &env.tenant, events_in as u64, deliveries as u64, deadline).await?;
    bill::print(&client, &env.tenant, &used).await?;
    Ok(())
}

/// What to try on the platform, which goes on running.
pub fn print_next(env: &Env) {
    println!("\nThe console: {}/   (sign in with ER_API_KEY of var/demo.env)", env.api_url);
    println!("\nTry next (first: . var/demo.env)");
    println!("  curl -s -H \"Authorization: Bearer $ER_API_KEY\" \"$ER_API_URL/api/v1/events?type=alert&limit=3\"");
    println!("  curl -sN -H \"Authorization: Bearer $ER_API_KEY\" \"$ER_API_URL/api/v1/tail\"     # then run `make demo` again beside it");
    println!("  curl -s -H \"Authorization: Bearer $ER_API_KEY\" \"$ER_API_URL/api/v1/invoice/$ER_TENANT?format=html\" >invoice.html");
    println!("  wash get links                                                       # `make wash` installs wash");
}

/// Saves the demo's rules, as anybody would with curl.
async fn save_rules(env: &Env, client: &Client) -> anyhow::Result<()> {
    let url = format!("{}/api/v1/rules/demo?tenant={}", env.api_url, env.tenant);
    let request =
        client.raw(reqwest::Method::PUT, &url).bearer_auth(&env.admin_key).header("content-type", "text/plain");
    let answer = Client::answer(request.body(RULES)).await?;
    anyhow::ensure!(answer.status.is_success(), "the demo's rules were refused: {} {}", answer.status, answer.body);
    Ok(())
}

// === impl Ruled ===

impl Ruled {
    fn note(&mut self, report: &Value) {
        let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
        let count = |name: &str| usize::try_from(number(name)).unwrap_or_default();
        self.version = number("version");
        self.dropped += count("dropped");
        self.emitted += count("emitted");
        for (rule, times) in report.get("fired").and_then(Value::as_object).into_iter().flatten() {
            let times = times.as_u64().and_then(|times| usize::try_from(times).ok()).unwrap_or_default();
            *self.fired.entry(rule.clone()).or_default() += times;
        }
    }
}

struct Table<'a> {
    sent: usize,
    accepted: usize,
    refused: BTreeMap<String, usize>,
    sent_in: Duration,
    types: BTreeMap<String, usize>,
    alerts: usize,
    dead: usize,
    delivered: &'a Delivered,
    ruled: &'a Ruled,
}

fn print_table(table: &Table<'_>) {
    let line = |name: &str, value: String| println!("  {name:<34} {value:>12}");
    println!();
    line("sent", table.sent.to_string());
    line("accepted (202)", table.accepted.to_string());
    for (why, count) in &table.refused {
        println!("    refused {count}: {why}");
    }
    line("posted in", format!("{:.2} s", table.sent_in.as_secs_f64()));
    let in_stream: usize = table.types.iter().filter(|(ty, _)| *ty != "alert").map(|(_, n)| n).sum();
    line("normalized", (in_stream + table.ruled.dropped - table.ruled.emitted.min(in_stream)).to_string());
    let mut types: Vec<_> = table.types.iter().filter(|(ty, _)| *ty != "alert").collect();
    types.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (ty, count) in types.iter().take(TYPES_SHOWN) {
        println!("    {ty:<44} {count:>5}");
    }
    if types.len() > TYPES_SHOWN {
        println!("    … and {} more types", types.len() - TYPES_SHOWN);
    }
    line(
        &format!("rules fired (version {})", table.ruled.version),
        table.ruled.fired.values().sum::<usize>().to_string(),
    );
    for (rule, count) in &table.ruled.fired {
        println!("    {rule:<44} {count:>5}");
    }
    line("  dropped by rules", table.ruled.dropped.to_string());
    line("  emitted by rules", table.ruled.emitted.to_string());
    line("delivered to rust-alert", table.delivered.events.to_string());
    line("  of these not handled", table.delivered.failed.to_string());
    line("alerts emitted", table.alerts.to_string());
    line("dead letters", table.dead.to_string());
    let mut latency = table.delivered.latency_ms.clone();
    latency.sort_by(f64::total_cmp);
    for (name, share) in [("p50", 0.50), ("p99", 0.99)] {
        line(
            &format!("POST to consumer, {name}"),
            quantile(&latency, share).map_or("-".into(), |ms| format!("{ms:.1} ms")),
        );
    }
}

/// The value below which `share` of the sorted values lie.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

fn note(delivered: &Mutex<Delivered>, report: &Value) {
    let number = |name: &str| report.get(name).and_then(Value::as_u64).unwrap_or_default();
    if number("attempt") != 1 {
        return;
    }
    let events = usize::try_from(number("events")).unwrap_or_default();
    let latency_ms = number("handled_us").saturating_sub(number("received_us")) as f64 / 1e3;
    let mut delivered = delivered.lock();
    delivered.events += events;
    delivered.failed += usize::try_from(number("failed")).unwrap_or_default();
    delivered.latency_ms.extend(std::iter::repeat_n(latency_ms, events));
}

async fn tail_position(nats: &async_nats::Client) -> anyhow::Result<u64> {
    let js = async_nats::jetstream::new(nats.clone());
    Ok(js.get_stream("ER_EVENTS").await?.info().await?.state.last_sequence)
}

/// How many events of each type went into the tenant's stream after `position`, and how many in all.
async fn types_since(
    nats: &async_nats::Client,
    tenant: &str,
    position: u64,
) -> anyhow::Result<(BTreeMap<String, usize>, usize)> {
    use async_nats::jetstream::consumer::{pull, AckPolicy, DeliverPolicy};
    let js = async_nats::jetstream::new(nats.clone());
    let stream = js.get_stream("ER_EVENTS").await?;
    let consumer = stream
        .create_consumer(pull::Config {
            filter_subject: format!("er.events.{tenant}"),
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: position + 1 },
            inactive_threshold: Duration::from_secs(5),
            ..pull::Config::default()
        })
        .await?;
    let mut types = BTreeMap::new();
    let mut total = 0;
    loop {
        let mut page = consumer.fetch().max_messages(256).messages().await?;
        let mut any = false;
        while let Some(message) = page.next().await {
            let message = message.map_err(|e| anyhow::anyhow!(e))?;
            any = true;
            let encoding = message.headers.as_ref().and_then(|headers| headers.get(packed::CONTENT_ENCODING));
            let batch = packed::plain(encoding.map(|encoding| encoding.as_str()), &message.payload)?;
            for event in er_event::event::parse_batch(std::str::from_utf8(&batch)?)? {
                *types.entry(event.event_type.into_owned()).or_default() += 1;
                total += 1;
            }
        }
        if !any {
            return Ok((types, total));
        }
    }
}

async fn count_dead(client: &Client) -> anyhow::Result<usize> {
    let mut after = 0;
    let mut count = 0;
    loop {
        let page = client.get(&format!("/api/v1/dead-letters?after={after}&limit=1000")).await?.json();
        count += page.get("items").and_then(Value::as_array).map_or(0, Vec::len);
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => after = next,
            None => return Ok(count),
        }
    }
}
