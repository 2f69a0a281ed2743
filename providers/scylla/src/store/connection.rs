//! The session with the cluster: prepared statements, and how one is run: bounded, in time, again where that may help.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::serialize::batch::BatchValues;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Semaphore;

use super::error::Error;
use super::options::Options;
use super::{metrics, schema};

/// How often a statement is sent again that the cluster may take the next time, beside what the driver's own policy
/// does on other nodes.
const RETRIES_MAX: u32 = 2;
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// An open session with a keyspace whose schema is up to date.
pub struct Connection {
    session: Session,
    pub statements: Statements,
    room: Arc<Semaphore>,
}

/// Each may be repeated without harm.
pub struct Statements {
    /// The event, its claim and its time: what makes it count.
    pub put_event: PreparedStatement,
    pub put_index: PreparedStatement,
    pub put_day: PreparedStatement,
    pub find_claim: PreparedStatement,
    pub get_event: PreparedStatement,
    pub scan_index: PreparedStatement,
    pub scan_days: PreparedStatement,
    ping: PreparedStatement,
}

/// An event as it is stored.
pub struct Event {
    /// Where its row by time lies.
    pub time_us: i64,
    pub text: String,
}

// === impl Connection ===

impl Connection {
    /// Connects, brings the schema up to date, prepares.
    pub async fn open(options: &Options, room: Arc<Semaphore>) -> Result<Self, Error> {
        let session = options.connect().await?;
        schema::migrate(&session, &options.keyspace, &options.replication).await?;
        let statements = Statements::prepare(&session).await?;
        Ok(Self { session, statements, room })
    }

    /// Runs a statement that has no rows for an answer.
    pub async fn execute(&self, statement: &PreparedStatement, values: impl SerializeRow) -> Result<(), Error> {
        self.repeat(|| self.session.execute_unpaged(statement, &values)).await.map(|_| ())
    }

    /// Runs a query. Its statement has a limit, so that the answer does too.
    pub async fn query(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, Error> {
        let result = self.repeat(|| self.session.execute_unpaged(statement, &values)).await?;
        result.into_rows_result().map_err(|error| Error::Refused(error.to_string()))
    }

    /// Runs a statement with several rows of the same partition as one write.
    pub async fn execute_together<V>(&self, statement: &PreparedStatement, rows: Vec<V>) -> Result<(), Error>
    where
        Vec<V>: BatchValues,
    {
        let mut batch = Batch::new_with_statements(
            BatchType::Unlogged,
            vec![BatchStatement::PreparedStatement(statement.clone()); rows.len()],
        );
        batch.set_is_idempotent(true);
        self.repeat(|| self.session.batch(&batch, &rows)).await.map(|_| ())
    }

    /// The event by its key.
    pub async fn event(&self, tenant: &str, source: &str, id: &str) -> Result<Option<Event>, Error> {
        let rows = self.query(&self.statements.get_event, (tenant, source, id)).await?;
        let row =
            rows.maybe_first_row::<(i64, String)>().map_err(|_| Error::Corrupt("an event without text or time"))?;
        Ok(row.map(|(time_us, text)| Event { time_us, text }))
    }

    /// Whether the cluster answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.session.execute_unpaged(&self.statements.ping, ()).await?;
        Ok(())
    }

    async fn repeat<F, Fut>(&self, send: F) -> Result<QueryResult, Error>
    where
        F: Fn() -> Fut,
        Fut: std::future::Future<Output = Result<QueryResult, scylla::errors::ExecutionError>>,
    {
        let mut attempt = 0;
        loop {
            let permit = self.room.acquire().await.map_err(|_| Error::Closed)?;
            let error = match send().await {
                Ok(result) => return Ok(result),
                Err(error) => Error::from(error),
            };
            drop(permit);
            if !error.passes() || attempt == RETRIES_MAX {
                return Err(error);
            }
            metrics::retried(error.word());
            tokio::time::sleep(RETRY_WAIT * 2_u32.pow(attempt)).await;
            attempt += 1;
        }
    }
}

// === impl Statements ===

impl Statements {
    async fn prepare(session: &Session) -> Result<Self, Error> {
        let prepare = async |text: &str| {
            let mut statement = session.prepare(text).await?;
            statement.set_is_idempotent(true);
            Ok::<_, Error>(statement)
        };
        Ok(Self {
            put_event: prepare(
                "INSERT INTO events_by_key (tenant, source, id, claim, time_us, event) VALUES (?, ?, ?, ?, ?, ?) USING TTL ?",
            )
            .await?,
            put_index: prepare(
                "INSERT INTO events_by_time (tenant, day, bucket, time_us, source, id, type) VALUES (?, ?, ?, ?, ?, ?, ?) \
                 USING TTL ?",
            )
            .await?,
            put_day: prepare("INSERT INTO days (tenant, day, bucket, keep_h) VALUES (?, ?, ?, ?) USING TTL ?").await?,
            find_claim: prepare(
                "SELECT claim, time_us FROM events_by_key WHERE tenant = ? AND source = ? AND id = ? LIMIT 1",
            )
            .await?,
            get_event: prepare(
                "SELECT time_us, event FROM events_by_key WHERE tenant = ? AND source = ? AND id = ? LIMIT 1",
            )
            .await?,
            scan_index: prepare(
                "SELECT time_us, source, id, type FROM events_by_time WHERE tenant = ? AND day = ? AND bucket = ? \
                 AND (time_us, source, id) < (?, ?, ?) AND (time_us) >= (?) LIMIT ?",
            )
            .await?,
            scan_days: prepare("SELECT day, bucket FROM days WHERE tenant = ? AND day <= ? AND day >= ? LIMIT ?").await?,
            ping: prepare("SELECT key FROM system.local LIMIT 1").await?,
        })
    }
}
