//! `up` and `down`: the order in which a lattice starts and stops.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nkeys::KeyPairType;
use parking_lot::Mutex;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::watch;

use crate::part::{Part, Role, STOP_ORDER};
use crate::plan::{Plan, UpArgs};
use crate::state::{DirLock, Locked, State, StateFile};
use crate::supervise::{self, Keeper, Shared};
use crate::{keys, nats, process, ready, refs, state};

pub fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(args)?;
    let lock = match DirLock::acquire(&plan.dir)? {
        Locked::Mine(lock) => lock,
        Locked::Elsewhere(pid) => anyhow::bail!(
            "a lattice is already running here (pid {}); stop it with `er-lattice down --dir {}`",
            pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
            plan.dir.display()
        ),
    };
    let swept = process::sweep(&plan.dir);
    if swept > 0 {
        eprintln!("ended {swept} processes an earlier lattice left behind");
    }
    nats::ensure_port_free(plan.args.nats_port)?;
    nats::write_conf(&plan)?;
    let mut state = StateFile::new(&plan.dir, initial_state(&plan)?);
    state.update(|_| ())?;

    // One thread, and the main one: the kernel reports a parent's death when the thread that
    // started the child ends, and this one lasts as long as the process.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start the runtime")?;
    let outcome = runtime.block_on(watch_over(Shared {
        plan: Arc::new(plan),
        state: Arc::new(Mutex::new(state)),
        nats: watch::Sender::new(None),
        renew_wadm: Arc::default(),
    }));
    drop(lock);
    outcome.map(|()| ExitCode::SUCCESS)
}

fn initial_state(plan: &Plan) -> anyhow::Result<State> {
    let mut state = State { lattice: plan.args.lattice.clone(), nats_url: plan.nats_url(), ..State::default() };
    state.pids.insert("supervisor".to_owned(), std::process::id());
    for role in Role::ALL {
        let key = keys::load_or_create(&plan.host_key(role), KeyPairType::Server)?;
        state.hosts.insert(role.name().to_owned(), key.public_key());
    }
    Ok(state)
}

async fn watch_over(shared: Shared) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let mut keepers = Vec::new();
    let started = tokio::select! {
        started = start(&shared, &mut keepers) => Some(started),
        () = &mut stop => None,
    };
    if let Some(Ok(())) = started {
        stop.await;
    }
    eprintln!("stopping");
    stop_all(keepers).await;
    shared.note(|state| {
        state.ready = false;
        state.pids.clear();
    });
    started.unwrap_or(Ok(()))
}

async fn start(shared: &Shared, keepers: &mut Vec<Keeper>) -> anyhow::Result<()> {
    let clock = Instant::now();
    let plan = &shared.plan;
    let progress = |what: &str| eprintln!("[{:6.2} s] {what}", clock.elapsed().as_secs_f64());

    keepers.push(Keeper::start(Part::Nats, shared.clone()));
    let client = ready::nats(plan).await?;
    shared.nats.send_replace(Some(client.clone()));
    tokio::spawn(refs::correct(client.clone(), plan.args.lattice.clone()));
    progress(&format!("NATS answers on {}", plan.nats_url()));

    // Before there is anything to be changed.
    if plan.gate.is_some() {
        keepers.push(Keeper::start(Part::Gate, shared.clone()));
        ready::gate(plan, &client).await?;
        progress("the gate answers");
    } else {
        progress("no gate: whoever reaches NATS may change everything");
    }

    // wadm owns the stream that hosts' events are kept in: a host that starts earlier is not noticed
    // before its next heartbeat.
    keepers.push(Keeper::start(Part::Wadm, shared.clone()));
    ready::wadm(plan, &client).await?;
    progress("wadm answers");

    for role in Role::ALL {
        // Hosts that were killed last time are still alive in wadm's store, and all they ran.
        supervise::bury(Part::Host(role), shared).await;
        keepers.push(Keeper::start(Part::Host(role), shared.clone()));
    }
    let state = state::load(&plan.dir)?;
    for role in Role::ALL {
        let host_id = state.hosts.get(role.name()).context("a host without an id")?;
        ready::host(plan, &client, role, host_id).await?;
        progress(&format!("{} host answers ({host_id})", role.name()));
    }
    let host_ids: Vec<String> = state.hosts.values().cloned().collect();
    ready::known(plan, &client, &host_ids).await?;
    progress("wadm knows the hosts");
    shared.note(|state| state.ready = true);
    println!("ready {} lattice={} in {:.2} s", plan.nats_url(), plan.args.lattice, clock.elapsed().as_secs_f64());
    Ok(())
}

async fn stop_all(mut keepers: Vec<Keeper>) {
    for part in STOP_ORDER {
        if let Some(index) = keepers.iter().position(|keeper| keeper.part == part) {
            let clock = Instant::now();
            keepers.swap_remove(index).stop().await;
            eprintln!("{} stopped in {:.2} s", part.name(), clock.elapsed().as_secs_f64());
        }
    }
}

/// Completes at the first SIGINT or SIGTERM. More of them change nothing: every wait of the way
/// down has a deadline.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("can't watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("can't watch for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

pub fn down(dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(pid) = state::holder(dir)? else {
        println!("no lattice runs in {}", dir.display());
        return Ok(ExitCode::SUCCESS);
    };
    process::terminate(pid);
    let patience: Duration = STOP_ORDER.iter().map(|part| part.stop_within()).sum();
    let deadline = Instant::now() + patience + Duration::from_secs(5);
    while Instant::now() < deadline {
        if state::holder(dir)?.is_none() {
            println!("stopped the lattice in {} (pid {pid})", dir.display());
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("pid {pid} did not stop; `kill -9 {pid}` ends it, and its children with it")
}
