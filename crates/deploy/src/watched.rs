//! What Prometheus saw of the demo: the queries that an operator would begin with, and their answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use er_deploy::client::Client;
use er_deploy::prometheus::{self, Sample};

const POLL: Duration = Duration::from_millis(250);

struct Query {
    what: &'static str,
    promql: &'static str,
    /// What a value is of, and how many of them make one of the samples'.
    unit: (&'static str, f64),
}

/// Windows are long enough for everything since the start, so that a demo of seconds has rates, too.
const QUERIES: [Query; 8] = [
    Query { what: "providers that answer", promql: r#"sum(up{job="eventrunner"})"#, unit: ("", 1.0) },
    Query { what: "events received", promql: "sum(eventrunner_ingest_events_total)", unit: ("", 1.0) },
    Query { what: "events delivered", promql: "sum(eventrunner_delivery_events_total)", unit: ("", 1.0) },
    Query { what: "rules evaluated", promql: "sum(eventrunner_rules_evaluations_total)", unit: ("", 1.0) },
    Query {
        what: "dead letters, by stage",
        promql: "sum by (stage) (eventrunner_pipeline_dead_letters_total)",
        unit: ("", 1.0),
    },
    Query {
        what: "messages that wait, by stream",
        promql: "max by (stream) (eventrunner_stream_pending_messages)",
        unit: ("", 1.0),
    },
    Query {
        what: "ingest to store, p99",
        promql: "histogram_quantile(0.99, sum by (le) (eventrunner_engine_ingest_to_store_seconds_bucket))",
        unit: ("ms", 1e3),
    },
    Query {
        what: "ingest to consumer, p99",
        promql: "histogram_quantile(0.99, sum by (le) (eventrunner_delivery_ingest_to_consumer_seconds_bucket))",
        unit: ("ms", 1e3),
    },
];

/// Waits until every provider was scraped after now, and asks.
pub async fn run(client: &Client, prometheus: &str, deadline: Duration) -> anyhow::Result<()> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let oldest = r#"min(timestamp(up{job="eventrunner"}))"#;
    tokio::time::timeout(deadline, async {
        while !prometheus::query(client, prometheus, oldest).await.is_ok_and(|at| scraped_after(&at, since)) {
            tokio::time::sleep(POLL).await;
        }
    })
    .await
    .with_context(|| format!("{prometheus} did not scrape every provider within {} s", deadline.as_secs()))?;
    println!("\n  what Prometheus saw ({prometheus})");
    for Query { what, promql, unit } in QUERIES {
        println!("  {what:<34} {promql}");
        for sample in prometheus::query(client, prometheus, promql).await? {
            println!("    {:<44} {:>12}", sample.label(), value(sample.value, unit));
        }
    }
    Ok(())
}

fn scraped_after(at: &[Sample], since: f64) -> bool {
    at.first().is_some_and(|oldest| oldest.value > since)
}

fn value(value: f64, (unit, factor): (&str, f64)) -> String {
    let shown = value * factor;
    match unit {
        "" => format!("{shown}"),
        unit => format!("{shown:.1} {unit}"),
    }
}
