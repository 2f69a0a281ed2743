//! Dropping what is older than the retention, a few puts at a time.
//!
//! Age counts from arrival, not from event time: an event of last year that came in today stays as long as any other.
//! Arrivals are walked from the oldest; each names the rows that it wrote, and those that are still its own go.

use std::time::Duration;

use super::engine::{read_arrival_key, Engine};
use super::error::Error;
use super::layout::read_arrival;

/// Where the walk stands.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Arrivals below are gone. A walk that began at the start would step over a tombstone for each.
    from_us: u64,
    /// Nothing expires before.
    next_us: u64,
}

// === impl Sweep ===

impl Sweep {
    /// Drops the events of at most `puts_max` expired puts; says how many events went.
    pub fn run(&mut self, engine: &Engine, now_us: u64, retention: Duration, puts_max: usize) -> Result<usize, Error> {
        if now_us < self.next_us {
            return Ok(0);
        }
        let retention_us = u64::try_from(retention.as_micros()).unwrap_or(u64::MAX);
        let mut events = 0;
        let mut oldest = engine.arrivals.range(self.from_us.to_be_bytes()..);
        for _ in 0..puts_max {
            let Some(arrival) = oldest.next() else {
                // What comes in from now on can't expire earlier.
                self.next_us = now_us.saturating_add(retention_us);
                return Ok(events);
            };
            let (key, value) = arrival.into_inner()?;
            let arrival_us = read_arrival_key(&key)?;
            let due_us = arrival_us.saturating_add(retention_us);
            if now_us < due_us {
                self.next_us = due_us;
                return Ok(events);
            }
            events += forget(engine, arrival_us, &value)?;
            self.from_us = arrival_us + 1;
        }
        Ok(events)
    }
}

/// Removes what the arrival wrote and nobody wrote over.
fn forget(engine: &Engine, arrival_us: u64, value: &[u8]) -> Result<usize, Error> {
    let (prefix, entries) = read_arrival(value).ok_or(Error::Corrupt("an arrival"))?;
    let snapshot = engine.snapshot();
    let mut batch = engine.batch(2 * value.len() / 24);
    let mut events = 0;
    for position in entries {
        let found = engine.find(&snapshot, &position.hash)?;
        if found.is_some_and(|found| found.arrival_us == arrival_us) {
            batch.remove(&engine.lookup, position.hash);
            batch.remove(&engine.events, prefix.event(&position));
            events += 1;
        } else if found.is_none_or(|found| found.time_us != position.time_us) {
            // It moved to another time since: this row has been out of sight all along.
            batch.remove(&engine.events, prefix.event(&position));
        }
    }
    batch.remove(&engine.arrivals, arrival_us.to_be_bytes());
    batch.commit()?;
    Ok(events)
}
