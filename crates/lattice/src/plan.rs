//! What a lattice is made of: every path, port and limit, decided once at the start.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use wasmcloud_host::url::Url;

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

    /// The gate that decides about every change: er-gate (looked for beside this program)
    #[arg(long, env = "ER_GATE")]
    pub gate: Option<PathBuf>,

    /// No gate: whoever reaches NATS may change everything
    #[arg(long, conflicts_with = "gate")]
    pub no_gate: bool,

    /// The gate's policy, until one is activated (scripts/build-policies makes it)
    #[arg(long, default_value = "build/policies.tar.gz", env = "ER_GATE_BUNDLE")]
    pub gate_bundle: PathBuf,

    /// OpenTelemetry collector to send traces to, over OTLP/HTTP, as in http://127.0.0.1:4318 (off unless given)
    #[arg(long, env = "ER_OTLP_ENDPOINT", value_parser = endpoint)]
    pub otlp_endpoint: Option<String>,

    /// How many batches are traced, from 0 to 1
    #[arg(long, env = "ER_OTLP_RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub otlp_ratio: f64,

    /// Subject prefix the hosts take control requests on [default: wasmbus.ctl-private behind the gate]
    #[arg(long)]
    pub host_ctl_prefix: Option<String>,

    /// Subject prefix wadm takes requests on [default: wadm.api-private behind the gate]
    #[arg(long)]
    pub wadm_api_prefix: Option<String>,
}

fn endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    match url.scheme() {
        "http" | "https" => Ok(text.trim_end_matches('/').to_owned()),
        other => Err(format!("OTLP over {other} is not known; http or https")),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|error: std::num::ParseFloatError| error.to_string())?;
    (0.0..=1.0).contains(&ratio).then_some(ratio).ok_or_else(|| "must be from 0 to 1".to_owned())
}

/// Subjects that everybody uses.
pub const PUBLIC_CTL: &str = "wasmbus.ctl";
pub const PUBLIC_WADM: &str = "wadm.api";

/// The arguments with paths made absolute, and what follows from them.
#[derive(Clone, Debug)]
pub struct Plan {
    pub dir: PathBuf,
    pub executable: PathBuf,
    /// None: there is no gate.
    pub gate: Option<PathBuf>,
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
        let gate = match (args.no_gate, &args.gate) {
            (true, _) => None,
            (false, Some(given)) => Some(given.clone()),
            (false, None) => Some(executable.with_file_name("er-gate")),
        };
        if let Some(gate) = &gate {
            anyhow::ensure!(
                gate.components().count() == 1 || gate.exists(),
                "there is no gate at {}; `scripts/build-providers` builds it, and --no-gate goes without",
                gate.display()
            );
        }
        Ok(Self { dir, executable, gate, args })
    }

    pub fn nats_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.args.nats_port)
    }

    /// What hosts listen on.
    pub fn ctl_prefix(&self) -> &str {
        private(self.args.host_ctl_prefix.as_deref(), self.gate.is_some(), [PUBLIC_CTL, "wasmbus.ctl-private"])
    }

    /// What wadm listens on.
    pub fn wadm_prefix(&self) -> &str {
        private(self.args.wadm_api_prefix.as_deref(), self.gate.is_some(), [PUBLIC_WADM, "wadm.api-private"])
    }

    /// Where hosts ask before they start anything.
    pub fn policy_topic(&self) -> Option<String> {
        self.gate.is_some().then(|| format!("wasmbus.policy.{}", self.args.lattice))
    }

    /// What turns traces on in a host, and in its providers: these variables it hands on. None where they are off,
    /// whatever the environment of whoever starts the lattice says.
    pub fn otel(&self) -> Vec<(&'static str, Option<String>)> {
        let endpoint = self.args.otlp_endpoint.clone();
        let ratio = endpoint.is_some().then(|| self.args.otlp_ratio.to_string());
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None),
            ("OTEL_TRACES_SAMPLER_ARG", ratio),
        ]
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
            Role::Tenant | Role::Probation => self.args.tenant_execution_max_secs,
        })
    }

    pub fn memory_max_mib(&self, role: Role) -> u32 {
        match role {
            Role::Platform => self.args.platform_memory_max_mib,
            Role::Tenant | Role::Probation => self.args.tenant_memory_max_mib,
        }
    }
}

fn private<'a>(given: Option<&'a str>, behind_a_gate: bool, [public, own]: [&'a str; 2]) -> &'a str {
    given.unwrap_or(if behind_a_gate { own } else { public })
}

pub fn scratch_root(dir: &Path) -> PathBuf {
    dir.join("tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_over_http_and_a_ratio_a_part_of_one() {
        assert_eq!(endpoint("http://127.0.0.1:4318/").as_deref(), Ok("http://127.0.0.1:4318"));
        assert_eq!(endpoint("https://collector.test/otlp").as_deref(), Ok("https://collector.test/otlp"));
        for wrong in ["", "127.0.0.1:4318", "localhost:4318", "grpc://127.0.0.1:4317"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
        assert_eq!([ratio("0"), ratio("0.05"), ratio("1")], [Ok(0.0), Ok(0.05), Ok(1.0)]);
        for wrong in ["", "-1", "1.5", "NaN", "5%"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }
}
