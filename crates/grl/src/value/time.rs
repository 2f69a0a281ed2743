//! Points in time, in UTC, and their parts.

/// Seconds and nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    pub seconds: i64,
    /// Below a thousand million.
    pub nanos: u32,
}

/// A time of the calendar. Months and days count from 1; weekdays from Sunday, 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
    pub(crate) weekday: i64,
    pub(crate) year_day: i64,
}

const DAY_SECONDS: i64 = 86_400;
/// Years that a time can have; beyond them sums could overflow.
const YEARS_MAX: i64 = 200_000_000;

// === impl Time ===

impl Time {
    /// The first day of year 1, which Go calls the zero time.
    pub(crate) const ZERO: Time = Time { seconds: -62_135_596_800, nanos: 0 };

    /// The time of these parts; those out of range carry over, as month 13 does. None beyond what can be counted.
    pub fn new(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<Time> {
        let months = year.checked_mul(12)?.checked_add(month.checked_sub(1)?)?;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        if year.abs() > YEARS_MAX {
            return None;
        }
        let days = days_of(year, month, 1).checked_add(day.checked_sub(1)?)?;
        let seconds = days.checked_mul(DAY_SECONDS)?;
        let clock = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
        Some(Time { seconds: seconds.checked_add(clock)?, nanos: 0 })
            .filter(|time| time.seconds.abs() < YEARS_MAX * 366 * DAY_SECONDS)
    }

    pub(crate) fn parts(self) -> Parts {
        let days = self.seconds.div_euclid(DAY_SECONDS);
        let clock = self.seconds.rem_euclid(DAY_SECONDS);
        let (year, month, day) = date_of(days);
        Parts {
            year,
            month,
            day,
            hour: clock / 3600,
            minute: clock / 60 % 60,
            second: clock % 60,
            weekday: (days + 4).rem_euclid(7),
            year_day: days - days_of(year, 1, 1) + 1,
        }
    }

    pub fn rfc3339(self) -> String {
        let Parts { year, month, day, hour, minute, second, .. } = self.parts();
        let sign = if year < 0 { "-" } else { "" };
        let year = year.abs();
        format!("{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// With the fraction, if it has one, without zeros at its end.
    pub fn rfc3339_nano(self) -> String {
        let mut text = self.rfc3339();
        if self.nanos != 0 {
            text.pop();
            let fraction = format!(".{:09}", self.nanos);
            text.push_str(fraction.trim_end_matches('0'));
            text.push('Z');
        }
        text
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years start in March here, so that the leap day is their last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_out_of_range_carry_over() {
        let text = |y, mo, d, h, mi, s| Time::new(y, mo, d, h, mi, s).unwrap().rfc3339();
        assert_eq!(text(2023, 0, 1, 0, 0, 0), "2022-12-01T00:00:00Z");
        assert_eq!(text(2024, 2, 30, 25, 61, 61), "2024-03-02T02:02:01Z");
        assert_eq!(text(2023, 3, 1, -1, 0, 0), "2023-02-28T23:00:00Z");
        assert_eq!(text(1, 1, 1, 0, 0, 0), "0001-01-01T00:00:00Z");
        assert_eq!(Time::new(1, 1, 1, 0, 0, 0), Some(Time::ZERO));
        assert_eq!(Time::new(i64::MAX, 1, 1, 0, 0, 0), None);
        assert_eq!(Time::new(2000, 1, i64::MAX, 0, 0, 0), None);
    }

    #[test]
    fn every_day_of_nine_centuries_comes_back() {
        let mut days = days_of(1599, 12, 31);
        let mut before = date_of(days);
        while before.0 < 2500 {
            days += 1;
            let (year, month, day) = date_of(days);
            assert_eq!(days_of(year, month, day), days);
            assert!(day == before.2 + 1 || day == 1 && (month == before.1 + 1 || month == 1 && year == before.0 + 1));
            before = (year, month, day);
        }
    }

    #[test]
    fn a_day_knows_its_place() {
        let parts = Time::new(2026, 11, 24, 13, 45, 59).unwrap().parts();
        assert_eq!((parts.weekday, parts.year_day, parts.hour, parts.minute, parts.second), (2, 328, 13, 45, 59));
        assert_eq!(Time { seconds: 0, nanos: 120_000_000 }.rfc3339_nano(), "1970-01-01T00:00:00.12Z");
    }
}
