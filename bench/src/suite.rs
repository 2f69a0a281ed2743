//! The order of the benches, and how their numbers become rows.

use std::collections::BTreeMap;

use serde_json::{json, Map, Value};

use crate::door::Kind;
use crate::load::Pace;
use crate::path::{Case, Measured, Path};
use crate::peer::{self, Peer, Publisher, Sync};
use crate::platform::{Options, Platform};
use crate::procs::{self, Memory, Process};
use crate::table::{self, number, rounded, used_json, CpuTable, Row};
use crate::{now_us, Args, Bench};

const OURS: &str = "sync_interval: always, and the store synced before an event is acknowledged";
/// What the project aims at on a machine of 2 cores.
const AIM_RATIO_LAZY: f64 = 0.4;
const AIM_RATIO_ALWAYS: f64 = 10.0;
const AIM_P99_MS: f64 = 50.0;
const AIM_MEMORY_MIB: f64 = 400.0;
/// Share of the highest rate at which latency is measured.
const LATENCY_LOAD: f64 = 0.5;
const LATENCY_BATCHES: [usize; 2] = [256, 16];
/// Events of a batch, and of what a stream has on its way at once.
const GRPC_EVENTS: usize = 256;

#[derive(Default)]
struct Suite {
    rows: Vec<Row>,
    cpu: CpuTable,
    defects: Vec<String>,
    /// Rates of the peers, by sync.
    raw: BTreeMap<&'static str, f64>,
    raw_cpu_us: Option<f64>,
    /// Rate and µs of CPU an event over HTTP, at gRPC's batch size.
    http: Option<(f64, f64)>,
}

pub async fn run(args: &Args) -> anyhow::Result<()> {
    let started = now_us();
    let mut suite = Suite::default();
    if args.wants(Bench::RawPublish) {
        suite.raw_publish(args).await?;
    }
    if args.wants(Bench::EndToEnd) || args.wants(Bench::Grpc) || args.wants(Bench::Latency) {
        suite.whole_path(args).await?;
    }
    if args.wants(Bench::Neighbour) {
        suite.neighbour(args).await?;
    }
    table::print(&suite.rows);
    suite.cpu.print();
    println!("\nthe whole run took {:.0} s", (now_us() - started) as f64 / 1e6);
    table::append(&args.out, &about(args, started), &suite.rows)?;
    eprintln!("appended {} lines to {}", suite.rows.len(), args.out.display());
    anyhow::ensure!(suite.defects.is_empty(), "not a valid run: {}", suite.defects.join("; "));
    Ok(())
}

/// What every line tells of the run.
fn about(args: &Args, started_us: u64) -> Map<String, Value> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut about = Map::new();
    about.insert("date".into(), String::from_utf8_lossy(&crate::events::rfc3339(started_us)).into());
    about.insert("commit".into(), args.commit.clone().into());
    about.insert("cores".into(), cores.into());
    about
}

// === impl Suite ===

impl Suite {
    async fn raw_publish(&mut self, args: &Args) -> anyhow::Result<()> {
        for sync in [Sync::Lazy, Sync::Always] {
            let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let peer = Peer::start(&args.nats_server, &args.dir, port, sync).await?;
            for (publisher, events_per_message, window) in
                [(Publisher::Context, 1, 256), (Publisher::Bare, 1, 256), (Publisher::Bare, 256, 16)]
            {
                let case = peer::Case { publisher, events_per_message, window };
                let name = match (publisher, events_per_message) {
                    (Publisher::Bare, 1) => format!("{} 1 bare", sync.name()),
                    _ => format!("{} {events_per_message}", sync.name()),
                };
                eprintln!("raw publish, {name} a message");
                let measured = peer.measure(case, args.runs, args.run_time()).await?;
                if publisher == Publisher::Context {
                    self.raw.insert(sync.name(), measured.rate.median);
                    if sync == Sync::Lazy {
                        self.raw_cpu_us = Some(measured.used.cpu_us() / measured.events as f64);
                    }
                }
                self.cpu.push(name.clone(), measured.events, &measured.used);
                self.rows.push(Row {
                    bench: "raw-publish",
                    case: format!("{name} a message"),
                    ours: None,
                    peer: Some(measured.rate.median),
                    unit: "events/s",
                    durability: format!("{}: {}", sync.name(), sync.durability()),
                    note: format!("window {window}, ±{:.0} %", measured.rate.spread_percent),
                    detail: json!({
                        "window": window,
                        "client": match publisher {
                            Publisher::Context => "async-nats JetStream context",
                            Publisher::Bare => "bare async-nats, PubAcks counted",
                        },
                        "spread_percent": rounded(measured.rate.spread_percent),
                        "used": used_json(&measured.used, measured.events),
                    }),
                });
            }
            peer.stop().await?;
        }
        Ok(())
    }

    async fn neighbour(&mut self, args: &Args) -> anyhow::Result<()> {
        let platform = start(args).await?;
        let path = Path::new(&platform, args.runs, args.run_time()).await?;
        self.rows.extend(crate::neighbour::measure(&platform, &path, args).await?);
        platform.stop().await
    }

    async fn whole_path(&mut self, args: &Args) -> anyhow::Result<()> {
        let platform = start(args).await?;
        let path = Path::new(&platform, args.runs, args.run_time()).await?;
        let idle = memories(path.processes());
        let mut rates = BTreeMap::new();
        if args.wants(Bench::EndToEnd) {
            for events in &args.batches {
                let case = case(*events, args.connections);
                eprintln!("end to end, batches of {events} over {} connections", case.connections);
                let measured = path.measure(case, Pace::Closed).await?;
                rates.insert(*events, measured.rate.median);
                self.end_to_end(case, measured);
            }
        }
        if args.wants(Bench::Grpc) {
            for (door, name) in [(Kind::Batch, "batches"), (Kind::Stream, "streams")] {
                let case = Case { door, ..case(GRPC_EVENTS, args.connections) };
                eprintln!("end to end over gRPC, {name} of {GRPC_EVENTS} over {} connections", case.connections);
                let measured = path.measure(case, Pace::Closed).await?;
                self.grpc(case, name, measured);
            }
        }
        let loaded = memories(path.processes());
        if args.wants(Bench::Latency) {
            for events in LATENCY_BATCHES {
                let Some(rate) = rates.get(&events) else { continue };
                let events_per_s = rate * LATENCY_LOAD;
                eprintln!("latency, batches of {events} at {} events/s", number(events_per_s));
                let case = case(events, args.connections);
                let measured = path.measure(case, Pace::Open { events_per_s }).await?;
                self.latency(case, events_per_s, measured);
            }
        }
        let dead = crate::check::dead_letters(&platform).await?;
        if dead > 0 {
            self.defects.push(format!("{dead} events became dead letters"));
        }
        self.memory(&idle, &loaded);
        platform.stop().await
    }

    fn end_to_end(&mut self, case: Case, mut measured: Measured) {
        self.note_defects(&format!("end-to-end {}", case.events), &measured);
        let answered = measured.answered_us.summary_ms();
        let detail = detail(case, &mut measured);
        if case.events == GRPC_EVENTS {
            self.http = Some((measured.rate.median, measured.used.cpu_us() / measured.events as f64));
        }
        self.cpu.push(format!("ours {}", case.events), measured.events, &measured.used);
        explain(case, &measured);
        for (sync, aim) in [(Sync::Lazy, AIM_RATIO_LAZY), (Sync::Always, AIM_RATIO_ALWAYS)] {
            let aim = if case.events == 256 { format!(", aim {aim}") } else { String::new() };
            self.rows.push(Row {
                bench: "end-to-end",
                case: format!("{} / raw {}", case.events, sync.name()),
                ours: Some(measured.rate.median),
                peer: self.raw.get(sync.name()).copied(),
                unit: "events/s",
                durability: format!("{OURS}; peer: {}", sync.durability()),
                note: format!("{} connections, ±{:.0} %{aim}", case.connections, measured.rate.spread_percent),
                detail: detail.clone(),
            });
        }
        if case.events == 1 {
            self.rows.push(Row {
                bench: "single-requests",
                case: format!("{} connections", case.connections),
                ours: Some(measured.requests_per_s.median),
                peer: None,
                unit: "requests/s",
                durability: OURS.into(),
                note: format!("202 after p50 {:.1}, p99 {:.1} ms", answered[0], answered[1]),
                detail: detail.clone(),
            });
        }
        self.rows.push(Row {
            bench: "cpu",
            case: case.events.to_string(),
            ours: Some(measured.used.cpu_us() / measured.events as f64),
            peer: self.raw_cpu_us,
            unit: "µs/event",
            durability: format!("{OURS}; peer: {}", Sync::Lazy.durability()),
            note: "all processes, load generator included; peer: raw lazy".into(),
            detail: used_json(&measured.used, measured.events),
        });
    }

    fn grpc(&mut self, case: Case, name: &str, mut measured: Measured) {
        self.note_defects(&format!("grpc {name}"), &measured);
        let detail = detail(case, &mut measured);
        self.cpu.push(format!("grpc {name}"), measured.events, &measured.used);
        explain(case, &measured);
        let cpu_us = measured.used.cpu_us() / measured.events as f64;
        for (bench, ours, peer, unit) in [
            ("grpc", measured.rate.median, self.http.map(|(rate, _)| rate), "events/s"),
            ("grpc-cpu", cpu_us, self.http.map(|(_, cpu_us)| cpu_us), "µs/event"),
        ] {
            self.rows.push(Row {
                bench,
                case: format!("{name} of {}", case.events),
                ours: Some(ours),
                peer,
                unit,
                durability: OURS.into(),
                note: format!("{} connections, ±{:.0} %; peer: HTTP", case.connections, measured.rate.spread_percent),
                detail: detail.clone(),
            });
        }
    }

    fn latency(&mut self, case: Case, events_per_s: f64, mut measured: Measured) {
        self.note_defects(&format!("latency {}", case.events), &measured);
        let [p50, p99, max] = measured.latency_us.summary_ms();
        let late = measured.late_us.summary_ms();
        self.cpu.push(format!("half {}", case.events), measured.events, &measured.used);
        explain(case, &measured);
        let mut detail = detail(case, &mut measured);
        if let Value::Object(detail) = &mut detail {
            detail.insert("offered_events_per_s".into(), json!(rounded(events_per_s)));
            detail.insert("aim_p99_ms".into(), json!(AIM_P99_MS));
        }
        self.rows.push(Row {
            bench: "latency",
            case: format!("{} at {}/s", case.events, number(events_per_s)),
            ours: Some(p99),
            peer: None,
            unit: "ms (p99)",
            durability: OURS.into(),
            note: format!("POST to consumer p50 {p50:.1}, max {max:.1}; sent late by p99 {:.1}", late[1]),
            detail,
        });
    }

    fn note_defects(&mut self, what: &str, measured: &Measured) {
        for defect in measured.defects() {
            self.defects.push(format!("{what}: {defect}"));
        }
        if measured.delivered > measured.events {
            eprintln!("{what}: {} deliveries were repeats", measured.delivered - measured.events);
        }
    }

    fn memory(&mut self, idle: &[(String, Memory)], loaded: &[(String, Memory)]) {
        println!(
            "\n{:<22} {:>12} {:>12} {:>12} {:>12} {:>12}",
            "MiB of memory", "idle RSS", "idle PSS", "RSS", "PSS", "peak RSS"
        );
        let mib = |kib: u64| kib as f64 / 1024.0;
        let line = |name: &str, values: [u64; 5]| {
            let values = values.map(|kib| format!(" {:>12.1}", mib(kib)));
            println!("  {name:<20}{}", values.concat());
        };
        let mut totals = [0; 5];
        let mut by_process = Map::new();
        for ((name, idle), (_, loaded)) in idle.iter().zip(loaded) {
            let values = [idle.rss_kib, idle.pss_kib, loaded.rss_kib, loaded.pss_kib, loaded.peak_rss_kib];
            line(name, values);
            totals.iter_mut().zip(values).for_each(|(total, value)| *total += value);
            by_process.insert(
                name.clone(),
                json!({
                    "idle_rss_mib": rounded(mib(idle.rss_kib)),
                    "idle_pss_mib": rounded(mib(idle.pss_kib)),
                    "rss_mib": rounded(mib(loaded.rss_kib)),
                    "pss_mib": rounded(mib(loaded.pss_kib)),
                    "peak_rss_mib": rounded(mib(loaded.peak_rss_kib)),
                }),
            );
        }
        line("= all of these", totals);
        let detail = json!({ "by_process": by_process, "aim_mib": AIM_MEMORY_MIB });
        for (case, kib) in
            [("idle RSS", totals[0]), ("idle PSS", totals[1]), ("loaded RSS", totals[2]), ("loaded PSS", totals[3])]
        {
            self.rows.push(Row {
                bench: "rss",
                case: case.into(),
                ours: Some(mib(kib)),
                peer: None,
                unit: "MiB",
                durability: String::new(),
                note: format!("the whole platform; aim {AIM_MEMORY_MIB:.0}"),
                detail: detail.clone(),
            });
        }
    }
}

async fn start(args: &Args) -> anyhow::Result<Platform> {
    eprintln!("starting a lattice in {}", args.dir.join("lattice").display());
    Platform::start(Options {
        dir: args.dir.clone(),
        lattice: args.lattice.clone(),
        nats_server: args.nats_server.clone(),
        wadm: args.wadm.clone(),
        sets: args.sets.clone(),
        consumer_sets: args.consumer_sets.clone(),
    })
    .await
}

fn case(events: usize, connections: Option<usize>) -> Case {
    let connections = connections.unwrap_or(match events {
        0..=4 => 64,
        5..=64 => 32,
        _ => 8,
    });
    Case { events, connections, door: Kind::Http }
}

/// Of the platform: the load generator's is its own affair.
fn memories(processes: &[Process]) -> Vec<(String, Memory)> {
    let me = std::process::id();
    processes
        .iter()
        .filter(|process| process.pid != me)
        .map(|process| (process.name.clone(), procs::memory(process.pid)))
        .collect()
}

fn detail(case: Case, measured: &mut Measured) -> Value {
    let summary = |[p50, p99, max]: [f64; 3]| json!({ "p50": p50, "p99": p99, "max": max });
    json!({
        "batch_events": case.events,
        "connections": case.connections,
        "spread_percent": rounded(measured.rate.spread_percent),
        "events": measured.events,
        "seconds": rounded(measured.seconds),
        "drain_s": rounded(measured.drain_s),
        "refused": measured.refused,
        "repeated_deliveries": measured.delivered.saturating_sub(measured.events),
        "answered_ms": summary(measured.answered_us.summary_ms()),
        "post_to_consumer_ms": summary(measured.latency_us.summary_ms()),
        "sent_late_ms": summary(measured.late_us.summary_ms()),
        "consumer_call_ms": summary(measured.call_us.summary_ms()),
        "consumer_call_events": rounded(measured.events as f64 / measured.consumer_calls.max(1) as f64),
        "stored_distinct": measured.stored.distinct,
        "used": used_json(&measured.used, measured.events),
        "counters": measured.counters.iter().map(|(name, value)| (name.clone(), json!(rounded(*value)))).collect::<Map<_, _>>(),
    })
}

/// Where the batches and the time of a case went, on stderr: context for whoever tunes.
fn explain(case: Case, measured: &Measured) {
    let ms = |name: &str| measured.mean(name) * 1e3;
    eprintln!(
        "  {} events in {:.2} s, {:.2} s of it draining, {} refused; stored {} distinct, {} missing, {} altered",
        measured.events,
        measured.seconds,
        measured.drain_s,
        measured.refused,
        measured.stored.distinct,
        measured.stored.missing,
        measured.stored.altered
    );
    eprintln!(
        "  ingest: {:.1} requests of {} a group; store: {:.0} events a sync, {:.2} ms a sync, {:.2} ms a put; engine {:.2} ms a batch; consumer {:.0} events, {:.2} ms a call",
        measured.mean("eventrunner_ingest_group_requests"),
        case.events,
        measured.mean("eventrunner_store_sync_batch_events"),
        ms("eventrunner_store_sync_seconds"),
        ms("eventrunner_store_put_seconds"),
        ms("eventrunner_engine_call_seconds"),
        measured.events as f64 / measured.consumer_calls.max(1) as f64,
        ms("eventrunner_delivery_call_seconds"),
    );
    let count = |name: &str| measured.counters.get(name).copied().unwrap_or_default();
    eprintln!(
        "  made again after no answer: {} calls into ingest, {} into the engine; unspent deliveries {}",
        count(r#"eventrunner_pipeline_retries_total{stage="admit"}"#),
        count(r#"eventrunner_pipeline_retries_total{stage="engine"}"#),
        count("eventrunner_stream_unspent_total"),
    );
    eprintln!(
        "  NATS per event: {:.3} messages in, {:.3} out, {:.0} bytes in, {:.0} out",
        measured.per_event("nats_in_msgs"),
        measured.per_event("nats_out_msgs"),
        measured.per_event("nats_in_bytes"),
        measured.per_event("nats_out_bytes"),
    );
}
