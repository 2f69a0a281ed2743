//! Probes: each returns once its part answers, or with an error that names the log to read.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{sleep, timeout, Instant};

use crate::part::{Part, Role};
use crate::plan::{Plan, PUBLIC_CTL, PUBLIC_WADM};

const PROBE_EVERY: Duration = Duration::from_millis(50);
/// The bucket in which wadm keeps what it knows of a lattice.
const WADM_STATE: &str = "wadm_state";
/// How events come to it: NATS copies those of the first to the second, which wadm reads.
const WADM_EVENTS: [&str; 2] = ["wasmbus_events", "wadm_event_consumer"];
/// It takes wadm less than a second, and was once seen to take more than thirty.
const KNOWN_WITHIN: Duration = Duration::from_secs(45);

/// Connects to NATS and keeps reconnecting, whatever happens to the server later.
pub async fn nats(plan: &Plan) -> anyhow::Result<async_nats::Client> {
    let url = plan.nats_url();
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let connecting = async_nats::ConnectOptions::new()
            .name("er-lattice supervisor")
            // Quick to be back: what it has to say after NATS died is what heals the lattice.
            .reconnect_delay_callback(|_| Duration::from_millis(100))
            .request_timeout(Some(Duration::from_secs(2)))
            .connect(&url)
            .await;
        match connecting {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| late(plan, Part::Nats));
            }
            Err(_) => sleep(PROBE_EVERY).await,
        }
    }
}

pub async fn gate(plan: &Plan, client: &async_nats::Client) -> anyhow::Result<()> {
    let subject = format!("{PUBLIC_CTL}.v1.{}.gate.get", plan.args.lattice);
    until_answered(client, subject, Duration::from_secs(20)).await.with_context(|| late(plan, Part::Gate))
}

pub async fn wadm(plan: &Plan, client: &async_nats::Client) -> anyhow::Result<()> {
    // First where it listens: a gate answers for it, too, that it is not there.
    for prefix in [plan.wadm_prefix(), PUBLIC_WADM] {
        let subject = format!("{prefix}.{}.model.get", plan.args.lattice);
        until_answered(client, subject, Duration::from_secs(20)).await.with_context(|| late(plan, Part::Wadm))?;
    }
    Ok(())
}

pub async fn host(plan: &Plan, client: &async_nats::Client, role: Role, host_id: &str) -> anyhow::Result<()> {
    for prefix in [plan.ctl_prefix(), PUBLIC_CTL] {
        let subject = format!("{prefix}.v1.{}.host.get.{host_id}", plan.args.lattice);
        until_answered(client, subject, Duration::from_secs(30)).await.with_context(|| late(plan, Part::Host(role)))?;
    }
    Ok(())
}

/// Waits until wadm knows these hosts. It answers before it listens to their events, and an application that is
/// deployed in between waits for the next round of heartbeats, or longer.
pub async fn known(plan: &Plan, client: &async_nats::Client, host_ids: &[String]) -> anyhow::Result<()> {
    let js = async_nats::jetstream::new(client.clone());
    let key = format!("host_{}", plan.args.lattice);
    let mut missing = host_ids.to_vec();
    let noticed = timeout(KNOWN_WITHIN, async {
        loop {
            if let Ok(bucket) = js.get_key_value(WADM_STATE).await {
                if let Ok(Some(hosts)) = bucket.get(&*key).await {
                    let hosts: serde_json::Value = serde_json::from_slice(&hosts).unwrap_or_default();
                    missing.retain(|id| hosts.get(id).is_none());
                    if missing.is_empty() {
                        return;
                    }
                }
            }
            sleep(PROBE_EVERY).await;
        }
    });
    if noticed.await.is_ok() {
        return Ok(());
    }
    let mut events = Vec::new();
    for stream in WADM_EVENTS {
        let messages = match js.get_stream(stream).await {
            Ok(stream) => stream.cached_info().state.messages.to_string(),
            Err(_) => "no".to_owned(),
        };
        events.push(format!("{messages} messages in {stream}"));
    }
    let (missing, within) = (missing.join(", "), KNOWN_WITHIN.as_secs());
    let why = anyhow::anyhow!("wadm has not noticed {missing} within {within} s ({})", events.join(", "));
    Err(why.context(late(plan, Part::Wadm)))
}

async fn until_answered(client: &async_nats::Client, subject: String, within: Duration) -> anyhow::Result<()> {
    timeout(within, async {
        while client.request(subject.clone(), "".into()).await.is_err() {
            sleep(PROBE_EVERY).await;
        }
    })
    .await
    .with_context(|| format!("no answer within {} s", within.as_secs()))
}

fn late(plan: &Plan, part: Part) -> String {
    let log = plan.log(part.name());
    let tail = std::fs::read_to_string(&log).unwrap_or_default();
    let from = tail.trim_end().rmatch_indices('\n').nth(4).map_or(0, |(at, _)| at + 1);
    format!(
        "{} does not answer; the end of {}:\n{}\n",
        part.name(),
        log.display(),
        tail.get(from..).unwrap_or_default().trim_end()
    )
}
