//! A put's way into the cluster: claims are read, then the index is written, then the events.

use std::future::Future;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::connection::Connection;
use super::error::Error;
use super::layout::Partition;
use super::put::{Put, Row};
use super::written::{Written, SLACK_H};

/// Statements of one put under way at once.
const PUT_STATEMENTS: usize = 128;
/// Rows of a partition that are written together. Their keys are what counts: Cassandra warns of batches over 5 KiB and
/// refuses those over 50.
const TOGETHER_BYTES: usize = 4 << 10;
/// What a row has beside its texts, about.
const ROW_BYTES: usize = 64;

/// Where and for how long a put's events are written.
pub struct Target<'a> {
    pub connection: &'a Connection,
    pub written: &'a Written,
    pub tenant: &'a str,
    pub keep_h: u32,
    pub now_us: i64,
}

/// What is known of an event by its claim.
struct Known {
    claim: u64,
    time_us: i64,
}

// === impl Target ===

impl Target<'_> {
    /// Writes what no other claim holds. Returns the places of the rest, ascending.
    pub async fn write(&self, put: Put<'_>) -> Result<Vec<u32>, Error> {
        let Put { rows, repeated: mut left } = put;
        let known = all(rows.iter().map(|row| self.find(row)).collect()).await?;
        let mut mine = Vec::with_capacity(rows.len());
        for (mut row, known) in rows.into_iter().zip(known) {
            match known {
                Some(known) if known.claim != row.claim => left.push(row.index),
                // A repeat of the same work leaves an event without a time where it is.
                Some(known) if !row.timed => {
                    row.place.time_us = known.time_us;
                    mine.push(row);
                }
                _ => mine.push(row),
            }
        }
        self.index(&mine).await?;
        all(mine.iter().map(|row| self.put(row)).collect()).await?;
        left.sort_unstable();
        Ok(left)
    }

    async fn find(&self, row: &Row<'_>) -> Result<Option<Known>, Error> {
        let place = &row.place;
        let statement = &self.connection.statements.find_claim;
        let rows = self.connection.query(statement, (self.tenant, &place.source, &place.id)).await?;
        let found =
            rows.maybe_first_row::<(i64, i64)>().map_err(|_| Error::Corrupt("an event without a claim or a time"))?;
        Ok(found.map(|(claim, time_us)| Known { claim: claim.cast_unsigned(), time_us }))
    }

    /// The rows by time, and before them those that say where to look for them.
    async fn index(&self, rows: &[Row<'_>]) -> Result<(), Error> {
        let mut by_partition: Vec<(Partition, &Row<'_>)> =
            rows.iter().map(|row| (row.place.partition(), row)).collect();
        by_partition.sort_by_key(|(partition, _)| *partition);
        let mut partitions: Vec<Partition> = by_partition.iter().map(|(partition, _)| *partition).collect();
        partitions.dedup();
        self.write_days(&partitions).await?;
        all(together(&by_partition).into_iter().map(|group| self.put_index(group)).collect()).await?;
        Ok(())
    }

    async fn write_days(&self, partitions: &[Partition]) -> Result<(), Error> {
        let now_s = u64::try_from(self.now_us / 1_000_000).unwrap_or_default();
        let missing = self.written.missing(self.tenant, self.keep_h, partitions, now_s);
        let ttl_s = ttl_s(self.keep_h + SLACK_H);
        let keep_h = self.keep_h.cast_signed();
        let put = |Partition { day, bucket }: &Partition| {
            let values = (self.tenant, *day, *bucket, keep_h, ttl_s);
            self.connection.execute(&self.connection.statements.put_day, values)
        };
        all(missing.iter().map(put).collect()).await?;
        self.written.wrote(self.tenant, self.keep_h, &missing, now_s);
        Ok(())
    }

    async fn put_index(&self, group: &[(Partition, &Row<'_>)]) -> Result<(), Error> {
        let ttl_s = ttl_s(self.keep_h);
        let values = |(partition, row): &(Partition, &Row<'_>)| {
            let place = row.place.clone();
            let Partition { day, bucket } = *partition;
            (self.tenant.to_string(), day, bucket, place.time_us, place.source, place.id, row.event_type.clone(), ttl_s)
        };
        let statement = &self.connection.statements.put_index;
        match group {
            [one] => self.connection.execute(statement, values(one)).await,
            many => self.connection.execute_together(statement, many.iter().map(values).collect()).await,
        }
    }

    async fn put(&self, row: &Row<'_>) -> Result<(), Error> {
        let place = &row.place;
        let claim = row.claim.cast_signed();
        let values = (self.tenant, &place.source, &place.id, claim, place.time_us, row.text, ttl_s(self.keep_h));
        self.connection.execute(&self.connection.statements.put_event, values).await
    }
}

/// Runs all, some at once. The first error ends it.
async fn all<T>(statements: Vec<impl Future<Output = Result<T, Error>>>) -> Result<Vec<T>, Error> {
    stream::iter(statements).buffered(PUT_STATEMENTS).try_collect().await
}

/// Groups of neighbours in the same partition, none larger than the cluster likes to take at once.
fn together<'a, 'b>(rows: &'a [(Partition, &'b Row<'b>)]) -> Vec<&'a [(Partition, &'b Row<'b>)]> {
    let bytes = |row: &Row<'_>| ROW_BYTES + row.place.source.len() + row.place.id.len() + row.event_type.len();
    let mut groups = Vec::new();
    for partition in rows.chunk_by(|(a, _), (b, _)| a == b) {
        let mut rest = partition;
        while !rest.is_empty() {
            let mut sum = 0;
            let fits = rest.iter().take_while(|(_, row)| {
                sum += bytes(row);
                sum <= TOGETHER_BYTES
            });
            let (group, after) = rest.split_at(fits.count().max(1));
            groups.push(group);
            rest = after;
        }
    }
    groups
}

fn ttl_s(hours: u32) -> i32 {
    i32::try_from(u64::from(hours) * 3600).unwrap_or(i32::MAX)
}
