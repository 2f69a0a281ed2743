//! What one tenant used, by window of time, whoever added it up: a ledger, or the analytics.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Meter, Period, Quantities, Result, Time, Window};

/// Sums of one tenant. Windows without an entry are zero, inside the period it covers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    tenant: String,
    covers: Period,
    window: Window,
    sums: BTreeMap<Time, Quantities>,
}

/// Where two usages are not the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mismatch {
    pub meter: Meter,
    pub window: Period,
    pub here: u64,
    pub there: u64,
}

// === impl Usage ===

impl Usage {
    /// Empty sums by `window`, which `covers` is made of.
    pub fn new(tenant: &str, covers: Period, window: Window) -> Result<Self> {
        if !window.begins_at(covers.from()) || !window.begins_at(covers.to()) {
            return Err(Error::Coarse { window: window.name(), wanted: covers });
        }
        Ok(Usage { tenant: tenant.to_owned(), covers, window, sums: BTreeMap::new() })
    }

    /// Adds to the window that begins at `start`.
    pub fn add(&mut self, start: Time, meter: Meter, quantity: u64) -> Result<()> {
        self.add_all(start, &Quantities::of(meter, quantity)?)
    }

    pub fn add_all(&mut self, start: Time, used: &Quantities) -> Result<()> {
        let wanted = self.window.of(start)?;
        if !self.window.begins_at(start) {
            return Err(Error::Coarse { window: self.window.name(), wanted: Period::new(start, wanted.to())? });
        }
        if !self.covers.contains(start) {
            return Err(Error::NotCovered { covers: self.covers, wanted });
        }
        let sum = self.sums.get(&start).copied().unwrap_or_default().plus(used)?;
        self.sums.insert(start, sum);
        Ok(())
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    pub fn covers(&self) -> Period {
        self.covers
    }

    /// What was used in `period`. An error if that can't be said for sure.
    pub fn sum(&self, period: Period) -> Result<Quantities> {
        if !self.covers.holds(period) {
            return Err(Error::NotCovered { covers: self.covers, wanted: period });
        }
        if !self.window.begins_at(period.from()) || !self.window.begins_at(period.to()) {
            return Err(Error::Coarse { window: self.window.name(), wanted: period });
        }
        self.sums.range(period.from()..period.to()).try_fold(Quantities::default(), |sum, (_, used)| sum.plus(used))
    }

    /// The same sums by a longer window, without windows of nothing.
    pub fn by(&self, window: Window, period: Period) -> Result<Vec<(Period, Quantities)>> {
        self.sum(period)?;
        let mut sums: Vec<(Period, Quantities)> = Vec::new();
        for (start, used) in self.sums.range(period.from()..period.to()) {
            match sums.last_mut() {
                Some((of, sum)) if of.contains(*start) => *sum = sum.plus(used)?,
                // A window that sticks out of the period is cut: its sum is of what is inside.
                _ => {
                    let whole = window.of(*start)?;
                    sums.push((whole.overlap(period).unwrap_or(whole), *used));
                }
            }
        }
        sums.retain(|(_, used)| !used.is_zero());
        Ok(sums)
    }

    /// Where the two differ in what both cover: what the stream says against what the analytics say.
    pub fn differences(&self, other: &Usage) -> Result<Vec<Mismatch>> {
        let Some(period) = self.covers.overlap(other.covers) else { return Ok(Vec::new()) };
        let window = self.window.max(other.window);
        let keyed = |usage: &Usage| -> Result<BTreeMap<Period, Quantities>> {
            Ok(usage.by(window, period)?.into_iter().collect())
        };
        let (here, there) = (keyed(self)?, keyed(other)?);
        let windows: BTreeSet<&Period> = here.keys().chain(there.keys()).collect();
        let mut found = Vec::new();
        for window in windows {
            let of = |sums: &BTreeMap<Period, Quantities>| sums.get(window).copied().unwrap_or_default();
            let (here, there) = (of(&here), of(&there));
            let differing = Meter::ALL.into_iter().filter(|meter| here.get(*meter) != there.get(*meter));
            found.extend(differing.map(|meter| Mismatch {
                meter,
                window: *window,
                here: here.get(meter),
                there: there.get(meter),
            }));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        Time::parse(&format!("2024-02-{text}:00Z")).unwrap()
    }

    fn usage(window: Window, sums: &[(&str, u64)]) -> Usage {
        let mut usage = Usage::new("acme", Period::month("2024-02").unwrap(), window).unwrap();
        for (start, quantity) in sums {
            usage.add(at(start), Meter::Deliveries, *quantity).unwrap();
        }
        usage
    }

    #[test]
    fn sums_are_of_half_open_periods() {
        let usage = usage(Window::Minute, &[("01T00:00", 1), ("01T00:59", 2), ("01T01:00", 4), ("29T23:59", 8)]);
        let of = |from, to| usage.sum(Period::new(at(from), at(to)).unwrap()).unwrap().get(Meter::Deliveries);
        assert_eq!((of("01T00:00", "01T01:00"), of("01T00:59", "01T01:01"), of("01T01:01", "29T23:59")), (3, 6, 0));
        let hours = usage.by(Window::Hour, usage.covers()).unwrap();
        let counts: Vec<u64> = hours.iter().map(|(_, used)| used.get(Meter::Deliveries)).collect();
        assert_eq!(counts, [3, 4, 8]);
        let cut = Period::new(at("01T00:30"), at("01T01:30")).unwrap();
        let cut: Vec<String> = usage.by(Window::Day, cut).unwrap().iter().map(|(of, _)| of.to_string()).collect();
        assert_eq!(cut, ["2024-02-01T00:30:00Z to 2024-02-01T01:30:00Z"]);
    }

    #[test]
    fn what_can_not_be_known_is_an_error() {
        let hours = usage(Window::Hour, &[("01T01:00", 1)]);
        let half = Period::new(at("01T00:30"), at("01T02:00")).unwrap();
        assert!(matches!(hours.sum(half), Err(Error::Coarse { .. })));
        assert!(matches!(hours.sum(Period::month("2024-03").unwrap()), Err(Error::NotCovered { .. })));
        let mut hours = hours;
        assert!(matches!(hours.add(at("01T01:01"), Meter::Deliveries, 1), Err(Error::Coarse { .. })));
        let march = Time::parse("2024-03-01T00:00:00Z").unwrap();
        assert!(matches!(hours.add(march, Meter::Deliveries, 1), Err(Error::NotCovered { .. })));
    }

    #[test]
    fn differences_name_meter_and_window() {
        let stream = usage(Window::Minute, &[("01T00:10", 1), ("01T00:20", 2), ("02T00:00", 5)]);
        let analytics = usage(Window::Hour, &[("01T00:00", 3), ("02T00:00", 4), ("03T00:00", 1)]);
        let found = stream.differences(&analytics).unwrap();
        let told: Vec<_> = found.iter().map(|m| (m.window.from(), m.meter, m.here, m.there)).collect();
        assert_eq!(told, [(at("02T00:00"), Meter::Deliveries, 5, 4), (at("03T00:00"), Meter::Deliveries, 0, 1)]);
        assert_eq!(stream.differences(&stream), Ok(vec![]));
    }
}
