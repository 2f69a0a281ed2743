//! A batch's way as one trace, from the edge through providers and components to the tenant's consumer and back, as the
//! real OpenTelemetry Collector was told it.

use std::collections::BTreeSet;
use std::future::Future;

use anyhow::{ensure, Context as _};
use er_testkit::{Collector, Component, Options, Prometheus, Span, Tenant};
use reqwest::Method;

use crate::grpc;
use crate::support::{
    accepted, answered, event, live, on_its_own, posted, save_rules, send, stored, warmed_up, EVENT, JSON,
};

/// What a client that traces sends: a trace, and a span of it.
type Context = (String, String);

/// With each a client of its own: a call that failed and was made again left spans of both.
const TRIES: u8 = 4;
/// Of an event's data, and of nothing else.
const SECRET: &str = "pssst-7d1f";

/// From the edge to the engine's call.
const IN: [&str; 8] = [
    "provider-ingest ingest",
    "provider-ingest call admit",
    "host-platform admit",
    "provider-jetstream serve append",
    "provider-jetstream publish ER_RAW",
    "provider-jetstream process ER_RAW",
    "provider-jetstream call process",
    "host-platform process",
];
/// From the message that the engine's call was for to the consumer's.
const OUT: [&str; 4] = [
    "provider-jetstream publish ER_EVENTS",
    "provider-jetstream deliver ER_EVENTS",
    "provider-jetstream call handle",
    "host-tenant handle",
];

fn traced(collector: &Collector) -> Options {
    let lattice_args = ["--otlp-endpoint", &collector.url].map(str::to_owned).to_vec();
    Options { lattice_args, ..Options::default() }
}

/// Another for each number.
fn context(n: u8) -> Context {
    (format!("4bf92f3577b34da6a3ce929d0e0e47{n:02x}"), format!("00f067aa0ba902{n:02x}"))
}

/// With a flag that says that it is not sampled: that is not for a client to decide.
fn traceparent((trace, span): &Context) -> String {
    format!("00-{trace}-{span}-00")
}

/// Tries with one client after the other until all is as it should be; the one with which it was.
async fn tried<Fut>(mut attempt: impl FnMut(Context) -> Fut) -> anyhow::Result<Context>
where
    Fut: Future<Output = anyhow::Result<()>>,
{
    let mut n = 1;
    loop {
        match attempt(context(n)).await {
            Err(error) if n < TRIES => eprintln!("try {n}: {error:#}"),
            ended => return ended.map(|()| context(n)),
        }
        n += 1;
    }
}

/// Who did what.
fn label(span: &Span) -> String {
    let what = if span.name == "component_invocation" { span.attribute("func") } else { &span.name };
    format!("{} {what}", span.service.trim_start_matches("er-"))
}

/// The spans that these steps lead to, each from a span to one that is a part of it.
fn ends<'a>(trace: &[&'a Span], from: &'a Span, steps: &[&str]) -> Vec<&'a Span> {
    steps.iter().fold(vec![from], |ends, step| {
        let part = |span: &&&Span| label(span) == *step && ends.iter().any(|end| end.id == span.parent);
        trace.iter().filter(part).copied().collect()
    })
}

/// The one that these steps lead to.
fn end<'a>(trace: &[&'a Span], from: &'a Span, steps: &[&str]) -> anyhow::Result<&'a Span> {
    let ends = ends(trace, from, steps);
    let told: Vec<String> = trace.iter().map(|span| label(span)).collect();
    ensure!(ends.len() == 1, "{steps:?} leads to {} spans; there are {told:?}", ends.len());
    Ok(ends[0])
}

/// The trace that links to a client's: its first span, and all of it. Whole: each span's parent is there.
fn linked<'a>(spans: &'a [Span], theirs: &Context) -> anyhow::Result<(&'a Span, Vec<&'a Span>)> {
    let mut first = spans.iter().filter(|span| span.links.contains(theirs));
    let root = first.next().context("nothing links to the client")?;
    ensure!(first.next().is_none(), "more than one span links to the client");
    ensure!(root.trace != theirs.0 && root.parent.is_empty(), "{root:?}");
    let trace: Vec<&Span> = spans.iter().filter(|span| span.trace == root.trace).collect();
    let ids: BTreeSet<&str> = trace.iter().map(|span| &*span.id).collect();
    let orphan = trace.iter().find(|span| span.id != root.id && !ids.contains(&*span.parent));
    ensure!(orphan.is_none(), "nothing that {orphan:?} is a part of");
    Ok((root, trace))
}

/// Says who was there and how much, and nothing that was in it.
fn tells_no_secret(spans: &[Span], tenant: &Tenant) -> anyhow::Result<()> {
    let all = format!("{spans:?}");
    ensure!(all.contains(&tenant.id), "the tenant is nowhere");
    ensure!(!all.contains(SECRET), "an event's data is in a span");
    ensure!(!all.contains(tenant.client.key()), "a key is in a span");
    Ok(())
}

/// From the client's request to the consumer, and what that emits to the store.
fn is_whole(spans: &[Span], theirs: &Context, tenant: &Tenant) -> anyhow::Result<()> {
    let (root, trace) = linked(spans, theirs)?;
    ensure!(root.attribute("eventrunner.tenant") == tenant.id, "{root:?}");
    ensure!(root.attribute("eventrunner.requests") == "1", "{root:?}");
    ensure!(root.attribute("eventrunner.events") == "1", "{root:?}");
    ensure!(label(root) == IN[0] && root.kind == 2, "{root:?}");
    let engine = end(&trace, root, &IN[1..])?;
    for step in [
        &["host-platform normalize"][..],
        &["host-platform evaluate", "provider-jetstream serve get"],
        &["provider-local serve put"],
    ] {
        end(&trace, engine, step)?;
    }
    let raw = end(&trace, root, &IN[1..5])?;
    let pulled = end(&trace, root, &IN[1..6])?;
    let sequence = raw.attribute("eventrunner.stream.sequence");
    ensure!(!sequence.is_empty() && sequence == pulled.attribute("eventrunner.stream.first"), "{pulled:?}");
    ensure!((raw.kind, pulled.kind) == (4, 5), "{raw:?} {pulled:?}");

    let delivered = end(&trace, pulled, &OUT[..2])?;
    ensure!(delivered.attribute("eventrunner.attempt") == "1", "{delivered:?}");
    end(&trace, delivered, &["provider-jetstream call decide-many", "provider-opa serve decide-many"])?;
    let consumer = end(&trace, pulled, &OUT)?;
    // And back: what it emits goes the same way again.
    let emitted = end(&trace, consumer, &["provider-jetstream serve emit"])?;
    let again = end(&trace, emitted, &IN[4..])?;
    end(&trace, again, &["provider-local serve put"])?;
    ensure!(trace.iter().all(|span| !span.failed), "something failed");
    Ok(())
}

#[test]
fn a_batch_is_one_trace_from_the_edge_to_the_consumer_and_what_it_emits() -> anyhow::Result<()> {
    let collector = Collector::start()?;
    on_its_own(&traced(&collector), |platform| async move {
        collector.ready().await?;
        let tenant = platform.tenant("traced").await?;
        let rules = save_rules(&tenant, "seen", r#"rule Seen { when true then Tag("seen"); }"#).await?;
        live(&tenant, rules).await?;
        let consumer = platform.consumer(&tenant, Component::Recorder, &[]).await?;
        let prometheus = Prometheus::start(&platform).await?;
        warmed_up(&tenant, &consumer).await?;

        let theirs = tried(|theirs| {
            let (platform, tenant, collector) = (&platform, &tenant, &collector);
            async move {
                // Not a CloudEvent yet, so that it takes every step.
                let url = format!("{}/events?type=test.raw&source=/s", platform.ingest_url);
                let request = tenant.client.raw(Method::POST, &url).bearer_auth(tenant.client.key());
                let request = request.header("content-type", JSON).header("traceparent", traceparent(&theirs));
                let answer = answered(request.body(format!(r#"{{"order":"{SECRET}"}}"#))).await?;
                ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
                collector.becomes("the batch's trace", |spans| is_whole(spans, &theirs, tenant)).await
            }
        })
        .await?;
        let spans = collector.spans()?;
        tells_no_secret(&spans, &tenant)?;
        let trace = &linked(&spans, &theirs)?.0.trace;
        for histogram in
            ["eventrunner_engine_ingest_to_store_seconds", "eventrunner_delivery_ingest_to_consumer_seconds"]
        {
            prometheus.exemplified(histogram, trace).await?;
        }
        platform.retire(&consumer).await
    })
}

#[test]
fn attempts_and_the_dead_letter_are_in_the_trace_and_the_last_spans_are_sent() -> anyhow::Result<()> {
    let collector = Collector::start()?;
    on_its_own(&traced(&collector), |platform| async move {
        collector.ready().await?;
        let tenant = platform.tenant("again").await?;
        let settings = [("attempts_max", "2"), ("backoff_ms", "100")];
        let consumer = platform.consumer(&tenant, Component::Hostile, &settings).await?;
        warmed_up(&tenant, &consumer).await?;
        let dead = |spans: &[Span], theirs: &Context| {
            let (root, trace) = linked(spans, theirs)?;
            let retry = [&OUT[..2], &["provider-jetstream publish ER_RETRY", "provider-jetstream deliver ER_RETRY"]];
            let steps: Vec<&str> = IN[1..6].iter().chain(retry.concat().iter()).copied().collect();
            let second = end(&trace, root, &steps)?;
            ensure!(second.attribute("eventrunner.attempt") == "2", "{second:?}");
            end(&trace, second, &["provider-jetstream call handle", "host-tenant handle"])?;
            end(&trace, second, &["provider-jetstream publish ER_DEAD"]).map(drop)
        };
        tried(|theirs| {
            let (platform, tenant, collector) = (&platform, &tenant, &collector);
            async move {
                // An event of its own each time: one that came before is not handed over again.
                let mut fails = grpc::event("/s", &format!("never-{}", theirs.1), &format!("\"{SECRET}\""));
                fails.r#type = "test.fail".into();
                let mut request = grpc::by(tenant.client.key(), fails)?;
                request.metadata_mut().insert("traceparent", traceparent(&theirs).parse()?);
                grpc::client(platform).await?.publish(request).await?;
                collector.becomes("the trace up to the dead letter", |spans| dead(spans, &theirs)).await
            }
        })
        .await?;
        tells_no_secret(&collector.spans()?, &tenant)?;

        // What nobody sent yet when all of it ends.
        let before = collector.spans()?.len();
        send(&tenant, "/s", "last", "test.last", "1").await?;
        stored(&tenant, "/s", "last").await?;
        platform.stop();
        collector
            .becomes("the last event's trace", |spans| {
                let late = spans.get(before..).unwrap_or_default();
                let late: Vec<&Span> = late.iter().collect();
                let root = late.iter().find(|span| label(span) == IN[0]).context("no trace began")?;
                let engine = end(&late, root, &IN[1..])?;
                end(&late, engine, &["provider-local serve put"]).map(drop)
            })
            .await
    })
}

#[test]
fn nothing_is_sent_unless_it_is_asked_for_nor_of_what_is_not_sampled() -> anyhow::Result<()> {
    let collector = Collector::start()?;
    let url = || collector.url.clone();
    let off = Options { env: vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url())], ..Options::default() };
    let none = Options {
        lattice_args: [traced(&collector).lattice_args, vec!["--otlp-ratio".into(), "0".into()]].concat(),
        ..Options::default()
    };
    for options in [off, none] {
        on_its_own(&options, |platform| async move {
            let tenant = platform.tenant("untraced").await?;
            let (trace, span) = context(0);
            let headers = [("content-type", EVENT), ("traceparent", &format!("00-{trace}-{span}-01"))];
            let answer = posted(&tenant.client, &headers, event("/s", "1", "t", "1")).await?;
            accepted(&answer, &["1"])?;
            stored(&tenant, "/s", "1").await?;
            // Whoever has spans left sends them before it ends.
            platform.stop();
            Ok(())
        })?;
    }
    got_nothing(&collector)
}

/// Holds a Collector to have got nothing, and to take what it is sent.
fn got_nothing(collector: &Collector) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        collector.ready().await?;
        let (trace, span) = context(0);
        let span = serde_json::json!({ "traceId": trace, "spanId": span, "name": "ours", "kind": 1,
            "startTimeUnixNano": "1", "endTimeUnixNano": "2" });
        let request = serde_json::json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] });
        let sent = reqwest::Client::new().post(format!("{}/v1/traces", collector.url)).json(&request).send().await?;
        ensure!(sent.status() == 200, "{}", sent.status());
        let names = collector
            .becomes("the one span", |spans| {
                ensure!(!spans.is_empty(), "none yet");
                Ok(spans.iter().map(label).collect::<Vec<_>>())
            })
            .await?;
        ensure!(names == [" ours"], "{names:?}");
        Ok(())
    })
}
