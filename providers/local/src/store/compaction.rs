//! Compaction, in a thread of our own.
//!
//! fjall 3.1 starts one compaction after each flush, on the threads that flush. With one such thread a long compaction
//! holds up flushes, and so writes; with more, all but the busy one spin. And since nothing but a flush starts a
//! compaction, a store that falls behind can stand still for good: writes wait for compaction, compaction for a flush,
//! the flush for writes (met in a load test; fjall issue 257 looks the same). So fjall's own strategy may move tables
//! and hardly ever merges, and this thread merges as long as there is something to merge. Measured with 20 tenants on
//! two busy cores: 10 to 15 µs of wall time an event instead of 27 to 29, and a store that no longer stands still.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError, Sender};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::{AbstractTree as _, Keyspace};

use super::engine::Engine;
use super::error::Error;

/// How often it looks for work.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Small tables make short compactions, so that nobody waits long for one, shutdown included.
const TABLE_BYTES: u64 = 8 << 20;
/// Tables of flushed memtables that are merged into the next level together. More makes writes cheaper and reads
/// dearer; 16 instead of 8 took 1.6 µs an event off the background CPU (20 tenants).
const LEVEL0_TABLES: u8 = 16;
const LEVELS: usize = 7;

/// The running thread.
pub struct Compactor {
    stop: Sender<()>,
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
    pub fn start(engine: Engine) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let running = Arc::new(AtomicBool::new(true));
        let flag = RunningFlag(Arc::clone(&running));
        let thread = std::thread::Builder::new().name("er-compaction".into()).spawn(move || {
            let _flag = flag;
            if let Err(error) = run(&engine, &stopped) {
                tracing::error!(%error, "compaction failed");
            }
        })?;
        Ok(Self { stop, thread, running })
    }

    /// False once it failed: nobody makes room any more.
    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Waits for the compaction it is at.
    pub fn stop(self) {
        drop(self.stop);
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

fn run(engine: &Engine, stopped: &Receiver<()>) -> Result<(), Error> {
    let mut wait = LOOK_EVERY;
    loop {
        match stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        wait = LOOK_EVERY;
        for keyspace in engine.keyspaces() {
            let before = shape(keyspace);
            keyspace
                .tree
                .compact(strategy(LEVEL0_TABLES), engine.oldest_read())
                .map_err(|e| Error::Storage(e.to_string()))?;
            if shape(keyspace) != before {
                wait = Duration::ZERO;
            }
        }
    }
}

/// What changes with every compaction.
fn shape(keyspace: &Keyspace) -> (usize, [Option<usize>; LEVELS]) {
    let tables = std::array::from_fn(|level| keyspace.tree.level_table_count(level));
    (keyspace.tree.l0_run_count(), tables)
}
