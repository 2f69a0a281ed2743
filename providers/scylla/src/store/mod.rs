//! The event store on ScyllaDB or Apache Cassandra.
//!
//! | table | partition | rows | holds |
//! |---|---|---|---|
//! | `events_by_key` | tenant, source, id | one | the event's text, its claim, its time |
//! | `events_by_time` | tenant, day, bucket (hash of source and id, 16) | time, source, id; newest first | the type |
//! | `days` | tenant | day, bucket, keep-h | nothing: which partitions of `events_by_time` there are |
//!
//! - **The text lies with the key,** and `events_by_time` is an index without it. The row by key has to be read before
//!   each write (its claim) and for each event of a page (whether the index still is right) anyway, so with the text in
//!   it a get is one read, an event changes at once or not at all, and what a busy tenant's day gathers in few
//!   partitions are a hundred bytes an event.
//! - **Put** reads the claims, writes the index (rows of one partition together), then the events. An event is there
//!   once its row by key is; a put that was cut off before that left nothing that anybody sees, and its repeat finishes
//!   it. Two claims that race for one event are not told apart (that would be a Paxos round an event): the caller, one
//!   stream shard, brings an event's puts one after the other. What a late statement of an earlier put could still do
//!   is excluded by timestamps of our own, see [`Options`].
//! - **Moved events:** a repeat under the same claim with another time leaves a row of the index behind, which every
//!   read tells by the time in the row by key. Nothing is deleted: tombstones would outlive the rows' time-to-live.
//! - **Query** knows a tenant's partitions from `days`, opens those of the newest days and merges their rows. One page
//!   looks at 20,000 rows at most, then it is answered as it is: **it can be short or empty and still have a cursor**.
//! - **Kept for** `keep-h` of each put, by time-to-live on every row. A tenant whose plan changes changes what
//!   is put from then on.
//! - **Bounded:** bytes of puts, reads and statements under way each have a limit. Over the first two the answer is
//!   [`Error::Busy`] at once; statements wait for each other, no longer than a call may take.

mod connection;
mod cursor;
mod days;
mod error;
mod layout;
mod merge;
mod metrics;
mod options;
mod put;
mod query;
mod schema;
mod write;
mod written;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use er_event::Runs;
use tokio::sync::{watch, Semaphore};
use tokio::task::AbortHandle;
use tracing::{info, warn};

pub use er_event::stored::Filter;
pub use error::Error;
pub use layout::KEEP_H_MAX;
pub use options::{replicated, Consistency, Credentials, Options};
pub use query::{Page, ROWS_MAX};
pub use schema::VERSION as SCHEMA_VERSION;

use connection::Connection;
use put::Put;
use write::Target;
use written::Written;

/// Text of events whose put is under way.
const PUTS_BYTES: usize = 16 << 20;
/// What a put counts at least.
const PUT_BYTES_MIN: usize = 4 << 10;
/// Gets and queries at once; each may hold a page and what it looks at.
const READS: usize = 32;
/// How long a call may take, repeats of its statements included.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// How long it waits before it tries again to connect: at first, and at most.
const CONNECT_WAIT_MIN: Duration = Duration::from_millis(250);
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);

/// The store; a clone is a handle to the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    state: watch::Receiver<State>,
    connecting: AbortHandle,
    retention_h: u32,
    written: Written,
    puts: Semaphore,
    reads: Semaphore,
    statements: Arc<Semaphore>,
}

/// How far the store is.
#[derive(Clone)]
enum State {
    /// Why the last try failed.
    Connecting(Error),
    Open(Arc<Connection>),
}

// === impl Store ===

impl Store {
    /// Begins to connect, and goes on trying for as long as the store is there: a cluster that is away is no reason not
    /// to start. Until it is reached, calls are answered with [`Error::Away`]. Needs a Tokio runtime.
    pub fn open(options: Options) -> Self {
        let retention_h = options.retention_h;
        let statements = Arc::new(Semaphore::new(options.statements));
        let (sender, state) = watch::channel(State::Connecting(Error::Away("no node has answered yet".into())));
        let connecting = tokio::spawn(connect(options, Arc::clone(&statements), sender)).abort_handle();
        let puts = Semaphore::new(PUTS_BYTES);
        let reads = Semaphore::new(READS);
        let written = Written::default();
        Self { inner: Arc::new(Inner { state, connecting, retention_h, written, puts, reads, statements }) }
    }

    /// Stores each event that no other claim holds, durable on return. Returns the places of the others, ascending.
    ///
    /// # Errors
    /// See [`Error`]. After any but `Invalid` and `Busy` some of the events may be stored: send all of them again.
    pub async fn put(&self, tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str) -> Result<Vec<u32>, Error> {
        let started = Instant::now();
        let result = self.inner.put(tenant, keep_h, claims, events).await;
        match &result {
            Ok(left) => metrics::put(claims.len(), left.len(), started.elapsed()),
            Err(error) => metrics::refused(error.word()),
        }
        result
    }

    /// The event as stored.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, tenant: &str, source: &str, id: &str) -> Result<Option<String>, Error> {
        put::check_tenant(tenant)?;
        // Nothing of the kind can be stored, and the protocol would refuse the question.
        if source.len().max(id.len()) > put::KEY_BYTES_MAX {
            return Ok(None);
        }
        let _permit = self.inner.reads.try_acquire().map_err(|_| Error::Busy)?;
        let connection = self.inner.connection()?;
        let event = in_time(connection.event(tenant, source, id)).await?;
        Ok(event.map(|event| event.text))
    }

    /// One page, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn query(&self, tenant: &str, filter: Filter, cursor: Option<String>, limit: u32) -> Result<Page, Error> {
        put::check_tenant(tenant)?;
        let _permit = self.inner.reads.try_acquire().map_err(|_| Error::Busy)?;
        let started = Instant::now();
        let connection = self.inner.connection()?;
        let page = in_time(query::query(&connection, tenant, &filter, cursor.as_deref(), limit)).await?;
        metrics::queried(page.rows, started.elapsed());
        Ok(page)
    }

    /// Whether the cluster was reached, its schema is right, and it answers now.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn check(&self) -> Result<(), Error> {
        self.inner.connection()?.ping().await
    }

    /// Resolves once the cluster was reached for the first time.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn ready(&self) -> Result<(), Error> {
        let mut state = self.inner.state.clone();
        state.wait_for(|state| matches!(state, State::Open(_))).await.map(|_| ()).map_err(|_| Error::Closed)
    }

    /// Takes no more statements; those under way end.
    pub fn close(&self) {
        self.inner.connecting.abort();
        self.inner.statements.close();
    }
}

// === impl Inner ===

impl Inner {
    async fn put(&self, tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str) -> Result<Vec<u32>, Error> {
        put::check_tenant(tenant)?;
        let keep_h = put::keep_h(keep_h, self.retention_h)?;
        let bytes = events.len().clamp(PUT_BYTES_MIN, PUTS_BYTES);
        let _room = self.puts.try_acquire_many(u32::try_from(bytes).unwrap_or(u32::MAX)).map_err(|_| Error::Busy)?;
        let now_us = now_us();
        let put = Put::parse(claims, events, now_us)?;
        if put.rows.is_empty() {
            return Ok(Vec::new());
        }
        let connection = self.connection()?;
        let target = Target { connection: &connection, written: &self.written, tenant, keep_h, now_us };
        in_time(target.write(put)).await
    }

    fn connection(&self) -> Result<Arc<Connection>, Error> {
        if self.statements.is_closed() {
            return Err(Error::Closed);
        }
        match &*self.state.borrow() {
            State::Open(connection) => Ok(Arc::clone(connection)),
            State::Connecting(error) => Err(error.clone()),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connecting.abort();
    }
}

/// Tries until it succeeds. What a session loses later it finds again by itself.
async fn connect(options: Options, statements: Arc<Semaphore>, state: watch::Sender<State>) {
    let mut wait = CONNECT_WAIT_MIN;
    metrics::connected(false);
    loop {
        match Connection::open(&options, Arc::clone(&statements)).await {
            Ok(connection) => {
                info!(keyspace = options.keyspace, "the event store is open");
                metrics::connected(true);
                state.send_replace(State::Open(Arc::new(connection)));
                // Held, so that who waits for a change is not told that there will be none.
                return state.closed().await;
            }
            Err(error) => {
                warn!(%error, retry_ms = wait.as_millis(), "the event store can't be opened yet");
                state.send_replace(State::Connecting(error));
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(CONNECT_WAIT_MAX);
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(CALL_TIMEOUT, call).await.unwrap_or(Err(Error::Slow))
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
