//! Prints what a decision takes: cached, fresh, and with many tenants. Numbers for docs/policy.md, asserted nowhere.
//!
//!     scripts/build-policies && cargo run --release -p er-policy --example speed

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use er_policy::{Bundle, Compiled, Evaluator, Limits};
use er_question::{Api, Consumer, Deliver, Host, Input, Link, Part, PartType, Principal, Start};
use serde_json::{json, Value};

const CACHED: u32 = 1_000_000;
const FRESH: u32 = 20_000;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "build/policies.tar.gz".into());
    let bundle = Bundle::read(&std::fs::read(&path).map_err(|e| format!("{path}: {e}"))?, &Limits::default())?;
    let started = Instant::now();
    let compiled = Compiled::new(&bundle, Limits::default())?;
    println!("compile {:>10.1} ms", started.elapsed().as_secs_f64() * 1e3);
    for tenants in [10, 1_000, 10_000] {
        let data = with_tenants(bundle.data.clone(), tenants);
        let started = Instant::now();
        let ready = compiled.with_data(data)?;
        println!("\n{tenants} tenants: data loaded and tested in {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
        let evaluator = Evaluator::default();
        evaluator.activate(ready);
        for (name, input) in questions() {
            measure(&evaluator, name, &input)?;
        }
    }
    Ok(())
}

fn with_tenants(mut data: Value, tenants: u32) -> Value {
    let record = json!({"suspended": false});
    let records = (0..tenants).map(|n| (format!("tenant-{n}"), record.clone())).collect::<serde_json::Map<_, _>>();
    data["platform"]["tenants"] = records.into();
    data
}

fn questions() -> [(&'static str, Input<'static>); 5] {
    let part = |app, name| Part { app, name };
    let consumer = |tenant| Consumer { tenant, name: "alert" };
    let principal = Principal { tenant: "tenant-7", role: "viewer", key: "0123456789ab" };
    [
        (
            "deliver, allowed",
            Input::Deliver(Deliver {
                tenant: "tenant-7",
                consumer: consumer("tenant-7"),
                event_type: "com.github.push",
            }),
        ),
        (
            "deliver, denied",
            Input::Deliver(Deliver {
                tenant: "tenant-7",
                consumer: consumer("tenant-8"),
                event_type: "com.github.push",
            }),
        ),
        ("api, allowed", Input::Api(Api { principal, action: "read", tenant: Some("tenant-7") })),
        (
            "link, allowed",
            Input::Link(Link {
                manifest: "tenant-7-alert",
                tenant: Some("tenant-7"),
                source: part("tenant-7-alert", "alert"),
                target: part("eventrunner", "jetstream"),
                package: "eventrunner:platform",
                interfaces: vec!["emitter"],
                config: BTreeMap::from([("tenant", "tenant-7")]),
            }),
        ),
        (
            "start, allowed",
            Input::Start(Start {
                manifest: "tenant-7-alert",
                tenant: Some("tenant-7"),
                part_type: PartType::Component,
                image: "file:///srv/alert.wasm",
                imports: vec![
                    "eventrunner:platform/emitter@0.1.0",
                    "wasi:cli/environment@0.2.6",
                    "wasi:io/streams@0.2.6",
                    "wasi:clocks/wall-clock@0.2.6",
                ],
                issuer: None,
                host: Host { role: Some("tenant") },
            }),
        ),
    ]
}

fn measure(evaluator: &Evaluator, name: &str, input: &Input<'_>) -> Outcome<()> {
    let question = input.text()?;
    let ready = evaluator.current().ok_or("nothing is loaded")?;
    let mut taken = Vec::with_capacity(FRESH as usize);
    for _ in 0..FRESH {
        let started = Instant::now();
        let decision = ready.fresh(&question);
        taken.push(started.elapsed());
        if let Some(failure) = decision.failure {
            return Err(format!("{failure:?}: {}", decision.reason).into());
        }
    }
    taken.sort_unstable();
    let at = |share: f64| taken.get((taken.len() as f64 * share) as usize).map_or(0.0, Duration::as_secs_f64) * 1e6;
    let started = Instant::now();
    for _ in 0..CACHED {
        std::hint::black_box(evaluator.decide(std::hint::black_box(&question)));
    }
    let text = started.elapsed() / CACHED;
    let started = Instant::now();
    for _ in 0..CACHED {
        std::hint::black_box(evaluator.ask(std::hint::black_box(input)));
    }
    let typed = started.elapsed() / CACHED;
    println!(
        "  {name:<18} fresh p50 {:>6.1} µs  p99 {:>6.1} µs   cached {:>4} ns by text, {:>4} ns typed",
        at(0.5),
        at(0.99),
        text.as_nanos(),
        typed.as_nanos(),
    );
    Ok(())
}
