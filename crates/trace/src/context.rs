//! W3C trace context in headers: `traceparent` only. `tracestate` is for vendors who share it, and could carry
//! whatever a client puts there.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use tracing::Span;

/// The header's name, over HTTP, gRPC and NATS alike.
pub const TRACEPARENT: &str = "traceparent";
const VERSION: &str = "00";

/// What a request or message says to be part of.
#[must_use]
pub fn parse(header: &str) -> Option<SpanContext> {
    let mut parts = header.trim().split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    // A later version may have more parts, which are its own affair.
    let rest_is_right = if version == VERSION { parts.next().is_none() } else { version != "ff" };
    if !(hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2) && rest_is_right) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// The span of a client, to be linked to, where there are traces at all. `headers`: all of that name; two are none,
/// since nobody could say which counts.
pub fn client<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> Option<SpanContext> {
    if !crate::on() {
        return None;
    }
    let only = headers.next().filter(|_| headers.next().is_none())?;
    parse(std::str::from_utf8(only).ok()?)
}

/// What says to others that they are part of this span; none where it is not sampled.
#[must_use]
pub fn header(span: &Span) -> Option<String> {
    let context = crate::span::context(span)?;
    Some(format!("{VERSION}-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_is_read_as_it_was_written() {
        let context = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((context.trace_id().to_string(), context.span_id().to_string()), (TRACE.into(), SPAN.into()));
        assert!(context.is_sampled() && context.is_remote());
        assert!(!parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled());
        // Of a version to come, what is known counts.
        assert!(parse(&format!("01-{TRACE}-{SPAN}-03-more")).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_context_is_none() {
        let zero = |len| "0".repeat(len);
        for none in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{}-{SPAN}-01", zero(32)),
            format!("00-{TRACE}-{}-01", zero(16)),
            format!("00-{TRACE}-{SPAN}-zz"),
            format!("00-{}ü-{SPAN}-01", &TRACE[2..]),
            format!("00-{TRACE}0-{SPAN}-01"),
        ] {
            assert_eq!(parse(&none), None, "{none}");
        }
    }
}
