//! Usage records from `ER_USAGE` to billing, and the look whether a month is over.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{pull, PullConsumer};
use async_nats::jetstream::Context;
use er_event::limits::BATCH_BYTES_MAX;
use er_provider_kit::call::Caller;
use er_provider_kit::metrics::{failed, retried, Stage};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::ack::{backoff, Delivery};
use crate::components::{close, collect};
use crate::publish::now_us;
use crate::pull::{Prefetch, Puller};
use crate::settings::CollectorSettings;
use crate::streams;

const NAME: &str = "collector";
const PREFETCH: Prefetch = Prefetch { messages: 1_024, bytes: 4 << 20 };
/// Messages under way: analytics answer once a second, and have all of a second's records then.
const UNDER_WAY_MAX: i64 = 8_192;
/// What the acknowledgement deadline adds to the call's.
const ACK_MARGIN: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Feeds billing. A clone is a handle to the same.
#[derive(Clone)]
pub struct Collector {
    pub js: Context,
    pub caller: Caller,
    /// The component in the lattice.
    pub billing: Arc<str>,
    pub settings: CollectorSettings,
}

// === impl Collector ===

impl Collector {
    /// Runs until stopped; calls under way are finished first.
    pub async fn run(self, stop: CancellationToken) {
        tokio::join!(self.collect(stop.clone()), self.close(stop));
    }

    fn config(&self) -> pull::Config {
        let config = streams::durable(NAME.into(), "er.usage.>".into(), self.settings.timeout + ACK_MARGIN, true);
        pull::Config { max_ack_pending: UNDER_WAY_MAX, ..config }
    }

    async fn collect(&self, stop: CancellationToken) {
        let mut puller = Puller::new(self.js.clone(), streams::USAGE, self.config(), PREFETCH);
        let calls = Arc::new(Semaphore::new(self.settings.calls_max));
        let tasks = TaskTracker::new();
        loop {
            let deliveries = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                deliveries = puller.next(PREFETCH.messages) => deliveries,
            };
            for group in groups(deliveries) {
                // Closed by nobody.
                let Ok(permit) = Arc::clone(&calls).acquire_owned().await else { break };
                let collector = self.clone();
                tasks.spawn(async move {
                    collector.settle(group).await;
                    drop(permit);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Order does not matter: records have keys, and sums have no order.
    async fn settle(&self, group: Vec<Delivery>) {
        match self.hand_over(&group).await {
            Ok(()) => {
                for delivery in group {
                    delivery.done().await;
                }
            }
            Err(reason) => {
                let delivered = group.iter().map(|delivery| delivery.position().1).max().unwrap_or(1);
                let wait = backoff(BACKOFF_MIN, BACKOFF_MAX, delivered);
                warn!(reason, delivered, wait_ms = wait.as_millis() as u64, "usage records wait");
                retried(Stage::Usage, 1);
                for delivery in group {
                    delivery.retry(wait).await;
                }
            }
        }
    }

    async fn hand_over(&self, group: &[Delivery]) -> Result<(), String> {
        let mut lines = String::new();
        for delivery in group {
            let text = delivery.payload().unpack().map_err(|e| e.to_string())?;
            // Between messages only: one that is as long as a call may be has no room for more.
            if !lines.is_empty() {
                lines.push('\n');
            }
            lines.push_str(std::str::from_utf8(&text).map_err(|e| e.to_string())?);
        }
        collect(&self.caller, &self.billing, &lines, self.settings.timeout).await.map_err(|error| {
            failed(Stage::Usage, error.word());
            error.to_string()
        })
    }

    async fn close(&self, stop: CancellationToken) {
        loop {
            let closed = self.close_once().await.unwrap_or_else(|error| {
                warn!(error = format!("{error:#}"), "months can't be closed now");
                0
            });
            if closed > 0 {
                info!(tenants = closed, "months closed");
            }
            // Billing closes a few tenants a call: while it finds some, it is asked again at once.
            let pause = if closed > 0 { Duration::ZERO } else { self.settings.close_every };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn close_once(&self) -> anyhow::Result<u64> {
        let settled_us = self.settled_us().await?;
        Ok(close(&self.caller, &self.billing, settled_us, self.settings.timeout).await?)
    }

    /// Until when every record that was written is collected: now, or when the oldest that is not was written.
    async fn settled_us(&self) -> anyhow::Result<u64> {
        let now_us = now_us();
        let stream = self.js.get_stream(streams::USAGE).await?;
        let mut consumer: PullConsumer = stream.get_or_create_consumer(NAME, self.config()).await?;
        let info = consumer.info().await?;
        if info.num_pending == 0 && info.num_ack_pending == 0 {
            return Ok(now_us);
        }
        let oldest = stream.get_raw_message(info.ack_floor.stream_sequence + 1).await?;
        let written_us = u64::try_from(oldest.time.unix_timestamp_nanos() / 1_000).unwrap_or_default();
        Ok(written_us.min(now_us))
    }
}

/// Messages that go into one call.
fn groups(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut groups: Vec<Vec<Delivery>> = Vec::new();
    let mut bytes = 0;
    for delivery in deliveries {
        let size = delivery.payload().len() + 1;
        match groups.last_mut() {
            Some(last) if bytes + size <= BATCH_BYTES_MAX => {
                last.push(delivery);
                bytes += size;
            }
            _ => {
                groups.push(vec![delivery]);
                bytes = size;
            }
        }
    }
    groups
}
