//! The embedded event store: three keyspaces of an LSM tree (fjall), one writer, any number of readers.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `events` | tenant, event time, 128-bit hash of tenant, source and id | the event's JSON |
//! | `lookup` | the hash | event time, due, claim |
//! | `dues` | when the events go (microseconds, unique) | tenant, then time and hash of each event of the put |
//!
//! - **Put** looks up each event, and writes two rows for each that nobody else claimed first. The look-up is 1.5 µs an
//!   event beside 3.5 for all the rest; it is what keeps an event that is sent twice from being billed twice. An event
//!   that is put again with another time leaves its old row behind, out of sight: every read compares a row with its
//!   look-up, which names the one valid place. Retention takes it away.
//! - **Get** is a look-up and a read; the event found must have the source and id asked for.
//! - **Query** walks a tenant's rows backwards in time and filters by type and source as it goes. There is no index by
//!   type: a third row an event on the hot path, to save readers of rare types from following cursors. A page
//!   looks at no more than 20,000 rows (30 to 50 ms), then it is answered as it is: **it can be short or
//!   empty and still have a cursor**; the last page is the one without.
//! - **Retention** counts from arrival, by put, and walks `dues` from the oldest, so its work is bounded and needs no
//!   scan. It goes on while the disk is full, and so do flushes and compaction.
//! - **Durable**: puts that wait together share one `fdatasync` of the journal, and are answered after it. What a crash
//!   cuts off at the journal's end is dropped when it opens again, and had not been answered.
//! - **Memory**: memtables of 8 + 8 + 2 MiB and at most two full ones each on their way to disk, the block cache, and
//!   8 MiB of waiting puts. Nothing is compressed: lz4 took 0.8 µs an event more in the background; it would have saved
//!   60 % of the disk, on text that compresses well.

mod aside;
mod compaction;
mod engine;
mod error;
mod layout;
mod metrics;
mod put;
mod query;
mod retention;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use er_event::Runs;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch, Semaphore};

pub use er_event::stored::Filter;
pub use error::{Error, OpenError};
pub use query::Page;
pub use writer::system_clock;

use aside::{Aside, Unlinker};
use compaction::Compactor;
use engine::Engine;
use put::Put;
use writer::{Job, Writer, DISK_KEEP_BYTES};

/// Microseconds since 1970; a test's goes as it likes.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Text of events that may wait for the writer.
const QUEUE_BYTES: usize = 8 << 20;
const QUEUE_PUTS: usize = 256;
/// What a put counts at least.
const PUT_BYTES_MIN: usize = 4 << 10;
/// How long a put may wait for the disk.
const PUT_TIMEOUT: Duration = Duration::from_secs(8);
/// Reads at once; each holds a page and what it looks at.
const READERS: usize = 4;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    pub dir: PathBuf,
    /// How long an event stays after it came in, at least.
    pub retention: Duration,
    pub cache_bytes: u64,
    pub clock: Clock,
}

/// The open store; a clone is a handle to the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// None once it is closed.
    open: Mutex<Option<Open>>,
    room: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    clock: Clock,
    /// Closed when the writer has ended.
    ended: watch::Receiver<()>,
}

#[derive(Clone)]
struct Open {
    engine: Engine,
    jobs: SyncSender<Job>,
}

// === impl Store ===

impl Store {
    /// Opens the store, or makes an empty one, and starts its threads. Blocks while it recovers.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        Self::open_keeping(options, Arc::new(AtomicU64::new(DISK_KEEP_BYTES)))
    }

    /// The disk is full when less than `disk_keep_bytes` are free.
    fn open_keeping(options: Options, disk_keep_bytes: Arc<AtomicU64>) -> Result<Self, OpenError> {
        let Options { dir, retention, cache_bytes, clock } = options;
        let unreadable = |reason: String| OpenError::Unreadable { dir: dir.clone(), reason };
        let engine = Engine::open(&dir, cache_bytes)?;
        let compactor = Aside::new(&dir)
            .and_then(|aside| Compactor::start(engine.clone(), aside))
            .map_err(|e| unreadable(e.to_string()))?;
        let unlinker = Unlinker::start(&dir).map_err(|e| unreadable(e.to_string()))?;
        let writer = Writer {
            engine: engine.clone(),
            compactor,
            unlinker,
            dir: dir.clone(),
            disk_keep_bytes,
            retention,
            clock: Arc::clone(&clock),
        };
        let (jobs, waiting) = sync_channel(QUEUE_PUTS);
        let (running, ended) = watch::channel(());
        std::thread::Builder::new()
            .name("er-store-writer".into())
            .spawn(move || {
                // Dropped however the thread ends, which is how the others learn of it.
                let _running = running;
                writer.run(&waiting);
            })
            .map_err(|e| unreadable(e.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                open: Mutex::new(Some(Open { engine, jobs })),
                room: Arc::new(Semaphore::new(QUEUE_BYTES)),
                readers: Arc::new(Semaphore::new(READERS)),
                clock,
                ended,
            }),
        })
    }

    /// Stores each event that nobody else claimed first, durable on return, and gives the places of the others.
    pub async fn put(&self, tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str) -> Result<Vec<u32>, Error> {
        let started = Instant::now();
        let result = self.enqueue(tenant, keep_h, claims, events).await;
        match &result {
            Ok((count, _)) => metrics::put(*count, started.elapsed()),
            Err(error) => metrics::refused(error.word()),
        }
        result.map(|(_, known)| known)
    }

    async fn enqueue(
        &self,
        tenant: &str,
        keep_h: Option<u32>,
        claims: &Runs,
        events: &str,
    ) -> Result<(usize, Vec<u32>), Error> {
        let jobs = self.inner.open()?.jobs;
        let bytes = events.len().clamp(PUT_BYTES_MIN, QUEUE_BYTES);
        let permits = u32::try_from(bytes).map_err(|_| Error::Busy)?;
        let room = Arc::clone(&self.inner.room);
        let room = room.try_acquire_many_owned(permits).map_err(|_| Error::Busy)?;
        let put = Put::parse(tenant, keep_h, claims, events, (self.inner.clock)())?;
        let count = put.rows.len();
        let (answer, answered) = oneshot::channel();
        jobs.try_send(Job { put, answer, room }).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(_) => Error::Busy,
            std::sync::mpsc::TrySendError::Disconnected(_) => Error::Closed,
        })?;
        // Not kept: the writer ends when the last of these is dropped.
        drop(jobs);
        match tokio::time::timeout(PUT_TIMEOUT, answered).await {
            Ok(Ok(result)) => result.map(|known| (count, known)),
            Ok(Err(_)) => Err(Error::Closed),
            Err(_) => Err(Error::Slow),
        }
    }

    /// The event as stored.
    pub async fn get(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Error> {
        let prefix = put::prefix(tenant)?;
        let (source, id) = (source.to_string(), id.to_string());
        self.read(move |engine| {
            let Some(value) = engine.read(&prefix, prefix.hash(&source, &id))? else {
                return Ok(None);
            };
            let text = query::text(&value)?;
            let event = query::parse(text)?;
            if event.source != source || event.id != id {
                metrics::collision();
                return Ok(None);
            }
            Ok(Some(text.to_string()))
        })
        .await
    }

    /// One page, newest first.
    pub async fn query(&self, tenant: &str, filter: Filter, cursor: Option<String>, limit: u32) -> Result<Page, Error> {
        let prefix = put::prefix(tenant)?;
        let started = Instant::now();
        let page = self.read(move |engine| query::query(engine, &prefix, &filter, cursor.as_deref(), limit)).await?;
        metrics::queried(page.rows, started.elapsed());
        Ok(page)
    }

    async fn read<T, F>(&self, read: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Engine) -> Result<T, Error> + Send + 'static,
    {
        let readers = Arc::clone(&self.inner.readers);
        let permit = readers.acquire_owned().await.map_err(|_| Error::Closed)?;
        let engine = self.inner.open()?.engine;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // Let go of before the permit, so that who waits for all permits finds the directory free.
            let engine = engine;
            read(&engine)
        })
        .await
        .map_err(|e| Error::Storage(e.to_string()))?
    }

    /// Resolves when the store has ended: closed, or failed and of no more use to this process.
    pub async fn ended(&self) {
        let mut ended = self.inner.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Takes no more, writes what waits, syncs, and lets go of the directory as the last read ends.
    pub async fn close(&self) {
        drop(self.inner.open.lock().take());
        self.ended().await;
        // All permits together: the reads under way are over.
        let _ = self.inner.readers.acquire_many(READERS as u32).await;
    }

    /// Neither closed nor failed.
    pub fn is_open(&self) -> bool {
        self.inner.open().is_ok() && !self.has_failed()
    }

    /// Ended without being closed.
    pub fn has_failed(&self) -> bool {
        self.inner.open().is_ok() && self.inner.ended.has_changed().is_err()
    }
}

// === impl Inner ===

impl Inner {
    fn open(&self) -> Result<Open, Error> {
        self.open.lock().clone().ok_or(Error::Closed)
    }
}
