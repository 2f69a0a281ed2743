//! The processes a lattice consists of, and how each is started.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::plan::{Plan, PUBLIC_CTL, PUBLIC_WADM};
use crate::process::Said;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    Platform,
    /// Code of tenants' that has shown that it does no harm.
    Tenant,
    /// Code of tenants' that has shown nothing yet, or that did harm.
    Probation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Nats,
    Gate,
    Wadm,
    Host(Role),
}

/// Stopped from first to last. wadm goes first, or it would start elsewhere what the hosts stop;
/// the platform drains while tenants' components still answer it, which hosts ask the gate about; NATS carries all of that.
pub const STOP_ORDER: [Part; 6] = [
    Part::Wadm,
    Part::Host(Role::Platform),
    Part::Host(Role::Tenant),
    Part::Host(Role::Probation),
    Part::Gate,
    Part::Nats,
];

// === impl Role ===

impl Role {
    pub const ALL: [Self; 3] = [Self::Platform, Self::Tenant, Self::Probation];

    pub fn name(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Tenant => "tenant",
            Self::Probation => "probation",
        }
    }
}

// === impl Part ===

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::Gate => "gate",
            Self::Wadm => "wadm",
            Self::Host(role) => role.name(),
        }
    }

    pub fn said(self) -> Said {
        match self {
            Self::Host(Role::Tenant | Role::Probation) => Said::Bounded,
            Self::Nats | Self::Gate | Self::Wadm | Self::Host(Role::Platform) => Said::All,
        }
    }

    /// How long a part may take to end by itself before it is killed.
    pub fn stop_within(self) -> Duration {
        match self {
            Self::Gate | Self::Wadm => Duration::from_secs(3),
            Self::Host(_) => Duration::from_secs(15),
            Self::Nats => Duration::from_secs(10),
        }
    }

    pub fn command(self, plan: &Plan) -> Command {
        let mut command = Command::new(&plan.executable);
        // glibc gives every thread an arena of its own; two are enough and save tens of megabytes.
        command.env("MALLOC_ARENA_MAX", "2");
        // A host captures a backtrace for every failed request otherwise, which costs milliseconds.
        command.env("RUST_LIB_BACKTRACE", "0");
        match self {
            Self::Nats => {
                // Collect garbage before growing past this: NATS shares the machine.
                command.env("GOMEMLIMIT", "192MiB");
                command.arg("exec-child").arg("--");
                command.arg(&plan.args.nats_server);
                command.arg("-c").arg(plan.nats_conf());
            }
            Self::Gate => {
                command.arg("exec-child").arg("--");
                // A part that is not in the plan is not started.
                command.arg(plan.gate.as_deref().unwrap_or_else(|| "er-gate".as_ref())).arg("run");
                command.arg("--dir").arg(&plan.dir);
                command.arg("--nats-url").arg(plan.nats_url());
                command.arg("--lattice").arg(&plan.args.lattice);
                command.arg("--bundle").arg(&plan.args.gate_bundle);
                command.args(["--public-ctl-prefix", PUBLIC_CTL, "--private-ctl-prefix", plan.ctl_prefix()]);
                command.args(["--public-wadm-prefix", PUBLIC_WADM, "--private-wadm-prefix", plan.wadm_prefix()]);
                command.args(plan.policy_topic().iter().flat_map(|topic| ["--policy-topic", topic.as_str()]));
            }
            Self::Wadm => {
                command.arg("wadm");
                command.arg("--dir").arg(&plan.dir);
                command.arg("--nats-url").arg(plan.nats_url());
                command.arg("--api-prefix").arg(plan.wadm_prefix());
            }
            Self::Host(role) => {
                command.env("TMPDIR", plan.scratch(role));
                for (name, value) in plan.otel() {
                    match value {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
                command.arg("host");
                command.arg("--dir").arg(&plan.dir);
                command.arg("--role").arg(role.name());
                command.arg("--key").arg(plan.host_key(role));
                command.arg("--nats-url").arg(plan.nats_url());
                command.arg("--lattice").arg(&plan.args.lattice);
                command.arg("--ctl-prefix").arg(plan.ctl_prefix());
                command.args(plan.policy_topic().iter().flat_map(|topic| ["--policy-topic", topic.as_str()]));
                let numbers = [
                    ("--execution-max-secs", plan.execution_max(role).as_secs()),
                    ("--memory-max-mib", plan.memory_max_mib(role).into()),
                    ("--instances-max", plan.args.instances_max.into()),
                    ("--rpc-timeout-ms", plan.args.rpc_timeout_ms),
                ];
                for (flag, value) in numbers {
                    command.arg(flag).arg(value.to_string());
                }
            }
        }
        command
    }

    /// Files that must be gone before the part starts again.
    pub fn stale(self, plan: &Plan) -> Option<PathBuf> {
        match self {
            // A host takes an unpacked provider it finds for the right one, however old it is.
            Self::Host(role) => Some(plan.scratch(role)),
            Self::Nats | Self::Gate | Self::Wadm => None,
        }
    }
}
