//! What each process costs, from /proc: CPU time, memory, bytes written.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::Deserialize;

/// The kernel reports CPU time in hundredths of a second, whatever it counts in itself.
const TICK_US: f64 = 10_000.0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub name: String,
    pub pid: u32,
}

/// CPU time and bytes written at one moment, of processes and of the whole machine.
#[derive(Debug, Clone)]
pub struct Sample {
    at: Instant,
    each: Vec<Usage>,
    busy_us: f64,
    stolen_us: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    cpu_us: f64,
    written_bytes: f64,
}

/// What was used between two samples.
#[derive(Debug, Clone, Default)]
pub struct Used {
    pub each: Vec<UsedBy>,
    /// By nobody in the list: the kernel's own threads, and whoever else runs on this machine.
    pub others_cpu_us: f64,
    /// What the hypervisor gave to somebody else.
    pub stolen_us: f64,
    pub wall_us: f64,
}

#[derive(Debug, Clone, Default)]
pub struct UsedBy {
    pub name: String,
    pub cpu_us: f64,
    pub written_bytes: f64,
}

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    pub rss_kib: u64,
    /// With each shared page divided by those who share it.
    pub pss_kib: u64,
    pub peak_rss_kib: u64,
}

/// What hosts are called among the lattice's processes: by their roles.
const HOSTS: [&str; 3] = ["platform", "tenant", "probation"];

#[derive(Deserialize)]
struct LatticeState {
    pids: std::collections::BTreeMap<String, u32>,
}

/// This process, whose work is the load.
pub fn load_generator() -> Process {
    Process { name: "load generator".into(), pid: std::process::id() }
}

/// Everything a lattice consists of, providers included, and this process at the end.
pub fn of_lattice(dir: &Path) -> anyhow::Result<Vec<Process>> {
    let path = dir.join("lattice.json");
    let state: LatticeState =
        serde_json::from_slice(&fs::read(&path).with_context(|| format!("reading {}", path.display()))?)?;
    let mut all: Vec<Process> = state
        .pids
        .iter()
        .map(|(name, pid)| Process {
            name: match name.as_str() {
                "nats" => "nats-server".into(),
                host if HOSTS.contains(&host) => format!("{host} host"),
                other => other.to_string(),
            },
            pid: *pid,
        })
        .collect();
    let hosts: Vec<u32> = HOSTS.iter().filter_map(|role| state.pids.get(*role).copied()).collect();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid.filter(|pid| parent(*pid).is_some_and(|parent| hosts.contains(&parent))) {
            all.push(Process { name: provider_name(pid), pid });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.push(load_generator());
    Ok(all)
}

/// A provider's file is named by the archive that it was unpacked from: `…_er_provider_ingest_…`.
fn provider_name(pid: u32) -> String {
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let exe = exe.to_string_lossy();
    exe.split_once("er_provider_")
        .map(|(_, rest)| rest.split('_').next().unwrap_or(rest))
        .map_or_else(|| format!("provider {pid}"), |name| format!("{name} provider"))
}

fn parent(pid: u32) -> Option<u32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

/// The fields of /proc/<pid>/stat behind the command's name, which may hold anything.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_string).collect())
}

pub fn sample(processes: &[Process]) -> Sample {
    let (busy_us, stolen_us) = machine().unwrap_or_default();
    Sample {
        at: Instant::now(),
        each: processes.iter().map(|process| usage(process.pid).unwrap_or_default()).collect(),
        busy_us,
        stolen_us,
    }
}

fn usage(pid: u32) -> Option<Usage> {
    let fields = stat_fields(pid)?;
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    Some(Usage { cpu_us: (ticks(11)? + ticks(12)?) * TICK_US, written_bytes: written.unwrap_or_default() })
}

fn machine() -> Option<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are part of user.
    let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks.as_slice() else {
        return None;
    };
    Some(((user + nice + system + irq + softirq) * TICK_US, steal * TICK_US))
}

pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
            .unwrap_or_default()
    };
    Memory { rss_kib: kib(&status, "VmRSS:"), pss_kib: kib(&rollup, "Pss:"), peak_rss_kib: kib(&status, "VmHWM:") }
}

// === impl Used ===

impl Used {
    /// Of the same processes in the same order.
    pub fn between(processes: &[Process], before: &Sample, after: &Sample) -> Self {
        let each: Vec<UsedBy> = processes
            .iter()
            .zip(before.each.iter().zip(&after.each))
            .map(|(process, (before, after))| UsedBy {
                name: process.name.clone(),
                cpu_us: after.cpu_us - before.cpu_us,
                written_bytes: after.written_bytes - before.written_bytes,
            })
            .collect();
        let ours: f64 = each.iter().map(|used| used.cpu_us).sum();
        Self {
            each,
            others_cpu_us: (after.busy_us - before.busy_us - ours).max(0.0),
            stolen_us: after.stolen_us - before.stolen_us,
            wall_us: (after.at - before.at).as_secs_f64() * 1e6,
        }
    }

    pub fn add(&mut self, other: &Self) {
        if self.each.is_empty() {
            self.each.clone_from(&other.each);
        } else {
            for (sum, more) in self.each.iter_mut().zip(&other.each) {
                sum.cpu_us += more.cpu_us;
                sum.written_bytes += more.written_bytes;
            }
        }
        self.others_cpu_us += other.others_cpu_us;
        self.stolen_us += other.stolen_us;
        self.wall_us += other.wall_us;
    }

    /// How much of the machine others had, in hundredths.
    pub fn others_percent(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        100.0 * (self.others_cpu_us + self.stolen_us) / (self.wall_us * cores).max(1.0)
    }

    /// By the processes in the list.
    pub fn cpu_us(&self) -> f64 {
        self.each.iter().map(|used| used.cpu_us).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_cpu_and_memory() {
        let me = [load_generator()];
        let before = sample(&me);
        let started = std::time::Instant::now();
        while started.elapsed().as_millis() < 60 {
            std::hint::black_box(started.elapsed());
        }
        let used = Used::between(&me, &before, &sample(&me));
        assert!(used.cpu_us() >= 2.0 * TICK_US, "{used:?}");
        assert!(memory(me[0].pid).rss_kib > 100);
    }
}
