//! `lattice.json`, which tells others what runs here, and the lock that makes it one lattice a directory.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// What `lattice.json` holds. Rewritten at every change, always whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub lattice: String,
    pub nats_url: String,
    /// True from the first time everything answered.
    pub ready: bool,
    /// `supervisor`, `nats`, `gate`, `wadm`, `platform`, `tenant`, `probation`; absent while a part is down.
    pub pids: BTreeMap<String, u32>,
    /// How often each part was started again.
    pub restarts: BTreeMap<String, u32>,
    /// Host ids by role.
    pub hosts: BTreeMap<String, String>,
}

/// The state on disk and in memory.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    pub state: State,
}

/// Held for as long as a supervisor lives; the kernel releases it however that ends.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

pub enum Locked {
    Mine(DirLock),
    /// By the process with this id, where it had the time to say so.
    Elsewhere(Option<u32>),
}

// === impl StateFile ===

impl StateFile {
    pub fn new(dir: &Path, state: State) -> Self {
        Self { path: path(dir), state }
    }

    pub fn update(&mut self, change: impl FnOnce(&mut State)) -> anyhow::Result<()> {
        change(&mut self.state);
        let text = serde_json::to_vec_pretty(&self.state).context("can't encode the state")?;
        let new = self.path.with_extension("json.new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &self.path))
            .with_context(|| format!("can't write {}", self.path.display()))
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("lattice.json")
}

pub fn load(dir: &Path) -> anyhow::Result<State> {
    let path = path(dir);
    let text = std::fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}

// === impl DirLock ===

impl DirLock {
    pub fn acquire(dir: &Path) -> anyhow::Result<Locked> {
        let path = dir.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("can't open {}", path.display()))?;
        match lock_patiently(&file) {
            Ok(()) => {
                file.set_len(0)
                    .and_then(|()| writeln!(file, "{}", std::process::id()))
                    .with_context(|| format!("can't write {}", path.display()))?;
                Ok(Locked::Mine(Self { _file: file }))
            }
            Err(TryLockError::WouldBlock) => {
                Ok(Locked::Elsewhere(std::fs::read_to_string(&path).ok().and_then(|text| parse_pid(&text))))
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
        }
    }
}

/// Tries for a moment: `status` and `down` hold the lock just long enough to see whether it is free.
fn lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..10 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

/// The supervisor of a directory, if one runs: asks without taking the lock over.
pub fn holder(dir: &Path) -> anyhow::Result<Option<u32>> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("can't open {}", path.display())),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            let pid = parse_pid(&text).with_context(|| format!("{} names no process", path.display()))?;
            Ok(Some(pid))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
    }
}

fn parse_pid(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|pid| *pid > 1)
}

pub fn print_status(dir: &Path) -> anyhow::Result<ExitCode> {
    let Some(supervisor) = holder(dir)? else {
        println!("no lattice runs in {}", dir.display());
        return Ok(ExitCode::from(3));
    };
    let state = load(dir)?;
    let ready = if state.ready { "ready" } else { "starting" };
    println!("lattice '{}' is {ready} on {} (pid {supervisor})", state.lattice, state.nats_url);
    println!("{:<12} {:>8} {:>9} {:>9}", "part", "pid", "RSS MiB", "restarts");
    for (name, pid) in &state.pids {
        let rss = crate::process::rss_kib(*pid)
            .map_or_else(|| "gone".to_owned(), |kib| format!("{:.1}", f64::from(kib) / 1024.0));
        let restarts = state.restarts.get(name).copied().unwrap_or_default();
        println!("{name:<12} {pid:>8} {rss:>9} {restarts:>9}");
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_id_is_taken_for_one() {
        assert_eq!(parse_pid("4711\n"), Some(4711));
        for text in ["", "\n", "x", "0", "1", "-5", "4711 4712"] {
            assert_eq!(parse_pid(text), None, "{text:?}");
        }
    }

    #[test]
    fn state_survives_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = StateFile::new(dir.path(), State::default());
        file.update(|state| {
            state.lattice = "default".into();
            state.pids.insert("nats".into(), 7);
        })
        .unwrap();
        assert_eq!(load(dir.path()).unwrap(), file.state);
    }

    #[test]
    fn a_directory_has_one_holder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let Locked::Mine(lock) = DirLock::acquire(dir.path()).unwrap() else {
            panic!("a fresh directory is free");
        };
        assert_eq!(holder(dir.path()).unwrap(), Some(std::process::id()));
        assert!(matches!(
            DirLock::acquire(dir.path()).unwrap(),
            Locked::Elsewhere(Some(pid)) if pid == std::process::id()
        ));
        drop(lock);
        assert_eq!(holder(dir.path()).unwrap(), None);
    }
}
