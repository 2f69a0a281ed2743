//! Dropping what was kept long enough, a few puts at a time.
//!
//! Age counts from arrival, not from event time: an event of last year that came in today stays as long as any other.
//! Dues are walked from the oldest; each names the rows that its put wrote, and those that are still its own go.

use super::engine::{read_due_key, Engine};
use super::error::Error;
use super::layout::read_due;

/// Where the walk stands.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Dues below are gone. A walk that began at the start would step over a tombstone for each.
    from_us: u64,
    /// Nothing expires before.
    next_us: u64,
}

// === impl Sweep ===

impl Sweep {
    /// A put that is due then was written.
    pub fn note(&mut self, due_us: u64) {
        self.from_us = self.from_us.min(due_us);
        self.next_us = self.next_us.min(due_us);
    }

    /// Drops the events of at most `puts_max` puts that are due; says how many events went.
    pub fn run(&mut self, engine: &Engine, now_us: u64, puts_max: usize) -> Result<usize, Error> {
        if now_us < self.next_us {
            return Ok(0);
        }
        let mut events = 0;
        let mut oldest = engine.dues.range(self.from_us.to_be_bytes()..);
        for _ in 0..puts_max {
            let Some(due) = oldest.next() else {
                self.next_us = u64::MAX;
                return Ok(events);
            };
            let (key, value) = due.into_inner()?;
            let due_us = read_due_key(&key)?;
            if now_us < due_us {
                self.next_us = due_us;
                return Ok(events);
            }
            events += forget(engine, due_us, &value)?;
            self.from_us = due_us + 1;
        }
        Ok(events)
    }
}

/// Removes what the put wrote and nobody wrote over.
fn forget(engine: &Engine, due_us: u64, value: &[u8]) -> Result<usize, Error> {
    let (prefix, entries) = read_due(value).ok_or(Error::Corrupt("a due"))?;
    let snapshot = engine.snapshot();
    let mut batch = engine.batch(2 * value.len() / 24);
    let mut events = 0;
    for position in entries {
        let found = engine.find(&snapshot, &position.hash)?;
        if found.is_some_and(|found| found.due_us == due_us) {
            batch.remove(&engine.lookup, position.hash);
            batch.remove(&engine.events, prefix.event(&position));
            events += 1;
        } else if found.is_none_or(|found| found.time_us != position.time_us) {
            // It moved to another time since: this row has been out of sight all along.
            batch.remove(&engine.events, prefix.event(&position));
        }
    }
    batch.remove(&engine.dues, due_us.to_be_bytes());
    batch.commit()?;
    Ok(events)
}
