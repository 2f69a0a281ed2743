//! `er-gate`: stands in front of a lattice, and asks the policy about everything that changes it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream;
use clap::{Parser, Subcommand};
use er_gate::judge::Judge;
use er_gate::lattice::{Lattice, Subjects};
use er_gate::service::Gate;
use er_policy::Limits;
use er_provider_opa::log::Allowed;
use er_provider_opa::{Desk, Options};
use tokio::signal::unix::{signal, SignalKind};

/// How long JetStream may take to answer one question.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The first policy is compiled in half a second, on a machine that does nothing else.
const LOADED_WITHIN: Duration = Duration::from_secs(10);
const DRAIN_MAX: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3_600);
const LOG_BYTES_MAX: i64 = 1 << 30;

/// The gate of a lattice: asks the policy about everything that changes it.
///
/// Hosts and wadm listen on private subjects (`er-lattice` and `wasmcloud --ctl-topic-prefix`, `wadm --api-prefix`), the
/// gate on the public ones that wash and everybody else use. What only reads passes. Links, configurations, starts and
/// manifests are decided by the policy (docs/policy.md); what it refuses is answered with its reason, and nothing of it
/// reaches a host. Hosts that are given the policy topic ask here once more before they start anything.
#[derive(Parser)]
#[command(name = "er-gate", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a gate in the foreground until SIGINT or SIGTERM; prints `ready` once nothing gets past it
    Run(RunArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// Directory of the lattice; only tells whose process this is
    #[arg(long)]
    dir: Option<PathBuf>,

    /// NATS of the lattice, which may publish and subscribe to all of it: nats://[user:password@]host:port
    #[arg(long, default_value = "nats://127.0.0.1:4222", env = "ER_GATE_NATS_URL", hide_env_values = true)]
    nats_url: String,

    /// Lattice name, as in `wash --lattice`
    #[arg(long, default_value = "default")]
    lattice: String,

    /// Control subjects that wash, wadm and others use
    #[arg(long, default_value = "wasmbus.ctl")]
    public_ctl_prefix: String,

    /// Control subjects that the hosts listen on
    #[arg(long, default_value = "wasmbus.ctl-private")]
    private_ctl_prefix: String,

    /// Subjects of wadm's API that wash and others use
    #[arg(long, default_value = "wadm.api")]
    public_wadm_prefix: String,

    /// Subjects that wadm listens on
    #[arg(long, default_value = "wadm.api-private")]
    private_wadm_prefix: String,

    /// Subject on which hosts ask before they start anything [default: wasmbus.policy.LATTICE]
    #[arg(long)]
    policy_topic: Option<String>,

    /// The policy that counts until one is activated; scripts/build-policies makes it
    #[arg(long, default_value = "build/policies.tar.gz")]
    bundle: PathBuf,

    /// Bucket of the tenants' records
    #[arg(long, default_value = "ER_TENANTS")]
    tenants_bucket: String,

    /// Milliseconds between two questions whether policy or tenants changed
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(50..=2_000))]
    poll_ms: u64,

    /// Seconds after which everything is refused because changes can't be asked for
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    stale_after_s: u64,

    /// Replicas of the policy's bucket and of the log of decisions, where they are not there yet
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,

    /// Where metrics are served, such as 127.0.0.1:9471; nowhere by default
    #[arg(long, env = "ER_GATE_METRICS_ADDR")]
    metrics_addr: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let Command::Run(args) = Cli::parse().command;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,async_nats=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(error).context("can't start the runtime"),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: RunArgs) -> anyhow::Result<()> {
    anyhow::ensure!(
        !args.lattice.is_empty() && !args.lattice.contains(['.', '*', '>', ' ']),
        "lattice name '{}' can't be part of a NATS subject",
        args.lattice
    );
    let subjects = Subjects {
        policy_topic: args.policy_topic.unwrap_or_else(|| format!("wasmbus.policy.{}", args.lattice)),
        lattice: args.lattice,
        public_control: args.public_ctl_prefix,
        private_control: args.private_ctl_prefix,
        public_wadm: args.public_wadm_prefix,
        private_wadm: args.private_wadm_prefix,
    };
    subjects.check()?;
    let mut terminated = signal(SignalKind::terminate()).context("can't watch for SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("can't watch for SIGINT")?;
    tracing::info!(?subjects, dir = ?args.dir, bundle = %args.bundle.display(), "starting");

    if let Some(addr) = args.metrics_addr {
        er_provider_kit::metrics::serve(addr, "gate").with_context(|| format!("serving metrics on {addr}"))?;
    }
    let nats = async_nats::ConnectOptions::new()
        .name("er-gate")
        .retry_on_initial_connect()
        .reconnect_delay_callback(|_| Duration::from_millis(100))
        .connect(&args.nats_url)
        .await
        .context("the address of NATS")?;
    let mut js = jetstream::new(nats.clone());
    js.set_timeout(ANSWER_MAX);
    let replicas = usize::from(args.replicas);
    let (desk, writer) = Desk::new(Options {
        bundle: args.bundle,
        tenants_bucket: Some(args.tenants_bucket),
        poll: Duration::from_millis(args.poll_ms),
        stale_after: Duration::from_secs(args.stale_after_s),
        log_allowed: Allowed::Fresh,
        replicas,
        limits: Limits::default(),
    });
    tokio::spawn(writer.run(js.clone(), replicas, 30 * DAY, LOG_BYTES_MAX));
    let (follower, follows) = (desk.clone(), js.clone());
    tokio::spawn(async move { follower.follow(follows).await });

    let judge = Judge::new(desk.clone());
    let gate = Gate::new(Lattice::new(nats, js, subjects), judge.clone());
    let serving = gate.serve(move || {
        tokio::spawn(async move {
            // Without a policy it is ready all the same: to refuse.
            judge.loaded(LOADED_WITHIN).await;
            println!("ready: {}", judge.desk().health().1);
        });
    });
    let outcome = tokio::select! {
        outcome = serving => outcome,
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    };
    desk.drain(DRAIN_MAX).await;
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
