//! What a lattice is made of: every path, port and limit, decided once at the start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::part::Role;

pub const DEFAULT_DIR: &str = "var/lattice";

#[derive(clap::Args, Clone, Debug)]
pub struct UpArgs {
    /// Directory for JetStream's store, logs, keys and lattice.json (pids by name)
    #[arg(long, default_value = DEFAULT_DIR)]
    pub dir: PathBuf,

    /// Port NATS listens on, on 127.0.0.1
    #[arg(long, default_value_t = 4222, env = "ER_NATS_PORT")]
    pub nats_port: u16,

    /// nats-server to run, 2.12 or later (looked up on PATH if it is a bare name)
    #[arg(long, default_value = "nats-server", env = "ER_NATS_SERVER")]
    pub nats_server: PathBuf,

    /// Port for NATS's own monitoring pages on 127.0.0.1 (off unless given)
    #[arg(long)]
    pub nats_monitor_port: Option<u16>,

    /// Most bytes JetStream may keep on disk (the free disk is the limit unless given)
    #[arg(long)]
    pub store_max_bytes: Option<u64>,

    /// Lattice name, as in `wash --lattice`
    #[arg(long, default_value = "default")]
    pub lattice: String,

    /// Longest a call into a platform component may run, in seconds
    #[arg(long, default_value_t = 30)]
    pub platform_execution_max_secs: u64,

    /// Longest a call into a tenant's component may run, in seconds
    #[arg(long, default_value_t = 5)]
    pub tenant_execution_max_secs: u64,

    /// Most linear memory one platform component instance may have, in MiB
    #[arg(long, default_value_t = 256)]
    pub platform_memory_max_mib: u32,

    /// Most linear memory one tenant component instance may have, in MiB
    #[arg(long, default_value_t = 64)]
    pub tenant_memory_max_mib: u32,

    /// Most component instances a host runs at once
    #[arg(long, default_value_t = 1000)]
    pub instances_max: u32,

    /// Longest a call between hosts and providers may take, in milliseconds
    #[arg(long, default_value_t = 10_000)]
    pub rpc_timeout_ms: u64,

    /// Subject prefix the hosts take control requests on: a private one lets a gate stand in front
    #[arg(long, default_value = "wasmbus.ctl")]
    pub host_ctl_prefix: String,

    /// Subject prefix wadm takes requests on: a private one lets a gate stand in front
    #[arg(long, default_value = "wadm.api")]
    pub wadm_api_prefix: String,
}

/// The arguments with paths made absolute, and what follows from them.
#[derive(Clone, Debug)]
pub struct Plan {
    pub dir: PathBuf,
    pub executable: PathBuf,
    pub args: UpArgs,
}

// === impl Plan ===

impl Plan {
    pub fn new(args: UpArgs) -> anyhow::Result<Self> {
        anyhow::ensure!(
            !args.lattice.is_empty() && !args.lattice.contains(['.', '*', '>', ' ']),
            "lattice name '{}' can't be part of a NATS subject",
            args.lattice
        );
        std::fs::create_dir_all(&args.dir).with_context(|| format!("can't create {}", args.dir.display()))?;
        let dir = args.dir.canonicalize().with_context(|| format!("can't resolve {}", args.dir.display()))?;
        let executable = std::env::current_exe().context("can't find this program's own file")?;
        Ok(Self { dir, executable, args })
    }

    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.args.nats_port)
    }

    pub fn nats_conf(&self) -> PathBuf {
        self.dir.join("nats.conf")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.log"))
    }

    /// Where a host unpacks provider archives.
    pub fn scratch(&self, role: Role) -> PathBuf {
        scratch_root(&self.dir).join(role.name())
    }

    pub fn host_key(&self, role: Role) -> PathBuf {
        self.dir.join("keys").join(format!("{}.nk", role.name()))
    }

    pub fn execution_max(&self, role: Role) -> Duration {
        Duration::from_secs(match role {
            Role::Platform => self.args.platform_execution_max_secs,
            Role::Tenant => self.args.tenant_execution_max_secs,
        })
    }

    pub fn memory_max_mib(&self, role: Role) -> u32 {
        match role {
            Role::Platform => self.args.platform_memory_max_mib,
            Role::Tenant => self.args.tenant_memory_max_mib,
        }
    }
}

pub fn scratch_root(dir: &Path) -> PathBuf {
    dir.join("tmp")
}
