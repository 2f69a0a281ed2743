//! What waits to be inserted: calls are put together into blocks, and each is answered when its block is on the disk.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{timeout, timeout_at, Instant};
use tracing::{info, warn};

use crate::block::{Block, Row};
use crate::engine::{Engine, Failure};
use crate::error::Error;
use crate::options::{Options, BLOCK_ROWS_MAX};
use crate::schema::Schema;
use crate::{metrics, Statement};

/// Between two tries of a block, and twice as long each time.
const BACKOFF: Duration = Duration::from_millis(100);

/// The way into the buffer.
#[derive(Debug)]
pub struct Buffer {
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    /// Bounds the queue: a job is sent with its share of both.
    room: Room,
    timeout: Duration,
    worker: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Room {
    rows: Arc<Semaphore>,
    rows_max: usize,
    bytes: Arc<Semaphore>,
}

/// A call that waits.
#[derive(Debug)]
struct Job {
    rows: Vec<Row>,
    since: Instant,
    answer: oneshot::Sender<Result<(), Error>>,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

struct Worker<E> {
    engine: Arc<E>,
    schema: Arc<Schema>,
    options: Options,
    jobs: mpsc::UnboundedReceiver<Job>,
    rows: Arc<Semaphore>,
}

// === impl Buffer ===

impl Buffer {
    pub fn start<E: Engine>(engine: Arc<E>, schema: Arc<Schema>, options: Options) -> Self {
        let (sender, jobs) = mpsc::unbounded_channel();
        let room = Room {
            rows: Arc::new(Semaphore::new(options.buffer_rows_max)),
            rows_max: options.buffer_rows_max,
            bytes: Arc::new(Semaphore::new(options.buffer_bytes_max)),
        };
        let insert_timeout = options.insert_timeout;
        let rows = Arc::clone(&room.rows);
        let worker = tokio::spawn(Worker { engine, schema, options, jobs, rows }.run());
        Self { jobs: Mutex::new(Some(sender)), room, timeout: insert_timeout, worker: Mutex::new(Some(worker)) }
    }

    /// Returns when the rows are on the disk, or without knowing after the time it may take. `bytes` is what they take
    /// of the buffer.
    pub async fn insert(&self, rows: Vec<Row>, bytes: usize) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let room = self.room.take(rows.len(), bytes)?;
        let (answer, answered) = oneshot::channel();
        let job = Job { rows, since: Instant::now(), answer, _room: room };
        {
            let jobs = self.jobs.lock();
            jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or(Error::Closed)?;
        }
        match timeout(self.timeout, answered).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Closed)),
            Err(_) => Err(Error::Slow(self.timeout.as_millis())),
        }
    }

    /// Takes no more, and returns when what waits is done.
    pub async fn close(&self) {
        drop(self.jobs.lock().take());
        let worker = self.worker.lock().take();
        if let Some(worker) = worker {
            // A panic of the worker has been reported by itself.
            let _ = worker.await;
        }
    }
}

// === impl Room ===

impl Room {
    fn take(&self, rows: usize, bytes: usize) -> Result<(OwnedSemaphorePermit, OwnedSemaphorePermit), Error> {
        let take = |room: &Arc<Semaphore>, share: usize| {
            let share = u32::try_from(share).map_err(|_| Error::Full)?;
            Arc::clone(room).try_acquire_many_owned(share).map_err(|_| Error::Full)
        };
        let taken = (take(&self.rows, rows)?, take(&self.bytes, bytes)?);
        metrics::waiting(self.rows_max - self.rows.available_permits());
        Ok(taken)
    }
}

// === impl Worker ===

impl<E: Engine> Worker<E> {
    async fn run(mut self) {
        let mut left = None;
        loop {
            let first = match left.take() {
                Some(job) => job,
                None => match self.jobs.recv().await {
                    Some(job) => job,
                    None => return,
                },
            };
            let (jobs, next) = self.collect(first).await;
            left = next;
            self.write(jobs).await;
        }
    }

    /// Calls for one block, and one that is for the next.
    async fn collect(&mut self, first: Job) -> (Vec<Job>, Option<Job>) {
        let due = first.since + self.options.linger;
        let mut rows = first.rows.len();
        let mut jobs = vec![first];
        // What waits already is taken even when the block is due.
        while rows < BLOCK_ROWS_MAX {
            match timeout_at(due, self.jobs.recv()).await {
                Ok(Some(job)) if rows + job.rows.len() > BLOCK_ROWS_MAX => return (jobs, Some(job)),
                Ok(Some(job)) => {
                    rows += job.rows.len();
                    jobs.push(job);
                }
                Ok(None) | Err(_) => break,
            }
        }
        (jobs, None)
    }

    /// Inserts, and answers whatever becomes of it.
    async fn write(&self, jobs: Vec<Job>) {
        let mut block = Block::default();
        let mut waiting = Vec::with_capacity(jobs.len());
        for Job { rows, answer, _room, .. } in jobs {
            // Who gave up will say it again; that is no reason to keep others waiting.
            if !answer.is_closed() {
                rows.into_iter().for_each(|row| block.add(row));
                waiting.push((answer, _room));
            }
        }
        if waiting.is_empty() {
            return;
        }
        let started = Instant::now();
        let result = self.insert(&block).await;
        match &result {
            Ok(()) => metrics::block(block.rows(), waiting.len(), started.elapsed()),
            Err(error) => warn!(rows = block.rows(), calls = waiting.len(), %error, "a block was not inserted"),
        }
        for (answer, room) in waiting {
            drop(room);
            let _ = answer.send(result.clone());
        }
        metrics::waiting(self.options.buffer_rows_max - self.rows.available_permits());
    }

    /// The same block under the same token, until it is in or there is no point in trying.
    async fn insert(&self, block: &Block) -> Result<(), Error> {
        let statement = block.insert();
        let mut pause = BACKOFF;
        let mut tries = 1;
        loop {
            let error = match self.attempt(statement.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if tries >= self.options.tries_max || !matches!(error, Error::Away(_)) {
                return Err(error);
            }
            info!(%error, tries, "a block is tried again");
            metrics::retried();
            tokio::time::sleep(pause).await;
            pause *= 2;
            tries += 1;
        }
    }

    async fn attempt(&self, statement: Statement) -> Result<(), Error> {
        let attempt = async {
            self.schema.ensure(&*self.engine).await?;
            match self.engine.run(statement).await {
                Ok(_) => Ok(()),
                Err(failure) => {
                    if failure.lacks_schema() {
                        self.schema.forget().await;
                    }
                    Err(failure.into())
                }
            }
        };
        let silent = |_| Failure::Silent(format!("no answer within {} ms", self.options.try_timeout.as_millis()));
        timeout(self.options.try_timeout, attempt).await.map_err(silent)?
    }
}
