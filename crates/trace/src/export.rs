//! Sending spans: as OpenTelemetry's exporter does, and with a word in the log where it can't.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use opentelemetry_sdk::Resource;
use tracing::{info, warn};

/// The exporter keeps its failures to itself: whoever turned traces on would wait for them in vain.
#[derive(Debug)]
pub struct Told<E> {
    inner: E,
    failing: AtomicBool,
}

// === impl Told ===

impl<E> Told<E> {
    pub fn new(inner: E) -> Self {
        Self { inner, failing: AtomicBool::new(false) }
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.inner.export(batch).await;
        // Once each way, however long it lasts.
        let failed_before = self.failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !failed_before => warn!(%error, spans, "spans can't be sent, and are lost"),
            Ok(()) if failed_before => info!("spans are sent again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&mut self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&mut self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
