//! How long a tenant's events take while another tenant's consumer misbehaves, beside how long they take without.

use std::time::Duration;

use anyhow::Context as _;
use er_deploy::client::Client;
use er_testkit::consumer::{manifest_of, PROBATION, PROVEN};
use er_testkit::Component;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::door::Kind;
use crate::load::Pace;
use crate::path::{Case, Path};
use crate::platform::Platform;
use crate::stats::{Middle, Weighted};
use crate::table::{rounded, Row};
use crate::Args;

/// What the project aims at: the neighbour's p99 beside one that misbehaves, as a multiple of its p99 alone.
const AIM_RATIO: f64 = 1.5;
/// A modest load: what is asked is not how much the machine can do.
const CASE: Case = Case { events: 16, connections: 8, door: Kind::Http };
const EVENTS_PER_S: f64 = 1_600.0;
/// One event that makes the consumer misbehave, each time.
const PROVOKED_EVERY: Duration = Duration::from_millis(200);
/// Patience that makes the most of each misdeed, and many attempts at it.
const SETTINGS: [(&str, &str); 3] = [("timeout_ms", "5000"), ("attempts_max", "2"), ("backoff_ms", "100")];
/// What misbehaves, the type of event that asks for it, and its data.
const MISDEEDS: [(&str, &str, &str); 9] = [
    ("endless loop", "test.loop", "1"),
    ("memory bomb", "test.memory", "1"),
    ("stack overflow", "test.stack", "1"),
    ("huge output", "test.output", "24"),
    ("log flood", "test.flood", "1"),
    ("emit storm", "test.storm", "1"),
    ("slow answer", "test.slow", "60000"),
    ("trap", "test.trap", "1"),
    ("a thousand failures", "test.failures", "1"),
];

/// A tenant whose consumer is asked to misbehave until this is stopped.
struct Offender {
    app: String,
    provoking: JoinHandle<()>,
}

// === impl Offender ===

impl Offender {
    async fn start(
        platform: &Platform,
        args: &Args,
        (name, event_type, data): (&str, &str, &str),
    ) -> anyhow::Result<Self> {
        let env = &platform.deployed.env;
        let tenant = format!("mallory-{}", name.replace(' ', "-"));
        let operator = Client::new(&env.api_url, &env.ingest_url, &env.admin_key)?;
        let client = operator.with_key(&operator.make_tenant(&tenant, "admin").await?);
        let role = if args.together { PROVEN } else { PROBATION };
        let (consumer, manifest) =
            manifest_of(&args.dir.join("images"), role, &tenant, Component::Hostile, &SETTINGS).await?;
        platform.deploy(&manifest).await?;
        let (event_type, data) = (event_type.to_owned(), data.to_owned());
        let provoking = tokio::spawn(async move {
            for number in 0_u64.. {
                let event = format!(
                    r#"{{"specversion":"1.0","id":"{number}","source":"/mallory","type":"{event_type}","data":{data}}}"#
                );
                // Whether it is taken is no matter: it is sent to do harm.
                let _ = client.post_event(&[("content-type", "application/cloudevents+json")], event).await;
                tokio::time::sleep(PROVOKED_EVERY).await;
            }
        });
        Ok(Self { app: consumer.app, provoking })
    }

    async fn stop(self, platform: &Platform) -> anyhow::Result<()> {
        self.provoking.abort();
        platform.undeploy(&self.app).await
    }
}

/// The latencies of all the runs, and the p99 of each, in milliseconds.
#[derive(Default)]
struct Runs {
    all: Weighted,
    p99s: Vec<f64>,
}

// === impl Runs ===

impl Runs {
    async fn of(path: &Path<'_>, runs: usize) -> anyhow::Result<Self> {
        let mut made = Self::default();
        for _ in 0..runs {
            let mut latency = path.latency(CASE, Pace::Open { events_per_s: EVENTS_PER_S }).await?;
            made.p99s.push(latency.summary_ms()[1]);
            made.all.append(&latency);
        }
        Ok(made)
    }

    fn append(&mut self, other: &Self) {
        self.all.append(&other.all);
        self.p99s.extend(&other.p99s);
    }
}

/// A row a misdeed: the neighbour's p99 beside it, and alone, just before and after: a machine that others share is not
/// the same from one minute to the next. Of all runs together: a misdeed that is soon over would be in the minority of them.
pub async fn measure(platform: &Platform, path: &Path<'_>, args: &Args) -> anyhow::Result<Vec<Row>> {
    // The first calls are slower.
    Runs::of(path, 1).await?;
    eprintln!("neighbour, alone");
    let mut rows = Vec::new();
    let mut before = Runs::of(path, args.runs).await?;
    for misdeed in MISDEEDS {
        eprintln!("neighbour, beside: {}", misdeed.0);
        let offender = Offender::start(platform, args, misdeed).await.context(misdeed.0)?;
        let measured = Runs::of(path, args.runs).await;
        offender.stop(platform).await?;
        let mut runs = measured.context(misdeed.0)?;
        let mut after = Runs::of(path, args.runs).await?;
        let [_, p99_before, _] = before.all.summary_ms();
        let [_, p99_after, _] = after.all.summary_ms();
        let mut alone = std::mem::take(&mut before);
        alone.append(&after);
        before = after;
        let [alone_p50, alone_p99, _] = alone.all.summary_ms();
        let [p50, p99, max] = runs.all.summary_ms();
        rows.push(Row {
            bench: "neighbour",
            case: misdeed.0.into(),
            ours: Some(p99),
            peer: Some(alone_p99),
            unit: "ms (p99)",
            durability: String::new(),
            note: format!(
                "p50 {p50:.1} (alone {alone_p50:.1}), max {max:.1}; peer: alone, {p99_before:.1} before and {p99_after:.1} after; \
                 aim {AIM_RATIO}"
            ),
            detail: json!({
                "events_per_s": EVENTS_PER_S,
                "batch_events": CASE.events,
                "aim_ratio": AIM_RATIO,
                "one_host": args.together,
                "spread_percent": rounded(Middle::of(&runs.p99s).spread_percent),
                "alone_spread_percent": rounded(Middle::of(&alone.p99s).spread_percent),
            }),
        });
    }
    Ok(rows)
}
