//! `/metrics` over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::header::{HeaderMap, HeaderName, ACCEPT, CONTENT_TYPE};
use axum::routing::get;
use axum::Router;
use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tracing::error;

use super::exemplars::{Exemplars, Noting};
use super::{documented, snapshot};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text";
const OPEN_METRICS_FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds in seconds for every histogram whose name ends in `_seconds`.
pub(super) const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Upper bounds for histograms that count what goes together.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Values of histograms rest in a queue until somebody adds them up, which nobody does where nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// What is scraped.
struct Told {
    handle: PrometheusHandle,
    process: Collector,
    /// None where there are no traces.
    exemplars: Option<Exemplars>,
}

/// Serves `/metrics` on `addr` until the process ends. `part`: what this process is called in `eventrunner_build_info`.
/// Where there are traces, they are named by exemplars to whom accepts OpenMetrics.
///
/// # Errors
/// When the address is taken, or a recorder is installed already.
pub fn serve(addr: SocketAddr, part: &'static str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).context("the address")?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_events".into()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_group_requests".into()), COUNTS)?
        .build_recorder();
    let handle = recorder.handle();
    let exemplars = er_trace::on().then(Exemplars::default);
    match exemplars.clone() {
        None => metrics::set_global_recorder(recorder)?,
        Some(exemplars) => metrics::set_global_recorder(Noting { recorder, exemplars, here: trace_here })?,
    }
    documented::describe();
    gauge!("eventrunner_build_info", "part" => part, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let process = Collector::default();
    process.describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP_EVERY);
        loop {
            ticks.tick().await;
            upkeep.run_upkeep();
        }
    });
    let told = Arc::new(Told { handle, process, exemplars });
    let answer = move |headers: HeaderMap| {
        let told = Arc::clone(&told);
        async move { told.scraped(&headers) }
    };
    let app = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            error!(%error, "metrics are not served any more");
        }
    });
    Ok(())
}

fn trace_here() -> Option<String> {
    er_trace::current().map(|context| context.trace_id().to_string())
}

// === impl Told ===

impl Told {
    fn scraped(&self, headers: &HeaderMap) -> ([(HeaderName, &'static str); 1], String) {
        self.process.collect();
        let mut text = self.handle.render();
        text.push_str(&snapshot::told());
        let accepts = |accept: &str| accept.contains(OPEN_METRICS);
        let accepted = headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(accepts));
        match self.exemplars.as_ref().filter(|_| accepted) {
            Some(exemplars) => ([(CONTENT_TYPE, OPEN_METRICS_FORMAT)], exemplars.open_metrics(&text)),
            None => ([(CONTENT_TYPE, TEXT_FORMAT)], text),
        }
    }
}
