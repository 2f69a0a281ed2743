//! A wasmCloud host process: what it offers by its role, and how it drains.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nkeys::KeyPairType;
use tokio::signal::unix::{signal, SignalKind};
use tokio::task::JoinSet;
use tokio::time::timeout;
use wasmcloud_host::url::Url;
use wasmcloud_host::wasmbus::host_config::PolicyService;
use wasmcloud_host::wasmbus::{Features, Host, HostConfig};

use crate::part::Role;
use crate::{keys, pace, process, unpacked};

/// Every heartbeat makes wadm compare what runs with what should, so this bounds how long anything
/// it missed stays broken.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a provider may take to finish what it holds when it is stopped.
const PROVIDER_DRAIN_MAX: Duration = Duration::from_secs(5);
/// All providers of a host together; the supervisor kills the host a little later.
const DRAIN_MAX: Duration = Duration::from_secs(11);
/// How long the gate may take to decide about a start. Without an answer nothing starts.
const POLICY_MAX: Duration = Duration::from_secs(5);
const GOODBYE_MAX: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct HostArgs {
    /// Directory of the lattice; only tells whose process this is
    #[arg(long)]
    dir: PathBuf,
    #[arg(long)]
    role: Role,
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    nats_url: Url,
    #[arg(long)]
    lattice: String,
    #[arg(long)]
    ctl_prefix: String,
    /// Whom to ask before anything is started
    #[arg(long)]
    policy_topic: Option<String>,
    #[arg(long)]
    execution_max_secs: u64,
    #[arg(long)]
    memory_max_mib: u32,
    #[arg(long)]
    instances_max: u32,
    #[arg(long)]
    rpc_timeout_ms: u64,
}

/// The label by which manifests choose a host.
pub fn labels(role: Role) -> HashMap<String, String> {
    HashMap::from([("eventrunner.role".to_owned(), role.name().to_owned())])
}

pub fn run(args: &HostArgs) -> anyhow::Result<ExitCode> {
    process::bind_to_parent()?;
    let (workers, service) = match args.role {
        Role::Platform => (HOST_WORKERS, "er-host-platform"),
        Role::Tenant => (HOST_WORKERS, "er-host-tenant"),
        Role::Probation => (HOST_WORKERS, "er-host-probation"),
    };
    if args.role == Role::Probation {
        // Of all its threads: they are started after this.
        rustix::process::setpriority_process(None, PROBATION_NICE).context("can't step behind the other processes")?;
    }
    // Dropping the runtime kills the providers that are left.
    runtime(workers)?.block_on(async {
        er_trace::init(service, Some(is_invocation))?;
        let outcome = serve(args).await;
        er_trace::flush().await;
        outcome
    })
}

/// Of all that the host's library has spans for, a call into a component is what traces are about, and the one whose
/// context goes on to whatever the component calls.
fn is_invocation(metadata: &tracing::Metadata<'_>) -> bool {
    metadata.name() == "component_invocation" && metadata.target().starts_with("wasmcloud_host")
}

/// Workers of a runtime that runs no tenant's code: as many as the smallest machine has cores.
pub const WORKERS: usize = 2;
/// Core modules of one component: Python's is linked from many, 38 where it asks for nothing of WASI.
const CORE_INSTANCES_MAX: u32 = 64;
/// Workers of a host: tenants' code runs on each, their rules on the platform's. A guest that computes keeps its worker until it is
/// done, or its execution limit, and hands over to nobody: with more workers than such, the kernel shares the cores and the other
/// tenants' calls go on.
const HOST_WORKERS: usize = 32;
/// Where new code runs, only as much is computed as the rest of the machine leaves, or little more: of a core that both
/// want, about a tenth.
const PROBATION_NICE: i32 = 10;

/// What a task wakes last waits in a slot of its worker that no other worker may take from. A guest that wakes the
/// connection's task and then loops would hold up everybody's calls: so there is no such slot.
pub fn runtime(workers: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .disable_lifo_slot()
        .enable_all()
        .build()
        .context("can't start the runtime")
}

/// `rpc_nats_url`: by which way it calls and is called.
fn config(args: &HostArgs, rpc_nats_url: Url) -> anyhow::Result<HostConfig> {
    let key = keys::load_or_create(&args.key, KeyPairType::Server)?;
    let mut features = Features::new();
    if args.role == Role::Platform {
        // A component that calls in vain is told so, where its interface has room for that, and not ended.
        features = features.enable_builtin_http_server().enable_rpc_interface();
    }
    Ok(HostConfig {
        ctl_nats_url: args.nats_url.clone(),
        rpc_nats_url,
        ctl_topic_prefix: args.ctl_prefix.clone(),
        lattice: args.lattice.as_str().into(),
        labels: labels(args.role),
        // The same identity after a restart: what wadm still waits for can come true.
        host_key: Some(Arc::new(key)),
        provider_shutdown_delay: Some(PROVIDER_DRAIN_MAX),
        allow_file_load: true,
        rpc_timeout: Duration::from_millis(args.rpc_timeout_ms),
        max_execution_time: Duration::from_secs(args.execution_max_secs),
        max_linear_memory: args
            .memory_max_mib
            .checked_mul(1024 * 1024)
            .context("a component's memory is at most 4095 MiB")?,
        max_components: args.instances_max,
        max_core_instances_per_component: CORE_INSTANCES_MAX,
        heartbeat_interval: Some(HEARTBEAT),
        policy_service_config: PolicyService {
            policy_topic: args.policy_topic.clone(),
            policy_timeout_ms: Some(POLICY_MAX),
            policy_changes_topic: None,
        },
        experimental_features: features,
        ..HostConfig::default()
    })
}

async fn serve(args: &HostArgs) -> anyhow::Result<ExitCode> {
    tracing::info!(dir = %args.dir.display(), role = args.role.name(), "starting host");
    let mut terminated = signal(SignalKind::terminate()).context("can't watch for SIGTERM")?;
    let rpc_nats_url = match args.role {
        Role::Platform | Role::Tenant => args.nats_url.clone(),
        Role::Probation => pace::before(&args.nats_url)?,
    };
    let config = config(args, rpc_nats_url)?;
    let host_id = config.host_key.as_ref().map(|key| key.public_key()).context("a host without a key")?;
    let (host, goodbye) = Box::pin(Host::new(config)).await.context("the host does not start")?;
    tokio::select! {
        _ = terminated.recv() => {
            // NATS goes down with the supervisor: there is nobody to drain to or to say goodbye to.
            if process::orphaned() {
                return Ok(ExitCode::FAILURE);
            }
            match timeout(DRAIN_MAX, drain(args, &host_id)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("providers could not be drained: {error:#}"),
                Err(_) => tracing::warn!("draining took too long"),
            }
        }
        stopped = host.stopped() => {
            stopped.context("the host lost track of itself")?;
            tracing::warn!("stopped by a request, or because its connection ended");
        }
        never = unpacked::sync(&host_id) => match never {},
    }
    match timeout(GOODBYE_MAX, goodbye).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("no proper goodbye: {error:#}"),
        Err(_) => tracing::warn!("no proper goodbye in time"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops this host's providers while its components still answer them. Those that nobody calls are
/// where events come in: they go first, so that the others see the last of what is on its way.
async fn drain(args: &HostArgs, host_id: &str) -> anyhow::Result<()> {
    let nats = async_nats::connect(args.nats_url.as_str()).await.context("can't reach NATS")?;
    let control = wasmcloud_control_interface::ClientBuilder::new(nats)
        .topic_prefix(&args.ctl_prefix)
        .lattice(&args.lattice)
        .timeout(PROVIDER_DRAIN_MAX + Duration::from_secs(1))
        .build();
    let inventory = control
        .get_host_inventory(host_id)
        .await
        .map_err(anyhow::Error::from_boxed)?
        .into_data()
        .context("the host does not tell what it runs")?;
    let called: HashSet<String> = control
        .get_links()
        .await
        .map_err(anyhow::Error::from_boxed)?
        .into_data()
        .unwrap_or_default()
        .iter()
        .map(|link| link.target().to_owned())
        .collect();
    let (later, first): (Vec<_>, Vec<_>) =
        inventory.providers().iter().map(|provider| provider.id().to_owned()).partition(|id| called.contains(id));
    for providers in [first, later] {
        let mut stops = JoinSet::new();
        for id in providers {
            let (control, host_id) = (control.clone(), host_id.to_owned());
            stops.spawn(async move {
                if let Err(error) = control.stop_provider(&host_id, &id).await {
                    tracing::warn!(provider = id, "did not confirm its stop: {error}");
                }
            });
        }
        stops.join_all().await;
    }
    Ok(())
}
