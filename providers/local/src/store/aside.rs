//! Files that the store no longer needs go in small steps, in a thread of its own.
//!
//! fjall unlinks a journal (64 MiB) in one call, and the tables of a merge (16 times 8 MiB) one right after the other,
//! often in the thread that writes. On ext4 with `discard` every `fdatasync` of the machine waits meanwhile, so all
//! tenants' events do: 18 ms for a journal on an idle machine, 45 to 60 ms for a merge's tables beside load. Shortened by
//! 2 MiB at a time, the same journal held nobody up for more than 4 ms. So each of these files gets a second name here,
//! by which it is still there when fjall has unlinked it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the second names are, in the store's directory.
const NAMES: &str = "aside";
const STEP_BYTES: u64 = 2 << 20;
/// With the size of a step, at most 200 MB/s.
const STEP_EVERY: Duration = Duration::from_millis(10);
/// A journal lasts longer at any load.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Until it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(10);
/// Files that may wait. Those beyond go at once: the disk must not fill up with what nobody needs.
const WAITING_MAX: usize = 64;

/// Gives second names.
pub struct Aside {
    names: PathBuf,
    /// Until it turns out that this file system has none.
    works: bool,
}

/// The running thread.
pub struct Unlinker {
    /// It stops when this is dropped; what is left goes after the next start.
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the thread knows.
struct Unlinking {
    store: PathBuf,
    aside: Aside,
    going: Option<Going>,
}

/// A file that has no name but ours.
struct Going {
    path: PathBuf,
    file: File,
    bytes: u64,
}

// === impl Aside ===

impl Aside {
    /// For the store in this directory.
    pub fn new(store: &Path) -> io::Result<Self> {
        let names = store.join(NAMES);
        std::fs::create_dir_all(&names)?;
        Ok(Self { names, works: true })
    }

    /// A second name for this file, unless it has one or is gone.
    pub fn keep(&mut self, path: &Path, name: &str) {
        if let Some(Err(error)) = self.works.then(|| self.link(path, name)) {
            tracing::warn!(%error, "puts will wait while fjall unlinks large files");
            self.works = false;
        }
    }

    fn link(&self, path: &Path, name: &str) -> io::Result<()> {
        let second = self.names.join(name);
        match std::fs::hard_link(path, &second) {
            // It has one already, or is gone.
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                return Ok(())
            }
            linked => linked?,
        }
        // Where names are not counted, a file that is in use could not be told from one that nobody needs.
        if second.metadata()?.nlink() > 1 || !path.exists() {
            return Ok(());
        }
        std::fs::remove_file(&second)?;
        Err(io::Error::new(io::ErrorKind::Unsupported, "the file system does not count a file's names"))
    }
}

// === impl Unlinker ===

impl Unlinker {
    /// For the store in this directory.
    pub fn start(store: &Path) -> io::Result<Self> {
        let mut unlinking = Unlinking::new(store)?;
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("er-unlink".into()).spawn(move || unlinking.run(&stopped))?;
        Ok(Self { stop, thread })
    }

    pub fn stop(self) {
        drop(self.stop);
        // A panic of it was logged where it happened.
        let _ = self.thread.join();
    }
}

// === impl Unlinking ===

impl Unlinking {
    fn new(store: &Path) -> io::Result<Self> {
        Ok(Self { store: store.to_path_buf(), aside: Aside::new(store)?, going: None })
    }

    fn run(&mut self, stopped: &Receiver<()>) {
        let mut wait = Duration::ZERO;
        while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            wait = match self.step() {
                Ok(true) => STEP_EVERY,
                Ok(false) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "files that the store no longer needs stay for now");
                    AFTER_ERROR
                }
            };
        }
    }

    /// Takes one step. False when there is nothing to do.
    fn step(&mut self) -> io::Result<bool> {
        if self.going.is_none() {
            self.keep_journals()?;
            self.going = self.next()?;
        }
        let Some(going) = &mut self.going else {
            return Ok(false);
        };
        if going.step() {
            self.going = None;
        }
        Ok(true)
    }

    fn keep_journals(&mut self) -> io::Result<()> {
        for path in files(&self.store)? {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".jnl") {
                self.aside.keep(&path, name);
            }
        }
        Ok(())
    }

    fn next(&self) -> io::Result<Option<Going>> {
        let mut next = None;
        let mut waiting = 0;
        for path in files(&self.aside.names)? {
            let Ok(found) = path.metadata() else { continue };
            if found.nlink() > 1 {
                continue;
            }
            waiting += 1;
            if waiting > WAITING_MAX {
                unlink(&path);
            } else if next.is_none() {
                match OpenOptions::new().write(true).open(&path) {
                    Ok(file) => next = Some(Going { path, file, bytes: found.len() }),
                    Err(_) => unlink(&path),
                }
            }
        }
        Ok(next)
    }
}

/// At once. One that stays does no harm but for its room.
fn unlink(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, path = %path.display(), "a file that nobody needs stays");
    }
}

fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

// === impl Going ===

impl Going {
    /// True once it is gone.
    fn step(&mut self) -> bool {
        self.bytes = self.bytes.saturating_sub(STEP_BYTES);
        let shortened = self.file.set_len(self.bytes).is_ok();
        if shortened && self.bytes > 0 {
            return false;
        }
        unlink(&self.path);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 5 << 20;

    fn written(path: &Path) -> File {
        std::fs::write(path, vec![1; 5 << 20]).unwrap();
        File::open(path).unwrap()
    }

    fn names_and_bytes(file: &File) -> (u64, u64) {
        let found = file.metadata().unwrap();
        (found.nlink(), found.len())
    }

    #[test]
    fn a_file_stays_whole_while_it_is_in_use_and_goes_in_steps_after() {
        let dir = tempfile::tempdir().unwrap();
        let [journal, table, lock] = ["7.jnl", "8", "lock"].map(|name| dir.path().join(name));
        let [journal_file, table_file, lock_file] = [&journal, &table, &lock].map(|path| written(path));
        let mut unlinking = Unlinking::new(dir.path()).unwrap();
        unlinking.aside.keep(&table, "events-8");
        for _ in 0..9 {
            assert!(!unlinking.step().unwrap());
        }
        assert_eq!([&journal_file, &table_file].map(names_and_bytes), [(2, BYTES); 2]);

        std::fs::remove_file(&journal).unwrap();
        assert!(unlinking.step().unwrap());
        assert_eq!([&journal_file, &table_file].map(names_and_bytes), [(1, 3 << 20), (2, BYTES)]);
        // After a restart it goes on.
        std::fs::remove_file(&table).unwrap();
        let mut unlinking = Unlinking::new(dir.path()).unwrap();
        while unlinking.step().unwrap() {}
        assert_eq!([&journal_file, &table_file, &lock_file].map(names_and_bytes), [(0, 0), (0, 0), (1, BYTES)]);
    }

    #[test]
    fn another_file_of_the_same_name_stays_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("7.jnl");
        written(&path);
        assert!(!Unlinking::new(dir.path()).unwrap().step().unwrap());
        std::fs::remove_file(&path).unwrap();
        let other = written(&path);
        let mut unlinking = Unlinking::new(dir.path()).unwrap();
        while unlinking.step().unwrap() {}
        // It has its own second name once that of the first is gone.
        assert_eq!(names_and_bytes(&other), (2, BYTES));
    }

    #[test]
    fn of_too_many_files_some_go_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut unlinking = Unlinking::new(dir.path()).unwrap();
        for number in 0..WAITING_MAX + 9 {
            std::fs::write(unlinking.aside.names.join(number.to_string()), vec![1; 3 << 20]).unwrap();
        }
        assert!(unlinking.step().unwrap());
        assert_eq!(files(&unlinking.aside.names).unwrap().len(), WAITING_MAX);
    }
}
