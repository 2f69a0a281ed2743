//! The wadm process: deploys manifests and keeps what they describe running.

use std::path::PathBuf;
use std::process::ExitCode;

use ::wadm::config::WadmConfig;
use anyhow::Context as _;
use tokio::signal::unix::{signal, SignalKind};

use crate::{host, process};

/// A host silent for this long is taken for dead: several heartbeats, so that a busy machine is not.
const HOST_SILENCE_MAX_SECS: u64 = 40;

#[derive(clap::Args)]
pub struct WadmArgs {
    /// Directory of the lattice; only tells whose process this is
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    nats_url: String,
    #[arg(long)]
    api_prefix: String,
}

pub fn run(args: &WadmArgs) -> anyhow::Result<ExitCode> {
    process::bind_to_parent()?;
    // The supervisor points stderr at the part's log file.
    er_trace::init_logs();
    host::runtime(host::WORKERS)?.block_on(serve(args))
}

async fn serve(args: &WadmArgs) -> anyhow::Result<ExitCode> {
    tracing::info!(dir = %args.dir.display(), "starting wadm");
    let mut terminated = signal(SignalKind::terminate()).context("can't watch for SIGTERM")?;
    let mut tasks = ::wadm::start_wadm(WadmConfig {
        nats_server: args.nats_url.clone(),
        api_prefix: args.api_prefix.clone(),
        cleanup_interval: HOST_SILENCE_MAX_SECS,
        ..WadmConfig::default()
    })
    .await
    .context("wadm does not start")?;
    tokio::select! {
        _ = terminated.recv() => Ok(ExitCode::SUCCESS),
        ended = tasks.join_next() => {
            // Either of its tasks ending leaves half a wadm; the supervisor starts a whole one.
            anyhow::bail!("a task of wadm ended: {ended:?}")
        }
    }
}
