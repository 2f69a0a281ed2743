//! What the consumer was handed, as the platform's delivery reports tell it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::stats::Weighted;

const POLL: Duration = Duration::from_millis(2);
/// Reports that may wait while this process is busy posting.
const REPORTS_WAITING_MAX: usize = 256 * 1024;

#[derive(Deserialize)]
struct Report {
    events: u64,
    failed: u64,
    attempt: u32,
    received_us: u64,
    handled_us: u64,
    wall_us: u64,
}

/// What was delivered since the count was last started.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    pub events: u64,
    pub calls: u64,
    /// Events that the consumer did not handle, or not the first time.
    pub failed: u64,
    pub last_us: u64,
    /// From the arrival of the oldest event of a call to the consumer's return, an event each.
    pub latency_us: Weighted,
    /// How long each call into the consumer took.
    pub call_us: Weighted,
}

/// Follows one tenant's reports.
#[derive(Debug, Clone)]
pub struct Reports {
    delivered: Arc<Mutex<Delivered>>,
}

// === impl Reports ===

impl Reports {
    pub async fn follow(nats_url: &str, tenant: &str) -> anyhow::Result<Self> {
        let nats = async_nats::ConnectOptions::new()
            .name("er-bench")
            .subscription_capacity(REPORTS_WAITING_MAX)
            .connect(nats_url)
            .await
            .with_context(|| format!("NATS at {nats_url}"))?;
        let mut reports = nats.subscribe(format!("er.report.delivery.{tenant}")).await?;
        nats.flush().await?;
        let delivered = Arc::new(Mutex::new(Delivered::default()));
        let noted = Arc::clone(&delivered);
        tokio::spawn(async move {
            // The subscription ends with the connection, which lives as long as this task.
            let _nats = nats;
            while let Some(message) = reports.next().await {
                if let Ok(report) = serde_json::from_slice::<Report>(&message.payload) {
                    noted.lock().note(&report);
                }
            }
        });
        Ok(Self { delivered })
    }

    /// Starts counting from nothing.
    pub fn restart(&self) {
        *self.delivered.lock() = Delivered::default();
    }

    pub fn events(&self) -> u64 {
        self.delivered.lock().events
    }

    /// Waits until so many events were delivered, and returns what was.
    pub async fn until(&self, events: u64, deadline: Duration) -> anyhow::Result<Delivered> {
        let started = Instant::now();
        while self.events() < events {
            anyhow::ensure!(
                started.elapsed() < deadline,
                "{} of {events} events were delivered {} s after the last was sent",
                self.events(),
                deadline.as_secs()
            );
            tokio::time::sleep(POLL).await;
        }
        Ok(self.delivered.lock().clone())
    }
}

// === impl Delivered ===

impl Delivered {
    fn note(&mut self, report: &Report) {
        self.calls += 1;
        self.call_us.push(report.wall_us, 1);
        self.failed += report.failed;
        self.events += report.events.saturating_sub(report.failed);
        self.last_us = self.last_us.max(report.handled_us);
        if report.attempt == 1 && report.received_us > 0 {
            let latency = report.handled_us.saturating_sub(report.received_us);
            self.latency_us.push(latency, report.events);
        }
    }
}
