//! Keeps one part running: starts it, starts it again when it dies, stops it when asked.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use parking_lot::Mutex;
use tokio::process::Child;
use tokio::sync::{watch, Notify};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout, Instant};

use crate::part::{Part, Role};
use crate::plan::Plan;
use crate::process;
use crate::state::{State, StateFile};

/// A part that lived this long starts over with a clean record.
const STEADY_AFTER: Duration = Duration::from_secs(5);
/// wadm ignores what happens to a part of a manifest while it waits, for at most this long, for the
/// outcome of its last command to it.
const WADM_WAITS_MAX: Duration = Duration::from_secs(30);
/// Pauses before the first, second, … restart of a part that keeps dying.
const PAUSES_MS: [u64; 6] = [0, 50, 200, 500, 1_000, 2_000];

/// What the keepers of all parts share.
#[derive(Clone)]
pub struct Shared {
    pub plan: Arc<Plan>,
    pub state: Arc<Mutex<StateFile>>,
    /// Absent until NATS answered for the first time.
    pub nats: watch::Sender<Option<async_nats::Client>>,
    /// Asks for a wadm without memory: one that waits for nothing.
    pub renew_wadm: Arc<Notify>,
}

enum Ended {
    Died(std::io::Result<ExitStatus>),
    Renewed,
    Stopped,
}

/// A part that is being kept running.
pub struct Keeper {
    pub part: Part,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

// === impl Keeper ===

impl Keeper {
    pub fn start(part: Part, shared: Shared) -> Self {
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(keep(part, shared, stopping));
        Self { part, stop, task }
    }

    /// Returns once nothing of the part is left.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // A keeper neither panics nor is aborted; if it did, its child is bound to us anyway.
        let _ = self.task.await;
    }
}

// === impl Shared ===

impl Shared {
    pub fn note(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        if let Err(error) = state.update(change) {
            eprintln!("error: {error:#}");
        }
    }

    fn host_id(&self, role: Role) -> Option<String> {
        let state = self.state.lock();
        state.state.hosts.get(role.name()).cloned()
    }
}

async fn keep(part: Part, shared: Shared, mut stopping: watch::Receiver<bool>) {
    let name = part.name();
    let mut deaths: usize = 0;
    loop {
        let started = Instant::now();
        match start(part, &shared.plan) {
            Ok((mut child, pid)) => {
                shared.note(|state| {
                    state.pids.insert(name.to_owned(), pid);
                });
                let ended = tokio::select! {
                    status = child.wait() => Ended::Died(status),
                    never = process::keep_log_small(shared.plan.log(name)) => match never {},
                    () = shared.renew_wadm.notified(), if part == Part::Wadm => Ended::Renewed,
                    () = asked(&mut stopping) => Ended::Stopped,
                };
                if !matches!(ended, Ended::Died(_)) {
                    end(part, &mut child, pid).await;
                }
                // Providers outlive a host that was killed; they would hold its ports.
                process::kill_group(pid);
                shared.note(|state| {
                    state.pids.remove(name);
                });
                match ended {
                    Ended::Stopped => return,
                    Ended::Renewed => continue,
                    Ended::Died(Ok(status)) => eprintln!("{name} (pid {pid}) died: {status}"),
                    Ended::Died(Err(error)) => eprintln!("{name} (pid {pid}) is lost: {error}"),
                }
            }
            Err(error) => eprintln!("{name} does not start: {error:#}"),
        }
        if started.elapsed() > STEADY_AFTER {
            deaths = 0;
        }
        if matches!(part, Part::Host(_)) && started.elapsed() < WADM_WAITS_MAX {
            shared.renew_wadm.notify_one();
        }
        let recovery = async {
            sleep(pause(deaths)).await;
            bury(part, &shared).await;
        };
        tokio::select! {
            () = recovery => {}
            () = asked(&mut stopping) => return,
        }
        deaths += 1;
        shared.note(|state| *state.restarts.entry(name.to_owned()).or_default() += 1);
    }
}

fn start(part: Part, plan: &Plan) -> anyhow::Result<(Child, u32)> {
    if let Some(stale) = part.stale(plan) {
        match std::fs::remove_dir_all(&stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't empty {}", stale.display()));
            }
            _ => std::fs::create_dir_all(&stale).with_context(|| format!("can't create {}", stale.display()))?,
        }
    }
    let child = process::spawn(part.command(plan), &plan.log(part.name()), part.said())?;
    let pid = child.id().context("the process ended at once")?;
    Ok((child, pid))
}

async fn end(part: Part, child: &mut Child, pid: u32) {
    process::terminate(pid);
    if timeout(part.stop_within(), child.wait()).await.is_err() {
        eprintln!("{} (pid {pid}) did not stop within {} s and is killed", part.name(), part.stop_within().as_secs());
        process::kill_group(pid);
        let _ = child.wait().await;
    }
}

fn pause(deaths: usize) -> Duration {
    let index = deaths.min(PAUSES_MS.len() - 1);
    Duration::from_millis(PAUSES_MS.get(index).copied().unwrap_or_default())
}

async fn asked(stopping: &mut watch::Receiver<bool>) {
    // An error means the supervisor is gone, which asks for the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Tells wadm that a host is dead. It would otherwise believe the host's components and providers
/// to be running until they miss their heartbeats, and start nothing in their place.
pub async fn bury(part: Part, shared: &Shared) {
    let Part::Host(role) = part else { return };
    let Some(host_id) = shared.host_id(role) else { return };
    let mut nats = shared.nats.subscribe();
    let Ok(client) = nats.wait_for(Option::is_some).await.map(|client| client.clone()) else {
        return;
    };
    let Some(client) = client else { return };
    let stream = async_nats::jetstream::new(client);
    let subject = format!("wasmbus.evt.{}.host_stopped", shared.plan.args.lattice);
    let deadline = Instant::now() + Duration::from_secs(10);
    // Acknowledged, or NATS may be down as well and swallow it.
    while Instant::now() < deadline {
        let event = obituary(&host_id, role).to_string();
        let published = async { stream.publish(subject.clone(), event.into()).await?.await };
        match timeout(Duration::from_secs(1), published).await {
            Ok(Ok(_)) => return,
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
    eprintln!("{}: wadm could not be told of its death", role.name());
}

fn obituary(host_id: &str, role: Role) -> serde_json::Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    serde_json::json!({
        "specversion": "1.0",
        "id": format!("er-lattice-{}", now.as_nanos()),
        "source": host_id,
        "type": "com.wasmcloud.lattice.host_stopped",
        "datacontenttype": "application/json",
        "data": { "labels": crate::host::labels(role) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_wait_longer() {
        let pauses: Vec<_> = (0..10).map(pause).collect();
        assert_eq!(pauses.first(), Some(&Duration::ZERO));
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&Duration::from_secs(2)));
    }

    #[test]
    fn an_obituary_speaks_in_the_hosts_name() {
        let event = obituary("NABC", Role::Tenant);
        assert_eq!(event["source"], "NABC");
        assert_eq!(event["data"]["labels"]["eventrunner.role"], "tenant");
    }
}
