//! Where an event lies: its place in time, its partition, its day. What is said here is part of the schema: a change
//! of it would lose sight of what is stored.

use er_event::event::hash64;

/// Partitions of a tenant's day.
pub const BUCKETS: usize = 16;
/// Hours that anything may be kept: ten years. The protocol ends at twenty.
pub const KEEP_H_MAX: u32 = 87_600;

const DAY_US: i64 = 86_400_000_000;

/// An event's place among a tenant's, ordered as the rows of a partition are, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub time_us: i64,
    pub source: String,
    pub id: String,
}

/// A partition of a tenant's events by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    pub day: i32,
    pub bucket: i8,
}

// === impl Place ===

impl Place {
    /// Below every event of this time, above every earlier one.
    pub fn floor(time_us: i64) -> Self {
        Self { time_us, source: String::new(), id: String::new() }
    }

    pub fn partition(&self) -> Partition {
        Partition { day: day(self.time_us), bucket: bucket(&self.source, &self.id) }
    }
}

/// The day of a time, counted from 1970 (UTC); the furthest day for times beyond all that RFC 3339 can say.
pub fn day(time_us: i64) -> i32 {
    i32::try_from(time_us.div_euclid(DAY_US)).unwrap_or(if time_us < 0 { i32::MIN } else { i32::MAX })
}

/// When a day begins.
pub fn day_start_us(day: i32) -> i64 {
    i64::from(day).saturating_mul(DAY_US)
}

fn bucket(source: &str, id: &str) -> i8 {
    i8::try_from(hash64(&[source, id]) % BUCKETS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_midnight_on_both_sides_of_1970() {
        for (time_us, want) in [(0, 0), (-1, -1), (DAY_US - 1, 0), (DAY_US, 1), (-DAY_US, -1), (-DAY_US - 1, -2)] {
            assert_eq!(day(time_us), want, "{time_us}");
            assert!(day_start_us(want) <= time_us && time_us < day_start_us(want + 1));
        }
    }

    /// If this fails, events that are stored can't be found any more: don't mend the numbers.
    #[test]
    fn buckets_never_change() {
        let buckets = ["1", "2", "3", "4"].map(|id| bucket("/s", id));
        assert_eq!(buckets, [11, 11, 0, 1]);
    }

    #[test]
    fn a_busy_source_lies_in_all_buckets_evenly() {
        let mut counts = [0_u32; BUCKETS];
        for n in 0..16_000 {
            counts[usize::try_from(bucket("/device", &n.to_string())).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn places_sort_by_time_then_source_then_id() {
        let at = |time_us, source: &str, id: &str| Place { time_us, source: source.into(), id: id.into() };
        let places =
            [at(-1, "z", "z"), Place::floor(0), at(0, "", "a"), at(0, "a", ""), at(0, "ä", "0"), at(1, "", "")];
        assert!(places.is_sorted());
    }
}
