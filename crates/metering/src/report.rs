//! Usage by window, as it is shown.

use serde::{Deserialize, Serialize};

use crate::limits::REPORT_ROWS_MAX;
use crate::{Error, Meter, Period, Result, Usage, Window};

/// What a tenant used, by window and meter. Windows of nothing have no row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "UsageReport"))]
pub struct Report {
    pub tenant: String,
    pub period: Period,
    pub window: Window,
    pub rows: Vec<Row>,
}

/// One meter in one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "UsageRow"))]
pub struct Row {
    pub window: Period,
    pub meter: Meter,
    pub quantity: u64,
}

// === impl Report ===

impl Report {
    /// Of the given meters; of all, if none is given.
    pub fn new(usage: &Usage, window: Window, period: Period, meters: &[Meter]) -> Result<Self> {
        let mut rows = Vec::new();
        for (of, used) in usage.by(window, period)? {
            let wanted = used.iter().filter(|(meter, _)| meters.is_empty() || meters.contains(meter));
            rows.extend(wanted.map(|(meter, quantity)| Row { window: of, meter, quantity }));
            if rows.len() > REPORT_ROWS_MAX {
                return Err(Error::Rows(REPORT_ROWS_MAX));
            }
        }
        Ok(Report { tenant: usage.tenant().to_owned(), period, window, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    #[test]
    fn a_report_has_the_meters_that_were_asked_for() {
        let month = Period::month("2024-02").unwrap();
        let mut usage = Usage::new("acme", month, Window::Minute).unwrap();
        for (start, meter) in [("10:00", Meter::EventsIn), ("10:01", Meter::EventsIn), ("11:00", Meter::BytesIn)] {
            usage.add(Time::parse(&format!("2024-02-29T{start}:00Z")).unwrap(), meter, 2).unwrap();
        }
        let counts = |window, meters: &[Meter]| -> Vec<u64> {
            let report = Report::new(&usage, window, month, meters).unwrap();
            report.rows.iter().map(|row| row.quantity).collect()
        };
        assert_eq!(counts(Window::Month, &[]), [4, 2]);
        assert_eq!(counts(Window::Minute, &[Meter::EventsIn]), [2, 2]);
        assert_eq!(counts(Window::Day, &[Meter::BytesIn]), [2]);
        assert_eq!(counts(Window::Hour, &[Meter::Deliveries]), [0; 0]);
    }

    #[test]
    fn a_report_too_long_is_an_error() {
        let month = Period::month("2024-03").unwrap();
        let mut usage = Usage::new("acme", month, Window::Minute).unwrap();
        let mut all = crate::Quantities::default();
        for meter in Meter::ALL {
            all = all.with(meter, 1).unwrap();
        }
        for minute in 0..REPORT_ROWS_MAX / Meter::COUNT + 1 {
            usage.add_all(month.from().plus_us(minute as i64 * 60_000_000).unwrap(), &all).unwrap();
        }
        assert_eq!(Report::new(&usage, Window::Minute, month, &[]), Err(Error::Rows(REPORT_ROWS_MAX)));
        assert!(Report::new(&usage, Window::Minute, month, &[Meter::EventsIn]).is_ok());
    }
}
