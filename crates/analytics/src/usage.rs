//! What a tenant used, asked and answered.

use er_event::keys::valid_tenant;
use er_metering::limits::{QUANTITY_MAX, WINDOWS_MAX};
use er_metering::{rows_json, Period, Quantities, Time, Window};

use crate::block::{seconds, COLUMNS};
use crate::engine::Statement;
use crate::error::Error;

/// A question, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    tenant: String,
    period: Period,
    window: Window,
}

// === impl Question ===

impl Question {
    /// Times are microseconds since 1970.
    pub fn new(tenant: &str, from_us: u64, to_us: u64, window: &str) -> Result<Self, Error> {
        if !valid_tenant(tenant) {
            return Err(Error::Invalid(format!("{tenant:?} is no tenant's id")));
        }
        let window = Window::from_name(window).ok_or_else(|| {
            Error::Invalid(format!("window: {window:?} is none of {}", Window::ALL.map(Window::name).join(", ")))
        })?;
        let period = Period::new(minute("from-us", from_us)?, minute("to-us", to_us)?);
        let period = period.map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(Self { tenant: tenant.to_owned(), period, window })
    }

    pub fn from(&self) -> Time {
        self.period.from()
    }

    /// Exact at any time: rows of one key that no merge has met yet are made one here, then added up. Sums are of 128
    /// bits, so that none can wrap before it is looked at.
    pub fn statement(&self, seconds_max: u64) -> Statement {
        let smallest = COLUMNS.map(|(_, column)| format!("min({column}) AS {column}_")).join(", ");
        let sums = COLUMNS.map(|(_, column)| format!("sum(toUInt128({column}_))")).join(", ");
        let start = match self.window {
            Window::Minute => "toStartOfMinute(timestamp)",
            Window::Hour => "toStartOfHour(timestamp)",
            Window::Day => "toStartOfDay(timestamp)",
            Window::Month => "toDateTime(toStartOfMonth(timestamp), 'UTC')",
        };
        // In the order of the table, so that the memory it takes does not grow with the time that is asked for.
        let sql = format!(
            "SELECT greatest(toUnixTimestamp({start}), {{since:UInt32}}) AS begin, {sums}
             FROM (
                 SELECT timestamp, id, {smallest} FROM tenant_usage
                 WHERE tenant_id = {{tenant:String}}
                     AND timestamp >= toDateTime({{since:UInt32}}, 'UTC')
                     AND timestamp < toDateTime({{until:UInt32}}, 'UTC')
                 GROUP BY timestamp, id
             )
             GROUP BY begin ORDER BY begin LIMIT {}
             SETTINGS optimize_aggregation_in_order = 1, max_execution_time = {seconds_max}",
            WINDOWS_MAX + 1
        );
        // Beyond what `DateTime` reaches there is nothing.
        let second = |time| seconds(time).unwrap_or(u32::MAX);
        Statement::new(sql)
            .param("tenant", &self.tenant)
            .param("since", second(self.period.from()))
            .param("until", second(self.period.to()))
    }

    /// The engine's answer as JSON.
    pub fn json(&self, answer: &[u8]) -> Result<String, Error> {
        let text = std::str::from_utf8(answer).map_err(|error| Error::Defect(error.to_string()))?;
        let mut windows = text.lines().map(window).collect::<Result<Vec<_>, _>>()?;
        if windows.len() > WINDOWS_MAX {
            return Err(Error::Windows);
        }
        // Records that contradict each other can leave nothing.
        windows.retain(|(_, used)| !used.is_zero());
        rows_json(&windows).map_err(|error| Error::Defect(error.to_string()))
    }
}

fn minute(name: &str, us: u64) -> Result<Time, Error> {
    let time = i64::try_from(us).ok().and_then(|us| Time::from_us(us).ok());
    let time = time.ok_or_else(|| Error::Invalid(format!("{name}: {us} is beyond the year 9999")))?;
    if Window::Minute.begins_at(time) {
        Ok(time)
    } else {
        Err(Error::Invalid(format!("{name}: no minute begins at {time}")))
    }
}

/// One line: the begin in seconds, then a sum for each column.
fn window(line: &str) -> Result<(Time, Quantities), Error> {
    let broken = || Error::Defect(format!("no window of usage: {line:?}"));
    let mut numbers = line.split('\t').map(str::parse::<u128>);
    let mut next = || numbers.next().and_then(Result::ok).ok_or_else(broken);
    let begin = next()?;
    let begin = i64::try_from(begin).ok().and_then(|s| Time::from_us(s.checked_mul(1_000_000)?).ok());
    let mut used = Quantities::default();
    for (meter, _) in COLUMNS {
        let sum = u64::try_from(next()?).ok().filter(|sum| *sum <= QUANTITY_MAX).ok_or(Error::Overflow)?;
        used = used.with(meter, sum).map_err(|_| Error::Overflow)?;
    }
    Ok((begin.ok_or_else(broken)?, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APRIL_US: u64 = 1_775_001_600_000_000;
    const MINUTE_US: u64 = 60_000_000;

    fn question() -> Question {
        Question::new("acme", APRIL_US, APRIL_US + MINUTE_US, "minute").unwrap()
    }

    #[test]
    fn what_can_not_be_asked_is_named() {
        for (tenant, from, to, window, says) in [
            ("Acme", 0, MINUTE_US, "day", "tenant"),
            ("a' OR 1=1 --", 0, MINUTE_US, "day", "tenant"),
            ("acme", 0, MINUTE_US, "week", "minute, hour, day, month"),
            ("acme", 1, MINUTE_US, "day", "from-us"),
            ("acme", 0, MINUTE_US + 1, "day", "to-us"),
            ("acme", 0, u64::MAX, "day", "9999"),
            ("acme", MINUTE_US, MINUTE_US, "day", "after it begins"),
        ] {
            let error = Question::new(tenant, from, to, window).unwrap_err();
            assert!(matches!(&error, Error::Invalid(text) if text.contains(says)), "{error}");
        }
    }

    #[test]
    fn an_answer_is_windows_without_those_of_nothing() {
        let answer = "1775001600\t7\t0\t300\t0\t0\t0\t0\t0\n1775001660\t0\t0\t0\t0\t0\t0\t0\t0\n";
        assert_eq!(
            question().json(answer.as_bytes()).unwrap(),
            r#"[["2026-04-01T00:00:00Z",{"events_in":7,"bytes_in":300}]]"#
        );
        assert_eq!(question().json(b"").unwrap(), "[]");
    }

    #[test]
    fn too_much_and_nonsense_are_errors() {
        let line = |sum: u128| format!("1775001600\t{sum}\t0\t0\t0\t0\t0\t0\t0\n");
        let most = u128::from(QUANTITY_MAX);
        assert!(question().json(line(most).as_bytes()).is_ok());
        for beyond in [most + 1, u128::from(u64::MAX) + 1] {
            assert_eq!(question().json(line(beyond).as_bytes()), Err(Error::Overflow));
        }
        let windows = |count: usize| question().json(line(1).repeat(count).as_bytes());
        assert!(windows(WINDOWS_MAX).is_ok());
        assert_eq!(windows(WINDOWS_MAX + 1), Err(Error::Windows));
        for broken in ["x\n", "1775001600\t1\n", "1775001600\t-1\t0\t0\t0\t0\t0\t0\t0\n"] {
            assert!(matches!(question().json(broken.as_bytes()), Err(Error::Defect(_))), "{broken}");
        }
    }
}
