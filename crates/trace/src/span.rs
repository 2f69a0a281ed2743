//! Spans: where one begins, and what it belongs to.

use opentelemetry::trace::{SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, Value};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// A span of ours. Fields as `tracing` has them; `otel.kind` and `otel.name` have their own meaning. Only within
/// [`begin`], [`child`] or [`follow`], which decide whether there is one.
#[macro_export]
macro_rules! span {
    ($name:literal $(, $($fields:tt)*)?) => {
        $crate::tracing::info_span!(target: $crate::TARGET, $name $(, $($fields)*)?)
    };
}

/// The first span of a trace, if it is to be one. It links to `clients`, whatever they say about sampling: how much is
/// traced is not for them to decide.
pub fn begin(clients: impl IntoIterator<Item = SpanContext>, span: impl FnOnce() -> Span) -> Span {
    if !crate::on() {
        return Span::none();
    }
    let span = span();
    // Of nothing that happens to be under way here.
    let _ = span.set_parent(Context::new());
    clients.into_iter().for_each(|client| span.add_link(client));
    span
}

/// A part of the span that is current.
pub fn child(span: impl FnOnce() -> Span) -> Span {
    if !crate::on() || context(&Span::current()).is_none() {
        return Span::none();
    }
    span()
}

/// What is under way here, where it is sampled.
#[must_use]
pub fn current() -> Option<SpanContext> {
    crate::on().then(Span::current).as_ref().and_then(context)
}

/// What goes on elsewhere. It has one parent, the first that is sampled, and links to the others: it is part of one
/// trace, and the others end here with a link from it.
pub fn follow(carried: impl IntoIterator<Item = SpanContext>, span: impl FnOnce() -> Span) -> Span {
    if !crate::on() {
        return Span::none();
    }
    let mut sampled = carried.into_iter().filter(SpanContext::is_sampled);
    let Some(first) = sampled.next() else {
        return Span::none();
    };
    let span = span();
    let trace = first.trace_id();
    let _ = span.set_parent(Context::new().with_remote_span_context(first));
    sampled.filter(|other| other.trace_id() != trace).for_each(|other| span.add_link(other));
    span
}

/// Adds what was not known when the span began. `value` is made only where there is a span.
pub fn note<V: Into<Value>>(span: &Span, key: &'static str, value: impl FnOnce() -> V) {
    if !span.is_disabled() {
        span.set_attribute(key, value());
    }
}

/// What the span stands for went wrong. `why`: one of a few words, and never a tenant's.
pub fn failed(span: &Span, why: &'static str) {
    if !span.is_disabled() {
        span.set_status(Status::error(why));
        span.set_attribute("error.type", why);
    }
}

/// Where others can belong to this span: where it is sampled.
pub(crate) fn context(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() || !crate::on() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    (context.is_valid() && context.is_sampled()).then_some(context)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanId, TracerProvider as _};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::{header, parse, TRACES};

    /// Spans that ended.
    #[derive(Debug, Clone, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Ended {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    impl Ended {
        fn one(&self) -> SpanData {
            let mut ended = self.0.lock().unwrap();
            assert_eq!(ended.len(), 1, "{ended:?}");
            ended.remove(0)
        }
    }

    fn remote(trace: u8, flags: &str) -> SpanContext {
        parse(&format!("00-{}-{}-{flags}", format!("{trace:02x}").repeat(16), "0a".repeat(8))).unwrap()
    }

    fn traces(links: &opentelemetry_sdk::trace::SpanLinks) -> Vec<String> {
        links.iter().map(|link| link.span_context.trace_id().to_string()[..2].to_owned()).collect()
    }

    /// One test, since whether there are traces is the same for a whole process.
    #[test]
    fn a_span_belongs_to_what_it_should_and_is_none_where_nothing_is_traced() {
        assert!(begin([], || crate::span!("off")).is_disabled());
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        TRACES.set(provider).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert!(child(|| crate::span!("alone")).is_disabled());
            assert!(follow([remote(1, "00")], || crate::span!("unsampled")).is_disabled());

            // A client has no say in whether its batch is traced, and none in which trace that is.
            let first = begin([remote(1, "00"), remote(2, "01")], || crate::span!("first", otel.kind = "server"));
            let said = parse(&header(&first).unwrap()).unwrap();
            assert_eq!(current(), None);
            assert_eq!(first.in_scope(current).map(|here| here.span_id()), Some(said.span_id()));
            let part = first.in_scope(|| child(|| crate::span!("part")));
            failed(&part, "timeout");
            note(&part, "count", || 2);
            drop(part);
            let part = ended.one();
            assert_eq!((part.parent_span_id, part.span_context.trace_id()), (said.span_id(), said.trace_id()));
            assert_eq!(part.status, Status::error("timeout"));
            assert!(part.attributes.iter().any(|each| each.key.as_str() == "count"), "{:?}", part.attributes);
            drop(first);
            let first = ended.one();
            assert_eq!((first.parent_span_id, first.span_context.span_id()), (SpanId::INVALID, said.span_id()));
            assert_eq!(traces(&first.links), ["01", "02"]);

            let carried = [remote(1, "00"), remote(2, "01"), remote(3, "01"), remote(2, "01")];
            drop(follow(carried, || crate::span!("joined")));
            let joined = ended.one();
            assert_eq!(joined.span_context.trace_id(), remote(2, "01").trace_id());
            assert_eq!((joined.parent_span_id, traces(&joined.links)), (remote(2, "01").span_id(), vec!["03".into()]));
        });
    }
}
