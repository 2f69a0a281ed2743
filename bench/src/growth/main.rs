//! `er-growth`: what stays flat as the stores fill up, and what does not.
//!
//! Events are generated from real webhooks, spread over tenants and over a month, and put into a store in process; their usage
//! records go into the analytics. At each size it measures the rate of writing up to there, and reads.

mod events;
mod reads;
mod stores;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use futures::StreamExt as _;

use crate::events::Events;
use crate::stores::Stores;

/// Fills the stores with events of many tenants, and measures writes and reads at each size.
#[derive(Parser, Debug, Clone)]
#[command(name = "er-growth", version, max_term_width = 100)]
pub struct Args {
    /// Which event store
    #[arg(long, value_enum, default_value = "embedded")]
    pub store: Kind,
    /// Events in the store when it is measured, ascending
    #[arg(long, value_delimiter = ',', default_value = "100000,1000000,10000000")]
    pub sizes: Vec<u64>,
    #[arg(long, default_value_t = 1_000)]
    pub tenants: u64,
    /// Events of one put, all of one tenant
    #[arg(long, default_value_t = 100)]
    pub batch: u64,
    /// Puts under way at once
    #[arg(long, default_value_t = 4)]
    pub in_flight: usize,
    /// Events of one usage record
    #[arg(long, default_value_t = 10)]
    pub events_per_record: u64,
    /// Folder of the embedded stores; what is in it is deleted, before and after
    #[arg(long, default_value = "var/growth")]
    pub dir: PathBuf,
    /// One JSON object a size is appended here
    #[arg(long, default_value = "var/growth.jsonl")]
    pub out: PathBuf,
    /// node_modules that holds @octokit/webhooks-examples
    #[arg(long)]
    pub modules: PathBuf,
    /// ClickHouse's engine as a library
    #[arg(long, env = "ER_CHDB_LIB")]
    pub chdb_lib: PathBuf,
    /// CQL servers, for `--store scylla`
    #[arg(long, env = "ER_SCYLLA_NODES", value_delimiter = ',', default_value = "127.0.0.1:9142")]
    pub nodes: Vec<String>,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Scylla,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let events = Events::new(&args)?;
    let stores = Stores::open(&args).await?;
    println!("{} tenants, {:?}, events of {} bytes on average", args.tenants, args.store, events.mean_bytes());
    println!(
        "{:>10} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "events",
        "written/s",
        "get p50",
        "p99",
        "page p50",
        "p99",
        "type p50",
        "p99",
        "usage p50",
        "p99",
        "disk MB",
        "RSS MB"
    );
    let mut written = 0;
    for size in args.sizes.clone() {
        let took = fill(&args, &events, &stores, written, size).await?;
        let rate = (size - written) as f64 / took.as_secs_f64();
        written = size;
        let measured = reads::measure(&args, &events, &stores, size).await?;
        let row = measured.row(size, rate);
        println!("{}", row.text);
        append(&args.out, &row.json)?;
    }
    stores.close(&args).await
}

/// Puts events from `from` to before `to`, and inserts their usage.
async fn fill(args: &Args, events: &Events, stores: &Stores, from: u64, to: u64) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut told = Instant::now();
    let puts = (from..to).step_by(usize::try_from(args.batch)?).map(|first| {
        let last = (first + args.batch).min(to);
        async move {
            let batch = events.batch(first, last);
            stores.put(&events.tenant(first), first, last - first, &batch).await.map(|()| last)
        }
    });
    let mut done = futures::stream::iter(puts).buffered(args.in_flight);
    while let Some(last) = done.next().await {
        let last = last?;
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            let rate = (last - from) as f64 / started.elapsed().as_secs_f64();
            eprint!("\r{:>5.1} % of {to} events, {rate:.0}/s   ", last as f64 * 100.0 / to as f64);
        }
    }
    let took = started.elapsed();
    eprint!("\rcounting {} events ...               ", to - from);
    stores.insert_usage(events, from, to).await?;
    eprint!("\r{:60}\r", "");
    Ok(took)
}

fn append(out: &std::path::Path, line: &serde_json::Value) -> anyhow::Result<()> {
    use std::io::Write as _;
    if let Some(dir) = out.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let file = std::fs::OpenOptions::new().create(true).append(true).open(out);
    writeln!(file.with_context(|| format!("{}", out.display()))?, "{line}")?;
    Ok(())
}
