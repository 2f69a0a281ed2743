//! What a process says of itself: logs on standard error and, where an endpoint is set, spans over OTLP.
//!
//! Whether there are traces is decided by OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_ENDPOINT` turns them on,
//! `OTEL_TRACES_SAMPLER_ARG` says how many. A host hands variables with that prefix on to its providers, which have no
//! other environment. A trace begins at one place only ([`begin`]); everywhere else a span needs one that it belongs
//! to, and one that is sampled: what is not costs a comparison.

mod context;
mod export;
mod span;

pub use context::{client, header, parse, TRACEPARENT};
pub use opentelemetry::trace::SpanContext;
pub use span::{begin, child, current, failed, follow, note};

#[doc(hidden)]
pub use tracing;

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::span_processor_with_async_runtime::BatchSpanProcessor;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use opentelemetry_sdk::Resource;
use tracing::Metadata;
use tracing_subscriber::filter::{filter_fn, LevelFilter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

/// The target of our spans, which keeps them out of the log, and everything else out of traces.
pub const TARGET: &str = "er_trace";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
/// What is not sent by then is lost: the process is about to end.
const FLUSH_MAX: Duration = Duration::from_secs(2);

static TRACES: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Which spans of others go into traces, too. They only go on with one: where a trace begins, they don't know.
pub type Also = fn(&Metadata<'_>) -> bool;

/// Sets up logs, and traces where an endpoint is set. Within a Tokio runtime.
///
/// # Errors
/// What is wrong with the variables, or that it was done before.
pub fn init(service: &'static str, also: Option<Also>) -> anyhow::Result<()> {
    if [ENDPOINT, TRACES_ENDPOINT].iter().all(|name| std::env::var_os(name).is_none_or(|value| value.is_empty())) {
        logs().with_env_filter(filter()).try_init().map_err(anyhow::Error::from_boxed)?;
        return Ok(());
    }
    let ratio = match std::env::var(RATIO) {
        Ok(text) => ratio(&text).with_context(|| format!("{RATIO}={text}"))?,
        Err(_) => 1.0,
    };
    let first = if also.is_some() { Sampler::AlwaysOff } else { Sampler::TraceIdRatioBased(ratio) };
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build().context("traces over OTLP")?;
    let processor = BatchSpanProcessor::builder(export::Told::new(exporter), opentelemetry_sdk::runtime::Tokio).build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(first)))
        .with_resource(Resource::builder().with_service_name(service).build())
        .with_span_processor(processor)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(TARGET))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    // Spans and no events: what is logged within a span may be in a tenant's own words.
    let ours = filter_fn(move |metadata| {
        metadata.is_span() && (metadata.target() == TARGET || also.is_some_and(|also| also(metadata)))
    })
    // Without it, every call of `debug!` would be looked at.
    .with_max_level_hint(LevelFilter::INFO);
    tracing_subscriber::registry()
        .with(layer.with_filter(ours))
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(filter()))
        .try_init()?;
    // Once: the subscriber above can't be set twice.
    let _ = TRACES.set(provider);
    tracing::info!(service, ratio, "tracing");
    Ok(())
}

/// Sets up logs only.
pub fn init_logs() {
    // A second initialization (a test in the same process) is harmless.
    let _ = logs().with_env_filter(filter()).try_init();
}

/// Whether spans are made here at all.
#[must_use]
pub fn on() -> bool {
    TRACES.get().is_some()
}

/// Sends what is left, before the process ends. A provider does so in its `shutdown`: once that returns, its host kills it.
pub async fn flush() {
    let Some(provider) = TRACES.get() else { return };
    // It blocks, on work of this runtime.
    let flushed = tokio::task::spawn_blocking(|| provider.shutdown());
    match tokio::time::timeout(FLUSH_MAX, flushed).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the last spans were not sent"),
        Ok(Err(error)) => tracing::warn!(%error, "the last spans were not sent"),
        Err(_) => tracing::warn!("the last spans were not sent in time"),
    }
}

type Logs = tracing_subscriber::fmt::SubscriberBuilder<
    tracing_subscriber::fmt::format::DefaultFields,
    tracing_subscriber::fmt::format::Format,
    LevelFilter,
    fn() -> std::io::Stderr,
>;

fn logs() -> Logs {
    tracing_subscriber::fmt().with_writer(std::io::stderr as fn() -> std::io::Stderr).with_ansi(false)
}

/// `RUST_LOG`, else `info`. Our spans are never for the log, so that they don't even exist where there are no traces.
fn filter() -> EnvFilter {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn"));
    match format!("{TARGET}=off").parse() {
        Ok(off) => filter.add_directive(off),
        Err(_) => filter,
    }
}

fn ratio(text: &str) -> anyhow::Result<f64> {
    let ratio: f64 = text.trim().parse()?;
    anyhow::ensure!((0.0..=1.0).contains(&ratio), "a ratio is from 0 to 1");
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::ratio;

    #[test]
    fn a_ratio_is_from_nothing_to_all() {
        assert_eq!([ratio("0").ok(), ratio(" 0.25").ok(), ratio("1").ok()], [Some(0.0), Some(0.25), Some(1.0)]);
        for none in ["", "-0.1", "1.01", "NaN", "10%"] {
            assert!(ratio(none).is_err(), "{none}");
        }
    }
}
