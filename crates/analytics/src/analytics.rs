//! The interface `analytics`, whatever the engine.

use std::sync::Arc;

use er_event::limits::BATCH_BYTES_MAX;
use tokio::time::{timeout, Instant};

use crate::block::Row;
use crate::buffer::Buffer;
use crate::engine::Engine;
use crate::error::Error;
use crate::metrics;
use crate::options::Options;
use crate::retention::kept_from;
use crate::schema::Schema;
use crate::usage::Question;

/// Usage records, in and out. The database is brought up to date before the first statement, whenever the engine can be
/// reached for it.
#[derive(Debug)]
pub struct Analytics<E> {
    engine: Arc<E>,
    schema: Arc<Schema>,
    buffer: Buffer,
    options: Options,
}

// === impl Analytics ===

impl<E: Engine> Analytics<E> {
    pub fn start(engine: E, options: Options) -> Self {
        let (engine, schema) = (Arc::new(engine), Arc::new(Schema::default()));
        let buffer = Buffer::start(Arc::clone(&engine), Arc::clone(&schema), options.clone());
        Self { engine, schema, buffer, options }
    }

    /// Brings the database up to date, if it can be reached: what is wrong with it is better told at the start than at
    /// the first call, which tries again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn prepare(&self) -> Result<(), Error> {
        let late = |_| Error::Late(self.options.query_timeout.as_millis());
        timeout(self.options.query_timeout, self.schema.ensure(&*self.engine)).await.map_err(late)?
    }

    /// Adds records, a line of JSON each. They are on the disk when this returns `Ok`.
    ///
    /// # Errors
    /// See [`Error`]. None of the records were added, or nobody knows; adding them again is harmless.
    pub async fn insert(&self, records: &str) -> Result<(), Error> {
        let result = self.insert_lines(records).await;
        result.inspect_err(|error| metrics::refused("insert", error.word()))
    }

    async fn insert_lines(&self, records: &str) -> Result<(), Error> {
        if records.len() > BATCH_BYTES_MAX {
            return Err(Error::Invalid(format!(
                "records: {} bytes, and {BATCH_BYTES_MAX} are the most",
                records.len()
            )));
        }
        self.buffer.insert(Row::parse_lines(records)?, records.len()).await
    }

    /// What a tenant used, by window, as JSON.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn usage(&self, tenant: &str, from_us: u64, to_us: u64, window: &str) -> Result<String, Error> {
        let started = Instant::now();
        let result = self.ask(tenant, from_us, to_us, window).await;
        metrics::asked(started.elapsed());
        result.inspect_err(|error| metrics::refused("usage", error.word()))
    }

    async fn ask(&self, tenant: &str, from_us: u64, to_us: u64, window: &str) -> Result<String, Error> {
        let question = Question::new(tenant, from_us, to_us, window)?;
        let kept_from = kept_from((self.options.clock)());
        if question.from() < kept_from {
            return Err(Error::Gone { kept_from });
        }
        // Nobody waits for what comes later; the engine need not go on with it either.
        let statement = question.statement(self.options.query_timeout.as_secs().max(1));
        let asked = async {
            self.schema.ensure(&*self.engine).await?;
            match self.engine.run(statement).await {
                Ok(answer) => question.json(&answer),
                Err(failure) => {
                    if failure.lacks_schema() {
                        self.schema.forget().await;
                    }
                    Err(failure.into())
                }
            }
        };
        let late = |_| Error::Late(self.options.query_timeout.as_millis());
        timeout(self.options.query_timeout, asked).await.map_err(late)?
    }

    /// Takes no more records, and returns when those that wait are in, or were tried.
    pub async fn close(&self) {
        self.buffer.close().await;
    }

    pub fn engine(&self) -> &E {
        &self.engine
    }
}
