//! Compaction, in a thread of our own, and what else writes must not wait for.
//!
//! fjall 3.1 starts one compaction after each flush, on the threads that flush. With one such thread a long compaction
//! holds up flushes, and so writes; with more, all but the busy one spin. And since nothing but a flush starts a
//! compaction, a store that falls behind can stand still for good: writes wait for compaction, compaction for a flush,
//! the flush for writes (met in a load test; fjall issue 257 looks the same). So fjall's own strategy may move tables
//! and hardly ever merges, and this thread merges as long as there is something to merge. Measured with 20 tenants on
//! two busy cores: 10 to 15 µs of wall time an event instead of 27 to 29, and a store that no longer stands still.
//!
//! The rows of a memtable that is on disk are freed one by one by whoever lets go of it last. fjall lets go when the next
//! one is full, in the thread that writes: with look-ups, 100,000 rows and 30 to 50 ms in which all puts waited. So this
//! thread holds each memtable longer than fjall does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::AbstractTree as _;

use super::aside::Aside;
use super::engine::{Engine, Sealed};
use super::error::Error;

/// How often it looks for work.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Small tables make short compactions, so that nobody waits long for one, shutdown included.
const TABLE_BYTES: u64 = 8 << 20;
/// Tables of flushed memtables that are merged into the next level together. More makes writes cheaper and reads
/// dearer; 16 instead of 8 took 1.6 µs an event off the background CPU (20 tenants).
const LEVEL0_TABLES: u8 = 16;

/// The running thread.
pub struct Compactor {
    /// Memtables to free; it stops when this is dropped.
    sealed: Sender<Sealed>,
    thread: JoinHandle<()>,
    running: Arc<AtomicBool>,
}

/// What fjall itself may do after a flush: move tables to where they overlap nothing.
pub fn only_moves() -> Arc<Leveled> {
    strategy(u8::MAX)
}

fn strategy(level0_tables: u8) -> Arc<Leveled> {
    let strategy = Leveled::default().with_l0_threshold(level0_tables);
    Arc::new(strategy.with_table_target_size(TABLE_BYTES))
}

// === impl Compactor ===

impl Compactor {
    pub fn start(engine: Engine, aside: Aside) -> std::io::Result<Self> {
        let (sealed, memtables) = channel();
        let running = Arc::new(AtomicBool::new(true));
        let flag = RunningFlag(Arc::clone(&running));
        let thread = std::thread::Builder::new().name("er-compaction".into()).spawn(move || {
            let _flag = flag;
            if let Err(error) = run(&engine, &memtables, aside) {
                tracing::error!(%error, "compaction failed");
            }
        })?;
        Ok(Self { sealed, thread, running })
    }

    /// Frees a memtable once nobody else holds it.
    pub fn free(&self, memtable: Sealed) {
        // A thread that has ended frees none: this one does.
        let _ = self.sealed.send(memtable);
    }

    /// False once it failed: nobody makes room any more.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Waits for the compaction it is at.
    pub fn stop(self) {
        drop(self.sealed);
        // A panic of it was logged where it happened.
        let _ = self.thread.join();
    }
}

/// Falls however the thread ends.
struct RunningFlag(Arc<AtomicBool>);

impl Drop for RunningFlag {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

fn run(engine: &Engine, memtables: &Receiver<Sealed>, mut aside: Aside) -> Result<(), Error> {
    let mut wait = LOOK_EVERY;
    let mut held: Vec<Sealed> = Vec::new();
    loop {
        match memtables.recv_timeout(wait) {
            Ok(memtable) => held.push(memtable),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        held.retain(|memtable| Arc::strong_count(memtable) > 1);
        wait = LOOK_EVERY;
        for keyspace in engine.keyspaces() {
            let before = keyspace.tree.current_version();
            keyspace
                .tree
                .compact(strategy(LEVEL0_TABLES), engine.oldest_read())
                .map_err(|e| Error::Storage(e.to_string()))?;
            if keyspace.tree.current_version().id() == before.id() {
                continue;
            }
            wait = Duration::ZERO;
            // As long as the version from before is held, these are on disk.
            for table in before.iter_tables().filter(|table| table.is_deleted.load(Ordering::Acquire)) {
                aside.keep(&table.path, &format!("{}-{}", keyspace.name(), table.id()));
            }
        }
    }
}
