//! Which rows of `days` this process wrote, so that it does not write one with every put.
//!
//! A row lives a day longer than the events it was written for, and is written again once that day has passed.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::layout::Partition;

/// Hours that a row of `days` outlives the events that it was written for.
pub const SLACK_H: u32 = 24;
/// Rows remembered. More than that are forgotten all at once, and written again.
const WRITTEN_MAX: usize = 100_000;

type Key = (String, Partition, u32);

/// Rows of `days`, each with the second that it was written.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<Key, u64>>);

// === impl Written ===

impl Written {
    /// Those of `partitions` whose row is to be written before events that are put at `now_s`.
    pub fn missing(&self, tenant: &str, keep_h: u32, partitions: &[Partition], now_s: u64) -> Vec<Partition> {
        let known = self.0.lock();
        let fresh = |partition: &Partition| {
            known
                .get(&(tenant.to_string(), *partition, keep_h))
                .is_some_and(|written_s| now_s < written_s + u64::from(SLACK_H) * 3600)
        };
        partitions.iter().filter(|partition| !fresh(partition)).copied().collect()
    }

    /// Remembers what was written at `now_s`.
    pub fn wrote(&self, tenant: &str, keep_h: u32, partitions: &[Partition], now_s: u64) {
        let mut known = self.0.lock();
        if known.len() + partitions.len() > WRITTEN_MAX {
            known.clear();
        }
        known.extend(partitions.iter().map(|partition| ((tenant.to_string(), *partition, keep_h), now_s)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Partition = Partition { day: 1, bucket: 1 };
    const TWO: Partition = Partition { day: 1, bucket: 2 };

    #[test]
    fn a_row_is_written_once_a_day() {
        let written = Written::default();
        assert_eq!(written.missing("a", 5, &[ONE, TWO], 1000), [ONE, TWO]);
        written.wrote("a", 5, &[ONE], 1000);
        assert_eq!(written.missing("a", 5, &[ONE, TWO], 1000 + 86_399), [TWO]);
        assert_eq!(written.missing("a", 5, &[ONE, TWO], 1000 + 86_400), [ONE, TWO]);
    }

    #[test]
    fn rows_of_others_and_of_other_lengths_are_others() {
        let written = Written::default();
        written.wrote("a", 5, &[ONE], 0);
        assert_eq!(written.missing("b", 5, &[ONE], 0), [ONE]);
        assert_eq!(written.missing("a", 6, &[ONE], 0), [ONE]);
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let written = Written::default();
        for day in 0..2 * WRITTEN_MAX {
            written.wrote("a", 5, &[Partition { day: day as i32, bucket: 0 }], 0);
        }
        assert!(written.0.lock().len() <= WRITTEN_MAX);
    }
}
