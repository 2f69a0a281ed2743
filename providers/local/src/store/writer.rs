//! The one thread that writes: it takes what waits, writes it, syncs once, and answers all of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, OwnedSemaphorePermit};
use tracing::{error, warn};

use super::aside::Unlinker;
use super::compaction::Compactor;
use super::engine::Engine;
use super::error::Error;
use super::put::Put;
use super::retention::Sweep;
use super::{metrics, Clock};

/// Puts that one sync makes durable.
const GROUP_PUTS_MAX: usize = 64;
/// How often it looks around when nothing comes in.
const IDLE: Duration = Duration::from_secs(1);
/// Between two steps of retention that have found something.
const SWEEP_PAUSE: Duration = Duration::from_millis(2);
/// Expired puts that a step drops beside those that keep pace with what comes in.
const SWEEP_PUTS: usize = 4;
/// Between two looks whether the engine has room.
const ROOM_PAUSE: Duration = Duration::from_millis(2);
const DISK_LOOK: Duration = Duration::from_secs(2);
/// Free space that writes leave alone: compaction and the journal need it to get out of the squeeze.
pub const DISK_KEEP_BYTES: u64 = 512 << 20;

/// One put that waits.
pub struct Job {
    pub put: Put,
    pub answer: oneshot::Sender<Result<Vec<u32>, Error>>,
    /// Its share of what may wait.
    pub room: OwnedSemaphorePermit,
}

pub struct Writer {
    pub engine: Engine,
    pub compactor: Compactor,
    pub unlinker: Unlinker,
    pub dir: PathBuf,
    /// [`DISK_KEEP_BYTES`]; a test's goes as it likes.
    pub disk_keep_bytes: Arc<AtomicU64>,
    pub retention: Duration,
    pub clock: Clock,
}

/// How much space is left, looked up now and then.
struct Disk {
    dir: PathBuf,
    keep_bytes: Arc<AtomicU64>,
    looked: Option<Instant>,
    full: Option<Error>,
}

// === impl Writer ===

impl Writer {
    /// Until the other end is dropped, then everything that waits is written. An error is the end of the store.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let result = self.serve(jobs);
        if let Err(error) = &result {
            error!(%error, "the event store ends");
        }
        self.compactor.stop();
        self.unlinker.stop();
        if let Err(error) = self.engine.sync() {
            error!(%error, "the last sync failed");
        }
    }

    fn serve(&mut self, jobs: &Receiver<Job>) -> Result<(), Error> {
        let mut sweep = Sweep::default();
        let mut disk = Disk::new(self.dir.clone(), Arc::clone(&self.disk_keep_bytes));
        let mut wait = Duration::ZERO;
        loop {
            let mut group = Vec::new();
            match jobs.recv_timeout(wait) {
                Ok(job) => group.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            while group.len() < GROUP_PUTS_MAX {
                let Ok(job) = jobs.try_recv() else { break };
                group.push(job);
            }
            let puts = group.len();
            // On a full disk too: what expires frees space only once its tombstones are flushed and merged.
            self.await_room()?;
            match disk.full(&self.engine) {
                Some(full) => group.into_iter().for_each(|job| job.answer(Err(full.clone()))),
                None => self.write(group, &mut sweep)?,
            }
            let now_us = u64::try_from((self.clock)()).unwrap_or_default();
            let expired = sweep.run(&self.engine, now_us, puts + SWEEP_PUTS)?;
            wait = IDLE;
            if expired > 0 {
                metrics::expired(expired);
                wait = SWEEP_PAUSE;
            }
        }
    }

    /// Writes a group and answers it, whatever happens.
    fn write(&mut self, group: Vec<Job>, sweep: &mut Sweep) -> Result<(), Error> {
        let mut written = Vec::with_capacity(group.len());
        let mut events = 0;
        let mut result = Ok(());
        for job in group {
            let Job { put, answer, room } = job;
            let mut known = Vec::new();
            if result.is_ok() && !put.rows.is_empty() {
                events += put.rows.len();
                match self.write_put(put, sweep) {
                    Ok(places) => known = places,
                    Err(error) => result = Err(error),
                }
            }
            written.push((answer, room, known));
        }
        if result.is_ok() && events > 0 {
            let started = Instant::now();
            result = self.engine.sync();
            metrics::group(events, started.elapsed());
        }
        for (answer, room, known) in written {
            drop(room);
            // Who gave up waiting is not told.
            let _ = answer.send(result.clone().map(|()| known));
        }
        result
    }

    fn write_put(&self, put: Put, sweep: &mut Sweep) -> Result<Vec<u32>, Error> {
        let now_us = u64::try_from((self.clock)()).unwrap_or_default();
        let keep = put.keep_h.map_or(self.retention, |hours| Duration::from_secs(u64::from(hours) * 3600));
        let keep_us = u64::try_from(keep.as_micros()).unwrap_or(u64::MAX);
        let due_us = self.engine.free_due_us(now_us.saturating_add(keep_us))?;
        sweep.note(due_us);
        self.engine.write(put, due_us)
    }

    fn await_room(&self) -> Result<(), Error> {
        let started = Instant::now();
        while !self.engine.make_room(|sealed| self.compactor.free(sealed))? {
            if !self.compactor.is_running() {
                return Err(Error::Storage("compaction ended".into()));
            }
            std::thread::sleep(ROOM_PAUSE);
        }
        let took = started.elapsed();
        if took >= ROOM_PAUSE {
            metrics::stalled(took);
        }
        Ok(())
    }
}

// === impl Job ===

impl Job {
    fn answer(self, result: Result<Vec<u32>, Error>) {
        drop(self.room);
        let _ = self.answer.send(result);
    }
}

// === impl Disk ===

impl Disk {
    fn new(dir: PathBuf, keep_bytes: Arc<AtomicU64>) -> Self {
        Self { dir, keep_bytes, looked: None, full: None }
    }

    /// Why nothing may be written, if so.
    fn full(&mut self, engine: &Engine) -> Option<Error> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= DISK_LOOK) {
            self.looked = Some(Instant::now());
            match rustix::fs::statvfs(&self.dir) {
                Ok(stat) => {
                    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
                    metrics::disk(engine.disk_bytes(), free);
                    let keep = self.keep_bytes.load(Ordering::Relaxed);
                    self.full = (free < keep).then(|| Error::DiskFull {
                        dir: self.dir.clone(),
                        free_mib: free >> 20,
                        keep_mib: keep >> 20,
                    });
                }
                Err(error) => warn!(dir = %self.dir.display(), %error, "the free space can't be told"),
            }
        }
        self.full.clone()
    }
}

/// The time now, in microseconds since 1970.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}
