//! `er-bench`: how fast the whole path is, beside raw JetStream publish of the same events on the same machine.

mod check;
mod door;
mod events;
mod http;
mod load;
mod neighbour;
mod path;
mod peer;
mod platform;
mod procs;
mod reports;
mod stats;
mod suite;
mod table;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use er_deploy::manifest::Set;
use tokio::signal::unix::{signal, SignalKind};

/// Measures EventRunner on a lattice of its own beside raw JetStream, and appends what it found to a file.
#[derive(Parser, Debug, Clone)]
#[command(name = "er-bench", version, max_term_width = 100)]
pub struct Args {
    /// Folder for the lattice and the peers' stores; what is in it may be deleted
    #[arg(long, default_value = "var/bench")]
    pub dir: PathBuf,
    /// One JSON object a line is appended here
    #[arg(long, default_value = "var/bench.jsonl")]
    pub out: PathBuf,
    /// The er-lattice binary
    #[arg(long, env = "ER_LATTICE")]
    pub lattice: PathBuf,
    #[arg(long, default_value = "nats-server", env = "ER_NATS_SERVER")]
    pub nats_server: PathBuf,
    /// Folder of eventrunner.yaml and consumer.yaml
    #[arg(long, default_value = "wadm")]
    pub wadm: PathBuf,
    /// A lattice that must not run meanwhile, since it would take CPU
    #[arg(long, default_value = "var/lattice")]
    pub demo_dir: PathBuf,
    /// Benches to run
    #[arg(long, value_delimiter = ',', default_value = "raw-publish,end-to-end,grpc,latency")]
    pub only: Vec<Bench>,
    /// Batch sizes of end-to-end; 1 is also the bench of single requests
    #[arg(long, value_delimiter = ',', default_value = "256,16,1")]
    pub batches: Vec<usize>,
    /// Connections in flight (8 for batches of 256, 32 for 16, 64 for single events unless given)
    #[arg(long)]
    pub connections: Option<usize>,
    /// Seconds of one run
    #[arg(long, default_value_t = 3.0)]
    pub run_s: f64,
    /// Runs of a case; the median counts
    #[arg(long, default_value_t = 3)]
    pub runs: usize,
    /// Change a setting of eventrunner.yaml: name.key=value
    #[arg(long = "set")]
    pub sets: Vec<Set>,
    /// Change a setting of consumer.yaml: name.key=value
    #[arg(long = "consumer-set")]
    pub consumer_sets: Vec<Set>,
    /// neighbour: the one that misbehaves on the tenant's own host, and not on that of new code
    #[arg(long)]
    pub together: bool,
    /// neighbour: times that each misdeed is measured, alone again between them. All of them make the row
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// neighbour: only these misdeeds, as the table names them
    #[arg(long, value_delimiter = ',')]
    pub beside: Vec<String>,
    /// The commit that is measured
    #[arg(long, default_value = "", env = "ER_COMMIT")]
    pub commit: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bench {
    RawPublish,
    EndToEnd,
    Grpc,
    Latency,
    /// A tenant beside another whose consumer misbehaves; only where it is asked for
    Neighbour,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // One thread: the load must leave the cores to what it loads.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        !platform::is_up(&args.lattice, &args.demo_dir).await?,
        "a lattice runs in {}, and would take CPU from what is measured; stop it with `make down`",
        args.demo_dir.display()
    );
    let _lock = lock(&args.dir)?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let outcome = tokio::select! {
        outcome = suite::run(args) => outcome,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    // Peers end with their handles; a lattice would stay.
    let lattice_dir = args.dir.join("lattice");
    if lattice_dir.exists() {
        if let Err(error) = platform::down(&args.lattice, &lattice_dir).await {
            eprintln!("error: {error:#}");
        }
    }
    outcome
}

/// Held while a bench runs in the folder: two would delete each other's lattice, and measure each other.
fn lock(dir: &Path) -> anyhow::Result<File> {
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    file.try_lock().with_context(|| format!("another bench runs in {}", dir.display()))?;
    Ok(file)
}

/// Microseconds since 1970 (UTC), as the platform's reports count.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

// === impl Args ===

impl Args {
    fn run_time(&self) -> Duration {
        Duration::from_secs_f64(self.run_s.clamp(0.1, 600.0))
    }

    fn wants(&self, bench: Bench) -> bool {
        self.only.contains(&bench)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
