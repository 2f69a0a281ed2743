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
        round: usize,
    ) -> anyhow::Result<Self> {
        let env = &platform.deployed.env;
        let tenant = format!("mallory-{}-{round}", name.replace(' ', "-"));
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
/// the same from one minute to the next. Of all rounds together: nine seconds are 900 batches, and so the slowest nine of
/// them would decide.
pub async fn measure(platform: &Platform, path: &Path<'_>, args: &Args) -> anyhow::Result<Vec<Row>> {
    let misdeeds = chosen(&args.beside)?;
    // The first calls are slower.
    Runs::of(path, 1).await?;
    eprintln!("neighbour, alone");
    let mut rows = Vec::new();
    let mut before = Runs::of(path, args.runs).await?;
    for misdeed in misdeeds {
        let (mut alone, mut beside) = (std::mem::take(&mut before), Runs::default());
        for round in 1..=args.rounds.max(1) {
            eprintln!("neighbour, beside: {} ({round} of {})", misdeed.0, args.rounds.max(1));
            let offender = Offender::start(platform, args, misdeed, round).await.context(misdeed.0)?;
            let measured = Runs::of(path, args.runs).await;
            offender.stop(platform).await?;
            beside.append(&measured.context(misdeed.0)?);
            before = Runs::of(path, args.runs).await?;
            alone.append(&before);
        }
        let [alone_p50, alone_p99, alone_max] = alone.all.summary_ms();
        let [p50, p99, max] = beside.all.summary_ms();
        rows.push(Row {
            bench: "neighbour",
            case: misdeed.0.into(),
            ours: Some(p99),
            peer: Some(alone_p99),
            unit: "ms (p99)",
            durability: String::new(),
            note: format!(
                "p50 {p50:.1} (alone {alone_p50:.1}), max {max:.1} (alone {alone_max:.1}); peer: alone, before and after; aim \
                 {AIM_RATIO}"
            ),
            detail: json!({
                "events_per_s": EVENTS_PER_S,
                "batch_events": CASE.events,
                "aim_ratio": AIM_RATIO,
                "one_host": args.together,
                "rounds": args.rounds,
                "spread_percent": rounded(Middle::of(&beside.p99s).spread_percent),
                "alone_spread_percent": rounded(Middle::of(&alone.p99s).spread_percent),
            }),
        });
    }
    Ok(rows)
}

/// The misdeeds of these names; all where none is named.
fn chosen(names: &[String]) -> anyhow::Result<Vec<(&'static str, &'static str, &'static str)>> {
    let known = || MISDEEDS.iter().map(|misdeed| misdeed.0);
    if let Some(odd) = names.iter().find(|name| !known().any(|misdeed| misdeed == name.as_str())) {
        anyhow::bail!("--beside {odd}: the misdeeds are {}", known().collect::<Vec<_>>().join(", "));
    }
    Ok(MISDEEDS.into_iter().filter(|misdeed| names.is_empty() || names.iter().any(|name| name == misdeed.0)).collect())
}
