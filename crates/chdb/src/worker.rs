//! The thread that owns the engine, and the handle to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver, SyncSender, TrySendError};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::connection::Connection;
use crate::error::{Error, OpenError};
use crate::library::Library;
use crate::{Options, Query};

/// How far the engine stands back where there is too little CPU for all: usage can wait for a moment, events should not.
const NICENESS: i32 = 10;

/// chDB keeps its state in globals: a second engine beside the first would share them.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// A handle to the engine of this process; a clone is a handle to the same one. The engine closes with
/// [`Chdb::close`], or after the last handle.
#[derive(Debug, Clone)]
pub struct Chdb(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Job {
    query: Query,
    answer: oneshot::Sender<Result<Vec<u8>, Error>>,
}

/// Says that this process may have an engine again.
struct Turn;

// === impl Chdb ===

impl Chdb {
    /// Loads the library and opens the directory.
    ///
    /// # Errors
    /// See [`OpenError`]. Trying again is harmless.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let (jobs, waiting) = sync_channel(options.waiting_max);
        let (opened, opening) = oneshot::channel();
        let work = move || match connect(&options) {
            Ok((_turn, connection)) => {
                info!(dir = %options.dir.display(), "chDB is open");
                if opened.send(Ok(())).is_ok() {
                    serve(connection, &waiting);
                }
            }
            // Whoever asked may be gone.
            Err(error) => drop(opened.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("chdb".into()).spawn(work);
        let thread = thread.map_err(|error| OpenError::Thread(error.to_string()))?;
        opening.await.unwrap_or_else(|_| Err(OpenError::Thread("it ended while it opened the engine".into())))?;
        Ok(Self(Arc::new(Shared { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })))
    }

    /// Runs a statement after those that wait, and gives what it says. Whoever stops waiting before its turn has it not
    /// run; one that runs goes on to its end.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn run(&self, query: Query) -> Result<Vec<u8>, Error> {
        let (answer, answered) = oneshot::channel();
        {
            let jobs = self.0.jobs.lock();
            jobs.as_ref().ok_or(Error::Closed)?.try_send(Job { query, answer }).map_err(|error| match error {
                TrySendError::Full(_) => Error::Busy,
                TrySendError::Disconnected(_) => Error::Closed,
            })?;
        }
        answered.await.unwrap_or(Err(Error::Closed))
    }

    /// Lets what waits be done, then closes the engine. Blocks until then.
    pub fn close(&self) {
        self.0.close();
    }
}

// === impl Shared ===

impl Shared {
    fn close(&self) {
        drop(self.jobs.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been reported by itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

// === impl Turn ===

impl Turn {
    fn take() -> Result<Self, OpenError> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err(OpenError::Taken);
        }
        Ok(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

/// Whether the library is there is told before whose turn it is. (The connection goes before the turn does.)
fn connect(options: &Options) -> Result<(Turn, Connection), OpenError> {
    // In Linux of this thread alone, and of those that come of it: the engine's own.
    if let Err(error) = rustix::process::nice(NICENESS) {
        warn!(%error, "chDB runs at the same priority as all else");
    }
    let library = Library::open(&options.library)
        .map_err(|error| OpenError::Load { file: options.library.clone(), reason: error.to_string() })?;
    let turn = Turn::take()?;
    Ok((turn, Connection::open(library, options)?))
}

fn serve(mut connection: Connection, waiting: &Receiver<Job>) {
    while let Ok(Job { query, answer }) = waiting.recv() {
        if answer.is_closed() {
            continue;
        }
        let result = connection.run(&query);
        // Who gave up waiting is not told.
        let _ = answer.send(result);
    }
    drop(connection);
    info!("chDB is closed");
}
