//! Several partitions of the index as one sequence, newest first.

use std::collections::VecDeque;

use futures::future::try_join_all;

use super::connection::Connection;
use super::error::Error;
use super::layout::{Partition, Place};

/// A row of the index.
#[derive(Debug)]
pub struct Entry {
    pub place: Place,
    pub event_type: String,
}

/// The walk through some partitions.
pub struct Merge<'a> {
    connection: &'a Connection,
    tenant: &'a str,
    /// Nothing before this.
    from_us: i64,
    /// Rows that are asked for at once, of one partition.
    chunk: usize,
    runs: Vec<Run>,
    /// How often a partition was asked.
    pub reads: usize,
}

/// What is left of one partition.
struct Run {
    partition: Partition,
    entries: VecDeque<Entry>,
    /// Everything from here on was looked at.
    below: Place,
    ended: bool,
}

// === impl Merge ===

impl<'a> Merge<'a> {
    /// Of nothing yet; `chunk` rows of a partition are read at once.
    pub fn new(connection: &'a Connection, tenant: &'a str, from_us: i64, chunk: usize) -> Self {
        Self { connection, tenant, from_us, chunk, runs: Vec::new(), reads: 0 }
    }

    /// Goes on with the rows of `partitions` below `below`, once the ones before are through.
    pub fn open(&mut self, partitions: &[Partition], below: &Place) {
        let run = |partition: &Partition| Run {
            partition: *partition,
            entries: VecDeque::new(),
            below: below.clone(),
            ended: false,
        };
        self.runs = partitions.iter().map(run).collect();
    }

    /// The newest row that was not given yet, or none.
    pub async fn next(&mut self) -> Result<Option<Entry>, Error> {
        self.fill().await?;
        let newest = self
            .runs
            .iter_mut()
            .filter(|run| !run.entries.is_empty())
            .max_by(|a, b| a.entries.front().map(|e| &e.place).cmp(&b.entries.front().map(|e| &e.place)));
        Ok(newest.and_then(|run| run.entries.pop_front()))
    }

    /// Asks every partition of which nothing is left in memory, and more may be in the cluster.
    async fn fill(&mut self) -> Result<(), Error> {
        let (connection, tenant, from_us, chunk) = (self.connection, self.tenant, self.from_us, self.chunk);
        let empty = self.runs.iter_mut().filter(|run| run.entries.is_empty() && !run.ended);
        let reads = try_join_all(empty.map(|run| run.read(connection, tenant, from_us, chunk))).await?;
        self.reads += reads.len();
        Ok(())
    }
}

// === impl Run ===

impl Run {
    async fn read(&mut self, connection: &Connection, tenant: &str, from_us: i64, chunk: usize) -> Result<(), Error> {
        let Partition { day, bucket } = self.partition;
        let Place { time_us, source, id } = &self.below;
        let limit = i32::try_from(chunk).unwrap_or(i32::MAX);
        let values = (tenant, day, bucket, *time_us, source, id, from_us, limit);
        let rows = connection.query(&connection.statements.scan_index, values).await?;
        let broken = || Error::Corrupt("a row of events_by_time that lacks a column");
        for row in rows.rows::<(i64, String, String, String)>().map_err(|_| broken())? {
            let (time_us, source, id, event_type) = row.map_err(|_| broken())?;
            self.entries.push_back(Entry { place: Place { time_us, source, id }, event_type });
        }
        self.ended = self.entries.len() < chunk;
        if let Some(last) = self.entries.back() {
            self.below = last.place.clone();
        }
        Ok(())
    }
}
