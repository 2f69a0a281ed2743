//! What is still kept. The tables drop whole months ([deploy/clickhouse](../../../deploy/clickhouse)); a question that
//! reaches back to a dropped one is refused, for its sums would be too small, and a sum that is too small would be
//! credited to the tenant as a correction.

use er_metering::{Time, Window};

/// Months kept, the running one included. In the SQL: a month goes this many months after its begin.
const MONTHS: u32 = 15;

/// The begin of the first month that is kept.
pub fn kept_from(now: Time) -> Time {
    let mut month = Window::Month.start(now);
    for _ in 1..MONTHS {
        // The month before is where the moment before this one's begin is; before 1970 there is none.
        let Ok(before) = month.plus_us(-1) else { return Time::MIN };
        month = Window::Month.start(before);
    }
    month
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::FILES;

    #[test]
    fn the_running_month_and_fourteen_before_it_are_kept() {
        for (now, from) in [
            ("2026-11-24T12:00:00Z", "2025-09-01T00:00:00Z"),
            ("2026-02-01T00:00:00Z", "2024-12-01T00:00:00Z"),
            ("2026-01-31T23:59:59Z", "2024-11-01T00:00:00Z"),
            ("1970-03-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(kept_from(Time::parse(now).unwrap()), Time::parse(from).unwrap(), "{now}");
        }
    }

    #[test]
    fn every_table_of_usage_says_the_same() {
        let ttls: Vec<&str> =
            FILES.iter().flat_map(|file| file.sql.lines()).filter(|line| line.starts_with("TTL ")).collect();
        assert_eq!(ttls.len(), 2);
        assert!(ttls.iter().all(|ttl| ttl.ends_with(&format!("+ INTERVAL {MONTHS} MONTH"))), "{ttls:?}");
    }
}
