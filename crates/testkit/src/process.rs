//! The processes of a lattice: found, killed, paused, measured.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::wait::until;

/// A process that the platform consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    Nats,
    Gate,
    Wadm,
    PlatformHost,
    TenantHost,
    ProbationHost,
    Ingest,
    Jetstream,
    Store,
    Control,
    Opa,
}

/// Where the processes of one lattice are found.
#[derive(Debug, Clone)]
pub struct Processes {
    /// The lattice's directory.
    dir: PathBuf,
}

/// Starts a program in a group of its own, so that a Ctrl-C in a terminal is for its guard to act upon. What it says goes to
/// `log`.
pub(crate) fn launch(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let out = File::create(log).with_context(|| format!("writing {}", log.display()))?;
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .with_context(|| format!("starting {name}"))
}

/// A process that was stopped with SIGSTOP. It goes on when this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Paused {
    pid: u32,
}

/// The part of `lattice.json` that is of interest here.
#[derive(Deserialize)]
struct Lattice {
    pids: BTreeMap<String, u32>,
    /// Their ids in the lattice, by role.
    hosts: BTreeMap<String, String>,
}

// === impl Part ===

impl Part {
    /// Everything whose death must cost nothing that was acknowledged.
    pub const CRITICAL: [Self; 6] =
        [Self::Nats, Self::PlatformHost, Self::TenantHost, Self::Ingest, Self::Jetstream, Self::Store];

    fn place(self) -> Place {
        match self {
            Self::Nats => Place::State("nats"),
            Self::Gate => Place::State("gate"),
            Self::Wadm => Place::State("wadm"),
            Self::PlatformHost => Place::State("platform"),
            Self::TenantHost => Place::State("tenant"),
            Self::ProbationHost => Place::State("probation"),
            // As a host names the file that it unpacks.
            Self::Ingest => Place::Executable("er_provider_ingest"),
            Self::Jetstream => Place::Executable("er_provider_jetstream"),
            Self::Store => Place::Executable("er_provider_local"),
            Self::Control => Place::Executable("er_provider_control"),
            Self::Opa => Place::Executable("er_provider_opa"),
        }
    }
}

enum Place {
    /// A name in `lattice.json`.
    State(&'static str),
    /// A part of the name of a file that a host unpacked.
    Executable(&'static str),
}

// === impl Processes ===

impl Processes {
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The process of a part, if it runs.
    #[must_use]
    pub fn find(&self, part: Part) -> Option<u32> {
        let pid = match part.place() {
            Place::State(name) => self.lattice()?.pids.get(name).copied(),
            Place::Executable(name) => {
                self.unpacked().into_iter().find(|(_, file)| file.contains(name)).map(|(pid, _)| pid)
            }
        };
        pid.filter(|pid| alive(*pid))
    }

    /// The id in the lattice of the host with a role.
    #[must_use]
    pub fn host_id(&self, role: &str) -> Option<String> {
        self.lattice()?.hosts.remove(role)
    }

    fn lattice(&self) -> Option<Lattice> {
        serde_json::from_slice(&fs::read(self.dir.join("lattice.json")).ok()?).ok()
    }

    /// The process of a part and when it was started, in the kernel's ticks since the machine was: no two are the same.
    #[must_use]
    pub fn identity(&self, part: Part) -> Option<(u32, u64)> {
        let pid = self.find(part)?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The 22nd field; the second, the name in brackets, may hold blanks.
        let started = stat.rsplit_once(") ")?.1.split_whitespace().nth(19)?.parse().ok()?;
        Some((pid, started))
    }

    /// Processes that run a file which one of the lattice's hosts unpacked.
    fn unpacked(&self) -> Vec<(u32, String)> {
        let scratch = self.dir.join("tmp");
        let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
        processes
            .flatten()
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let file = fs::read_link(entry.path().join("exe")).ok()?;
                let file = file.strip_prefix(&scratch).ok()?;
                Some((pid, file.to_string_lossy().into_owned()))
            })
            .collect()
    }

    /// Waits until a part runs.
    ///
    /// # Errors
    /// When it does not run by the deadline.
    pub async fn wait(&self, part: Part, deadline: Duration) -> anyhow::Result<u32> {
        until(&format!("the process of {part:?}"), deadline, || async { Ok(self.find(part)) }).await
    }

    /// Kills a part with SIGKILL, and returns once it is dead.
    ///
    /// # Errors
    /// When there is none to kill.
    pub async fn kill9(&self, part: Part, deadline: Duration) -> anyhow::Result<u32> {
        let pid = self.wait(part, deadline).await?;
        signal(pid, Signal::SIGKILL)?;
        until(&format!("the death of {part:?} ({pid})"), deadline, || async { Ok((!alive(pid)).then_some(pid)) }).await
    }

    /// Stops a part in its tracks.
    ///
    /// # Errors
    /// When there is none to stop.
    pub async fn pause(&self, part: Part, deadline: Duration) -> anyhow::Result<Paused> {
        let pid = self.wait(part, deadline).await?;
        Paused::pause(pid)
    }

    /// Resident memory of a part.
    ///
    /// # Errors
    /// When it does not run.
    pub fn rss_bytes(&self, part: Part) -> anyhow::Result<u64> {
        let pid = self.find(part).with_context(|| format!("{part:?} does not run"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
            .with_context(|| format!("{part:?} has no resident memory"))?;
        Ok(kib * 1024)
    }
}

// === impl Paused ===

impl Paused {
    /// Stops a process in its tracks.
    pub(crate) fn pause(pid: u32) -> anyhow::Result<Self> {
        signal(pid, Signal::SIGSTOP)?;
        Ok(Self { pid })
    }

    /// Lets the process go on.
    pub fn resume(self) {
        drop(self);
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have been killed meanwhile, which needs no mending.
        let _ = signal(self.pid, Signal::SIGCONT);
    }
}

/// Whether it runs; a process that is dead and not yet buried does not.
fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with(['Z', 'X'])))
        .is_some_and(|dead| !dead)
}

fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    // 0 and 1 mean «my own group» and «everybody» to the kernel.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 1).context("not a process to be signalled")?;
    kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_paused_process_stands_still_until_it_may_go_on() {
        let mut child = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        let pid = child.id().unwrap();
        let state =
            || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().rsplit_once(") ").unwrap().1.chars().next();
        let paused = Paused::pause(pid).unwrap();
        until("stopped", Duration::from_secs(5), || async { Ok((state() == Some('T')).then_some(())) }).await.unwrap();
        paused.resume();
        until("going on", Duration::from_secs(5), || async { Ok((state() == Some('S')).then_some(())) }).await.unwrap();
        child.kill().await.unwrap();
        assert!(!alive(pid));
    }

    #[test]
    fn nobody_else_is_signalled() {
        assert!(signal(0, Signal::SIGCONT).is_err());
        assert!(signal(1, Signal::SIGCONT).is_err());
        assert!(signal(u32::MAX, Signal::SIGCONT).is_err());
    }
}
