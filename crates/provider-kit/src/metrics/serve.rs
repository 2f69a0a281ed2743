//! `/metrics` over HTTP.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::header::{HeaderName, CONTENT_TYPE};
use axum::routing::get;
use axum::Router;
use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;
use tracing::error;

use super::{documented, snapshot};

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Upper bounds in seconds for every histogram whose name ends in `_seconds`.
const SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.003, 0.005, 0.007_5, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Upper bounds for histograms that count what goes together.
const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
/// Values of histograms rest in a queue until somebody adds them up, which nobody does where nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Serves `/metrics` on `addr` until the process ends. `part`: what this process is called in `eventrunner_build_info`.
///
/// # Errors
/// When the address is taken, or a recorder is installed already.
pub fn serve(addr: SocketAddr, part: &'static str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr).context("the address")?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_events".into()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_group_requests".into()), COUNTS)?
        .install_recorder()?;
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
    let told = Arc::new((handle, process));
    let answer = move || {
        let told = Arc::clone(&told);
        async move { scraped(&told.0, &told.1) }
    };
    let app = Router::new().route("/metrics", get(answer));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            error!(%error, "metrics are not served any more");
        }
    });
    Ok(())
}

fn scraped(handle: &PrometheusHandle, process: &Collector) -> ([(HeaderName, &'static str); 1], String) {
    process.collect();
    let mut text = handle.render();
    text.push_str(&snapshot::told());
    ([(CONTENT_TYPE, TEXT_FORMAT)], text)
}
