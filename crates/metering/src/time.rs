//! Moments, and the windows they fall in: minutes, hours, days and calendar months of UTC. Nothing here knows the clock.

use std::fmt;

use er_event::event::{rfc3339_us, time_us};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
/// The last moment that four digits of a year can say.
const MAX_US: i64 = 253_402_300_800_000_000 - 1;

/// A moment from 1970 to 9999: microseconds since 1970-01-01T00:00:00Z. In JSON, RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

/// How long a window is. Every moment is in exactly one window of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Window {
    Minute,
    Hour,
    Day,
    Month,
}

/// From a moment to before another: [from, to). Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Ends", into = "Ends")]
pub struct Period {
    from: Time,
    to: Time,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Ends {
    from: Time,
    to: Time,
}

// === impl Time ===

impl Time {
    pub const MIN: Time = Time(0);
    pub const MAX: Time = Time(MAX_US);

    pub fn from_us(us: i64) -> Result<Self> {
        if (0..=MAX_US).contains(&us) {
            Ok(Time(us))
        } else {
            Err(Error::Time(format!("{us} µs")))
        }
    }

    pub fn parse(text: &str) -> Result<Self> {
        time_us(text).and_then(|us| Self::from_us(us).ok()).ok_or_else(|| Error::Time(format!("{text:?}")))
    }

    pub const fn us(self) -> i64 {
        self.0
    }

    pub fn plus_us(self, us: i64) -> Result<Self> {
        Self::from_us(self.0.saturating_add(us))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&rfc3339_us(self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

// === impl Window ===

impl Window {
    pub const ALL: [Window; 4] = [Window::Minute, Window::Hour, Window::Day, Window::Month];

    pub fn name(self) -> &'static str {
        match self {
            Window::Minute => "minute",
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Month => "month",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    /// The first moment of the window that `time` is in.
    pub fn start(self, time: Time) -> Time {
        let within = |width: i64| Time(time.0.saturating_sub(time.0.checked_rem(width).unwrap_or_default()));
        match self {
            Window::Minute => within(MINUTE_US),
            Window::Hour => within(HOUR_US),
            Window::Day => within(DAY_US),
            // The calendar is in the text: its first seven letters are the year and the month.
            Window::Month => {
                let text = rfc3339_us(time.0);
                let first = text.get(..7).and_then(|month| time_us(&format!("{month}-01T00:00:00Z")));
                Time(first.unwrap_or(time.0))
            }
        }
    }

    /// The first moment after the window that `time` is in.
    pub fn end(self, time: Time) -> Result<Time> {
        let start = self.start(time);
        match self {
            Window::Minute => start.plus_us(MINUTE_US),
            Window::Hour => start.plus_us(HOUR_US),
            Window::Day => start.plus_us(DAY_US),
            // 31 days after the first of any month it is one of the first four days of the next.
            Window::Month => Ok(self.start(start.plus_us(31 * DAY_US)?)),
        }
    }

    /// The window that `time` is in.
    pub fn of(self, time: Time) -> Result<Period> {
        Period::new(self.start(time), self.end(time)?)
    }

    /// Whether a window begins then.
    pub fn begins_at(self, time: Time) -> bool {
        self.start(time) == time
    }
}

// === impl Period ===

impl Period {
    pub fn new(from: Time, to: Time) -> Result<Self> {
        if from < to {
            Ok(Period { from, to })
        } else {
            Err(Error::Period { from: from.to_string(), to: to.to_string() })
        }
    }

    /// A calendar month, as in `2026-03`.
    pub fn month(text: &str) -> Result<Self> {
        Window::Month.of(Time::parse(&format!("{text}-01T00:00:00Z")).map_err(|_| Error::Time(format!("{text:?}")))?)
    }

    pub fn from(self) -> Time {
        self.from
    }

    pub fn to(self) -> Time {
        self.to
    }

    pub fn contains(self, time: Time) -> bool {
        self.from <= time && time < self.to
    }

    /// Whether every moment of `other` is in this period.
    pub fn holds(self, other: Period) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// What both have.
    pub fn overlap(self, other: Period) -> Option<Period> {
        Period::new(self.from.max(other.from), self.to.min(other.to)).ok()
    }

    /// Whole minutes in it.
    pub fn minutes(self) -> u64 {
        u64::try_from(self.to.0.saturating_sub(self.from.0) / MINUTE_US).unwrap_or_default()
    }

    /// Whether it is one whole calendar month.
    pub fn is_month(self) -> bool {
        Window::Month.begins_at(self.from) && Window::Month.end(self.from) == Ok(self.to)
    }

    /// `2026-03` of a time in March 2026.
    pub fn month_label(self) -> String {
        self.from.to_string().chars().take(7).collect()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

impl TryFrom<Ends> for Period {
    type Error = Error;

    fn try_from(ends: Ends) -> Result<Self> {
        Period::new(ends.from, ends.to)
    }
}

impl From<Period> for Ends {
    fn from(period: Period) -> Self {
        Ends { from: period.from, to: period.to }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(text).unwrap()
    }

    #[test]
    fn windows_begin_and_end_where_the_calendar_says() {
        for (window, time, from, to) in [
            (Window::Minute, "2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:00Z", "2024-03-01T00:00:00Z"),
            (Window::Hour, "2023-12-31T23:00:00Z", "2023-12-31T23:00:00Z", "2024-01-01T00:00:00Z"),
            (Window::Day, "2024-02-28T12:00:00Z", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
            (Window::Month, "2024-02-29T23:59:59.999999Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            (Window::Month, "2023-02-28T00:00:00Z", "2023-02-01T00:00:00Z", "2023-03-01T00:00:00Z"),
            (Window::Month, "2023-12-01T00:00:00Z", "2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            (Window::Month, "2100-02-28T00:00:00Z", "2100-02-01T00:00:00Z", "2100-03-01T00:00:00Z"),
            (Window::Month, "2024-01-01T00:30:00+01:00", "2023-12-01T00:00:00Z", "2024-01-01T00:00:00Z"),
        ] {
            assert_eq!(window.of(at(time)).unwrap(), Period::new(at(from), at(to)).unwrap(), "{time}");
        }
    }

    #[test]
    fn the_end_of_time_is_an_error_and_not_a_wrap() {
        for window in Window::ALL {
            assert!(window.end(Time::MAX).is_err(), "{window:?}");
            assert_eq!(window.start(Time::MIN), Time::MIN);
        }
        assert_eq!(Window::Month.start(Time::MAX), at("9999-12-01T00:00:00Z"));
        for bad in ["1969-12-31T23:59:59Z", "2023-02-29T00:00:00Z", "2023-01-01", "soon"] {
            assert!(Time::parse(bad).is_err(), "{bad}");
        }
        assert!(Time::from_us(-1).is_err() && Time::from_us(MAX_US + 1).is_err());
        assert!(Time::MAX.plus_us(i64::MAX).is_err());
    }

    #[test]
    fn a_period_is_half_open_and_never_empty() {
        let march = Period::month("2024-03").unwrap();
        assert!(march.contains(march.from()) && !march.contains(march.to()) && march.is_month());
        assert_eq!(march.minutes(), 31 * 24 * 60);
        assert!(Period::new(march.to(), march.to()).is_err());
        assert_eq!(march.overlap(Period::month("2024-04").unwrap()), None, "neighbours share nothing");
        let text = r#"{"from":"2024-03-01T00:00:00Z","to":"2024-04-01T00:00:00Z"}"#;
        assert_eq!(serde_json::to_string(&march).unwrap(), text);
        assert_eq!(serde_json::from_str::<Period>(text).unwrap(), march);
        assert!(serde_json::from_str::<Period>(&text.replace("04", "03")).is_err());
        for bad in ["2024-13", "2024", "2024-3", "x"] {
            assert!(Period::month(bad).is_err(), "{bad}");
        }
    }
}
