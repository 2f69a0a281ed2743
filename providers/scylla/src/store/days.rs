//! Which partitions a tenant has, newest day first, as the table `days` knows it.

use std::collections::VecDeque;

use super::connection::Connection;
use super::error::Error;
use super::layout::{Partition, BUCKETS};

/// Rows that are read at once.
const CHUNK: usize = 512;

/// The days that were not given yet.
pub struct Days {
    oldest: i32,
    newest: i32,
    /// Of whole days, newest first.
    known: VecDeque<Partition>,
    /// Nothing is left in the cluster.
    ended: bool,
}

// === impl Days ===

impl Days {
    /// Both inclusive.
    pub fn between(oldest: i32, newest: i32) -> Self {
        Self { oldest, newest, known: VecDeque::new(), ended: oldest > newest }
    }

    /// The partitions of the next days, so many that a busy day is alone and quiet ones are read together; none after
    /// the last.
    pub async fn next(&mut self, connection: &Connection, tenant: &str) -> Result<Vec<Partition>, Error> {
        let mut group: Vec<Partition> = Vec::new();
        loop {
            if self.known.is_empty() && !self.ended {
                self.read(connection, tenant).await?;
            }
            let Some(next) = self.known.front() else { return Ok(group) };
            if group.len() >= BUCKETS && group.last().is_some_and(|last| last.day != next.day) {
                return Ok(group);
            }
            group.extend(self.known.pop_front());
        }
    }

    async fn read(&mut self, connection: &Connection, tenant: &str) -> Result<(), Error> {
        let values = (tenant, self.newest, self.oldest, CHUNK as i32);
        let rows = connection.query(&connection.statements.scan_days, values).await?;
        let broken = || Error::Corrupt("a row of `days` that lacks a column");
        let mut found = Vec::new();
        for row in rows.rows::<(i32, i8)>().map_err(|_| broken())? {
            let (day, bucket) = row.map_err(|_| broken())?;
            found.push(Partition { day, bucket });
        }
        self.take(found);
        Ok(())
    }

    /// Takes what was read; a full chunk may have cut its last day.
    fn take(&mut self, mut found: Vec<Partition>) {
        let cut = (found.len() >= CHUNK).then(|| found.last().map(|last| last.day)).flatten();
        match cut {
            None => self.ended = true,
            // All rows are of one day (its events are kept for many lengths of time): look everywhere.
            Some(day) if found.first().is_some_and(|first| first.day == day) => {
                found = (0..BUCKETS as i8).map(|bucket| Partition { day, bucket }).collect();
                self.ended = day <= self.oldest;
                self.newest = day.saturating_sub(1);
            }
            Some(day) => {
                found.retain(|partition| partition.day != day);
                self.newest = day;
            }
        }
        found.dedup();
        self.known.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(days: impl IntoIterator<Item = i32>, each: usize) -> Vec<Partition> {
        days.into_iter()
            .flat_map(|day| (0..each).map(move |n| Partition { day, bucket: (n % BUCKETS) as i8 }))
            .collect()
    }

    #[test]
    fn a_short_answer_is_the_last() {
        let mut days = Days::between(0, 9);
        let mut found = partitions([9, 4], 2);
        // As rows that differ in how long events are kept.
        found.insert(0, found[0]);
        days.take(found);
        assert!(days.ended);
        assert_eq!(Vec::from(days.known), partitions([9, 4], 2));
    }

    #[test]
    fn a_day_that_may_be_cut_is_read_again() {
        let mut days = Days::between(0, 99);
        let mut found = partitions((0..=99).rev(), 6);
        found.truncate(CHUNK);
        days.take(found);
        assert_eq!((days.newest, days.ended), (14, false));
        assert_eq!(days.known.back(), Some(&Partition { day: 15, bucket: 5 }));
    }

    #[test]
    fn a_day_that_fills_an_answer_is_looked_at_everywhere() {
        let mut days = Days::between(0, 7);
        days.take(partitions([7], CHUNK));
        assert_eq!((days.newest, days.ended), (6, false));
        assert_eq!(Vec::from(days.known), partitions([7], BUCKETS));
    }
}
