//! `er`: deploys EventRunner's applications, makes the first tenant, and shows the platform on real input.

mod bill;
mod demo;
mod neighbours;
mod watched;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use er_deploy::app::Apps;
use er_deploy::first::{bootstrap, Env};
use er_deploy::manifest::{self, Set};

/// Deploys and tries EventRunner on a wasmCloud lattice.
///
/// What `er deploy` does is what `wash app deploy` does, over the same interface of wadm; it also gives a rebuilt
/// image a new name, which a host needs to load it anew, and waits until everything runs.
#[derive(Parser)]
#[command(name = "er", version)]
struct Cli {
    /// NATS of the lattice
    #[arg(long, env = "ER_NATS_URL", default_value = "nats://127.0.0.1:4222", global = true)]
    nats: String,
    /// Name of the lattice
    #[arg(long, default_value = "default", global = true)]
    lattice: String,
    /// Seconds to wait for what a command brings about
    #[arg(long, default_value_t = 120, global = true)]
    wait_s: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Deploy manifests in order, each in place of another version of itself
    Deploy {
        /// wadm manifests
        #[arg(required = true)]
        manifests: Vec<PathBuf>,
        /// Change a setting of a manifest's config: name.key=value
        #[arg(long = "set")]
        sets: Vec<Set>,
        /// Where images are kept under names that follow from their content
        #[arg(long, default_value = "var/images")]
        images: PathBuf,
    },
    /// Take applications down; what they stored stays
    Undeploy {
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Applications and their state
    Status,
    /// Make an operator, the demo tenant and its key, and write them to a file to source
    Bootstrap {
        #[arg(long, default_value = "var/demo.env")]
        file: PathBuf,
        #[arg(long, default_value = "demo")]
        tenant: String,
        #[arg(long, default_value = "http://127.0.0.1:8000")]
        api: String,
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        ingest: String,
        #[arg(long, default_value = "127.0.0.1:8081")]
        grpc: String,
        #[arg(long, default_value = "http://127.0.0.1:9464/metrics")]
        metrics: String,
        /// Where clients go, if there is a gateway
        #[arg(long)]
        gateway: Option<String>,
    },
    /// Send real GitHub webhooks, and show where they went; then a second tenant's consumer, and what is refused to it
    Demo {
        #[arg(long, default_value = "var/demo.env")]
        file: PathBuf,
        /// node_modules that holds @octokit/webhooks-examples
        #[arg(long)]
        modules: PathBuf,
        /// The second tenant's consumer
        #[arg(long, default_value = "build/python-thanks.wasm")]
        consumer: PathBuf,
        /// A Prometheus that scrapes the platform, to ask what it saw of all that
        #[arg(long)]
        prometheus: Option<String>,
    },
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let wait = Duration::from_secs(cli.wait_s);
    match cli.command {
        Command::Deploy { manifests, sets, images } => {
            let apps = Apps::connect(&cli.nats, &cli.lattice).await?;
            for path in manifests {
                let manifest = manifest::load(&path, &images, &sets).await?;
                let name = manifest.metadata.name.clone();
                eprintln!("{name}: deploying {}", path.display());
                apps.deploy(&manifest, wait, |what| eprintln!("{name}: {what}")).await?;
                println!("{name}: deployed");
            }
        }
        Command::Undeploy { names } => {
            let apps = Apps::connect(&cli.nats, &cli.lattice).await?;
            for name in names {
                apps.undeploy(&name, wait).await?;
                println!("{name}: undeployed");
            }
        }
        Command::Status => {
            for (name, version, status) in Apps::connect(&cli.nats, &cli.lattice).await?.list().await? {
                println!("{name:24} {version:24} {status:?}");
            }
        }
        Command::Bootstrap { file, tenant, api, ingest, grpc, metrics, gateway } => {
            let env = Env {
                ingest_url: ingest,
                grpc_addr: grpc,
                api_url: api,
                metrics_url: metrics,
                nats_url: cli.nats,
                tenant,
                api_key: String::new(),
                admin_key: String::new(),
            };
            let env = bootstrap(env, gateway.as_deref(), &file, wait).await?;
            println!("tenant `{}` is ready; addresses and keys are in {}", env.tenant, file.display());
        }
        Command::Demo { file, modules, consumer, prometheus } => {
            let env = Env::read(&file)?;
            demo::run(&env, &modules, wait).await?;
            neighbours::run(&env, &cli.lattice, &consumer, wait).await?;
            if let Some(prometheus) = prometheus {
                watched::run(&env.client()?, &prometheus, wait).await?;
            }
            demo::print_next(&env);
        }
    }
    Ok(())
}
