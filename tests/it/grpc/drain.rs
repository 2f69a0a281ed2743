//! An edge that is stopped in order, as a host stops it for an upgrade.

use std::time::Duration;

use anyhow::{ensure, Context as _};
use er_testkit::platform::HEALED_WITHIN;
use er_testkit::{until, Part, Platform};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::HealthCheckRequest;

use super::{by, channel, client, event, outcomes};
use crate::support::{alone, stored};

const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
const PROVIDER: &str = "eventrunner-ingest_http";

/// Tells the ingest provider to stop, as its host does.
async fn stop_edge(platform: &Platform) -> anyhow::Result<()> {
    let nats = platform.nats().await?;
    let host = platform.processes.host_id("platform").context("no platform host")?;
    let message = json!({ "host_id": host }).to_string();
    let subject = format!("wasmbus.rpc.default.{PROVIDER}.default.shutdown");
    tokio::time::timeout(ANSWERED_WITHIN, nats.request(subject, message.into())).await??;
    Ok(())
}

#[test]
fn an_edge_that_stops_answers_what_it_took_and_says_so() -> anyhow::Result<()> {
    alone(|platform| async move {
        let tenant = platform.tenant("drained").await?;
        let mut health = HealthClient::new(channel(&platform).await?);
        let mut states = health.watch(HealthCheckRequest { service: String::new() }).await?.into_inner();
        ensure!(states.message().await?.context("no state")?.status() == ServingStatus::Serving);

        let (sender, events) = mpsc::channel(1);
        let mut ingest = client(&platform).await?;
        let stream = by(tenant.client.key(), ReceiverStream::new(events))?;
        let mut answers = ingest.publish_stream(stream).await?.into_inner();
        let sending = tokio::spawn(async move {
            let mut sent = 0_u64;
            // Until nobody takes any more.
            while sender.send(event("/drained", &sent.to_string(), "1")).await.is_ok() {
                sent += 1;
            }
        });
        let mut receipts = Vec::new();
        let mut stop = None;
        let ended = loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    for (place, outcome) in outcomes(answer)? {
                        let id = outcome.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
                        ensure!(id == place.to_string(), "{id} at {place}");
                        receipts.push(id);
                    }
                    if stop.is_none() && receipts.len() > 20 {
                        let platform = std::sync::Arc::clone(&platform);
                        stop = Some(tokio::spawn(async move { stop_edge(&platform).await }));
                    }
                }
                other => break other,
            }
        };
        ensure!(matches!(&ended, Err(status) if status.code() == Code::Unavailable), "{ended:?}");
        let stop = stop
            .with_context(|| format!("it ended before it was stopped, after {} receipts: {ended:?}", receipts.len()))?;
        drop(answers);
        sending.await?;
        stop.await??;
        let told = states.message().await?.context("no further state")?;
        ensure!(told.status() == ServingStatus::NotServing, "{told:?}");
        ensure!(states.message().await?.is_none(), "the watch goes on");

        // The host brings it back.
        platform.processes.wait(Part::Ingest, HEALED_WITHIN).await?;
        until("an event to be taken", HEALED_WITHIN, || async {
            client(&platform).await?.publish(by(tenant.client.key(), event("/drained", "after", "1"))?).await?;
            Ok(Some(()))
        })
        .await?;
        stored(&tenant, "/drained", "after").await?;
        for id in &receipts {
            ensure!(
                tenant.event("/drained", id).await?.is_some(),
                "{id} of {} has a receipt and is lost",
                receipts.len()
            );
        }
        Ok(())
    })
}
