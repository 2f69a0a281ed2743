//! Which months are to be closed, asked by whoever happens to pass.

use crate::limits::PERIODS_DUE_MAX;
use crate::{Period, Time, Window};

/// The months from the one that `closed_until` is in that were over `grace_us` before `now`, oldest first.
///
/// `closed_until` is the end of the last month that was closed, or the begin of the subscription. Every batch of usage
/// records can ask this with its own time of arrival, so months close wherever anything happens, without a timer; a
/// tenant without usage is closed by the usage of others. Asked twice it answers the same, and drafting is idempotent,
/// so two who ask at once do no harm. The grace lets stragglers be usage rather than corrections.
pub fn close_due(now: Time, closed_until: Time, grace_us: u64) -> Vec<Period> {
    let grace_us = i64::try_from(grace_us).unwrap_or(i64::MAX);
    let over = now.us().saturating_sub(grace_us);
    let mut due = Vec::new();
    let mut from = Window::Month.start(closed_until);
    while due.len() < PERIODS_DUE_MAX {
        let Ok(month) = Window::Month.of(from) else { break };
        if month.to().us() > over {
            break;
        }
        due.push(month);
        from = month.to();
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(now: &str, closed_until: &str) -> Vec<String> {
        let at = |text: &str| Time::parse(text).unwrap();
        let months = close_due(at(now), at(closed_until), 3_600_000_000);
        months.into_iter().map(Period::month_label).collect()
    }

    #[test]
    fn a_month_is_due_when_it_and_the_grace_are_over() {
        assert_eq!(due("2024-03-01T00:59:59.999999Z", "2024-02-01T00:00:00Z"), [""; 0]);
        assert_eq!(due("2024-03-01T01:00:00Z", "2024-02-01T00:00:00Z"), ["2024-02"]);
        assert_eq!(due("2024-03-01T01:00:00Z", "2024-03-01T00:00:00Z"), [""; 0], "it is closed already");
        assert_eq!(due("2024-03-01T01:00:00Z", "2024-02-10T12:00:00Z"), ["2024-02"], "it began amid the month");
    }

    #[test]
    fn months_without_anybody_passing_are_made_up_for() {
        assert_eq!(due("2024-02-29T00:00:00Z", "2023-11-01T00:00:00Z"), ["2023-11", "2023-12", "2024-01"]);
        assert_eq!(due("9999-12-31T00:00:00Z", "1970-01-01T00:00:00Z").len(), PERIODS_DUE_MAX);
        assert_eq!(due("9999-12-31T23:59:59Z", "9999-12-01T00:00:00Z"), [""; 0]);
        assert_eq!(due("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"), [""; 0]);
    }
}
