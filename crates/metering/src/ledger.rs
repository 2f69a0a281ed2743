//! Sums of records in any order, each counted once.
//!
//! What is once counted is known again for as long as its minute is above the ledger's floor. The floor is moved by
//! whoever has the clock ([`Ledger::retire`]), never by a record, or one record from the future would shut out all
//! others. A record below the floor can't be told from one that was counted, so it is not counted here: it comes back
//! as [`Merge::Late`], and the analytics, which know every key for good, have it.
//!
//! A record's key is (tenant, minute, id). Two records of one key can say different things: a batch that was delivered
//! again, since nobody knew that it had been, took another time. The sums must not depend on which came first, so of
//! each meter the smaller counts: in the tenant's favour. Whoever adds up records elsewhere does the same.

use std::collections::{BTreeMap, HashMap};

use crate::limits::LEDGER_RECORDS_MAX;
use crate::{Error, Meter, Period, Quantities, Record, Result, Time, Usage, Window};

/// Sums by tenant, minute and meter.
#[derive(Debug, Clone)]
pub struct Ledger {
    floor: Time,
    records: usize,
    records_max: usize,
    tenants: BTreeMap<String, Account>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Merge {
    Counted,
    /// The same record was counted before.
    Duplicate,
    /// Another record with the same key was counted before. Of each meter the smaller counts, whichever came first.
    Conflict,
    /// Its minute was retired.
    Late,
}

/// A sum that left a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    pub tenant: String,
    pub minute: Time,
    pub meter: Meter,
    pub quantity: u64,
}

/// One tenant's part.
#[derive(Debug, Clone, Default)]
struct Account {
    minutes: BTreeMap<Time, Minute>,
}

#[derive(Debug, Clone, Default)]
struct Minute {
    seen: HashMap<String, Quantities>,
    sum: Quantities,
}

// === impl Ledger ===

impl Ledger {
    /// Counts what is from `floor` on.
    pub fn new(floor: Time) -> Self {
        Self::with_records_max(floor, LEDGER_RECORDS_MAX)
    }

    /// Remembers so many records at most.
    pub fn with_records_max(floor: Time, records_max: usize) -> Self {
        Ledger { floor: Window::Minute.start(floor), records: 0, records_max, tenants: BTreeMap::new() }
    }

    /// After an error everything is as before.
    pub fn merge(&mut self, record: &Record) -> Result<Merge> {
        if record.minute < self.floor {
            return Ok(Merge::Late);
        }
        let minute = self.tenants.get_mut(&record.tenant).and_then(|account| account.minutes.get_mut(&record.minute));
        if let Some(minute) = minute {
            if let Some(before) = minute.seen.get_mut(&record.id) {
                let least = before.least(&record.used);
                if least == *before && least == record.used {
                    return Ok(Merge::Duplicate);
                }
                minute.sum = minute.sum.minus(before).plus(&least)?;
                *before = least;
                return Ok(Merge::Conflict);
            }
        }
        if self.records >= self.records_max {
            return Err(Error::LedgerFull);
        }
        let minute = self.tenants.entry(record.tenant.clone()).or_default().minutes.entry(record.minute).or_default();
        minute.sum = minute.sum.plus(&record.used)?;
        minute.seen.insert(record.id.clone(), record.used);
        self.records = self.records.saturating_add(1);
        Ok(Merge::Counted)
    }

    /// Forgets every minute before `floor`, and gives its sums. From now on records of those minutes are late.
    pub fn retire(&mut self, floor: Time) -> Vec<Sum> {
        let floor = Window::Minute.start(floor).max(self.floor);
        self.floor = floor;
        let mut sums = Vec::new();
        for (tenant, account) in &mut self.tenants {
            let kept = account.minutes.split_off(&floor);
            for (minute, Minute { sum, .. }) in std::mem::replace(&mut account.minutes, kept) {
                sums.extend(sum.iter().map(|(meter, quantity)| Sum {
                    tenant: tenant.clone(),
                    minute,
                    meter,
                    quantity,
                }));
            }
        }
        self.tenants.retain(|_, account| !account.minutes.is_empty());
        self.records =
            self.tenants.values().flat_map(|account| account.minutes.values()).map(|minute| minute.seen.len()).sum();
        sums
    }

    pub fn floor(&self) -> Time {
        self.floor
    }

    /// Records remembered.
    pub fn records(&self) -> usize {
        self.records
    }

    pub fn tenants(&self) -> impl Iterator<Item = &str> {
        self.tenants.keys().map(String::as_str)
    }

    /// What a tenant used. An error if the ledger has forgotten a part of `period`.
    pub fn usage(&self, tenant: &str, period: Period) -> Result<Usage> {
        if period.from() < self.floor {
            let covers = Period::new(self.floor, Time::MAX)?;
            return Err(Error::NotCovered { covers, wanted: period });
        }
        let mut usage = Usage::new(tenant, period, Window::Minute)?;
        let minutes = self.tenants.get(tenant).map(|account| account.minutes.range(period.from()..period.to()));
        for (minute, Minute { sum, .. }) in minutes.into_iter().flatten() {
            usage.add_all(*minute, sum)?;
        }
        Ok(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::QUANTITY_MAX;

    fn at(minute: u32) -> Time {
        Time::parse(&format!("2024-02-29T23:{minute:02}:00Z")).unwrap()
    }

    fn record(id: &str, minute: u32, quantity: u64) -> Record {
        Record::new("acme", id, at(minute), Quantities::of(Meter::EventsIn, quantity).unwrap()).unwrap()
    }

    fn total(ledger: &Ledger) -> u64 {
        let period = Window::Hour.of(at(0)).unwrap().overlap(Period::new(ledger.floor(), Time::MAX).unwrap()).unwrap();
        ledger.usage("acme", period).unwrap().sum(period).unwrap().get(Meter::EventsIn)
    }

    #[test]
    fn a_record_counts_once() {
        let mut ledger = Ledger::new(at(0));
        assert_eq!(ledger.merge(&record("a", 1, 5)), Ok(Merge::Counted));
        assert_eq!(ledger.merge(&record("a", 1, 5)), Ok(Merge::Duplicate));
        assert_eq!(ledger.merge(&record("a", 1, 6)), Ok(Merge::Conflict), "the same key says something else");
        assert_eq!(ledger.merge(&Record { tenant: "other".into(), ..record("a", 1, 5) }), Ok(Merge::Counted));
        assert_eq!((total(&ledger), ledger.records()), (5, 2));
        assert_eq!(ledger.merge(&record("a", 2, 4)), Ok(Merge::Counted), "the minute is part of the key");
        assert_eq!((total(&ledger), ledger.records()), (9, 3));
        assert_eq!(ledger.tenants().collect::<Vec<_>>(), ["acme", "other"]);
    }

    #[test]
    fn of_two_records_with_one_key_the_smaller_counts_meter_by_meter() {
        let used = |events, bytes| {
            let used = Quantities::of(Meter::EventsIn, events).unwrap();
            Record { used: used.with(Meter::BytesIn, bytes).unwrap(), ..record("a", 1, 1) }
        };
        let rivals = [used(9, 1), used(7, 3), used(8, 0)];
        for first in 0..rivals.len() {
            let mut ledger = Ledger::new(at(0));
            for place in 0..rivals.len() {
                let _ = ledger.merge(&rivals[(first + place) % rivals.len()]).unwrap();
            }
            assert_eq!((total(&ledger), ledger.records(), ledger.retire(at(2)).len()), (7, 1, 1), "no bytes are left");
        }
    }

    #[test]
    fn retired_minutes_are_given_once_and_shut() {
        let mut ledger = Ledger::new(at(0));
        for record in [record("a", 1, 5), record("b", 1, 1), record("c", 2, 7)] {
            assert_eq!(ledger.merge(&record), Ok(Merge::Counted));
        }
        let sums = ledger.retire(at(2));
        assert_eq!(sums, [Sum { tenant: "acme".into(), minute: at(1), meter: Meter::EventsIn, quantity: 6 }]);
        assert_eq!(ledger.retire(at(1)), [], "a floor never sinks");
        assert_eq!((ledger.floor(), ledger.records(), total(&ledger)), (at(2), 1, 7));
        assert_eq!(ledger.merge(&record("a", 1, 5)), Ok(Merge::Late));
        assert_eq!(ledger.merge(&record("new", 1, 5)), Ok(Merge::Late));
        assert!(ledger.usage("acme", Window::Hour.of(at(0)).unwrap()).is_err(), "a part of it is forgotten");
    }

    #[test]
    fn a_full_ledger_and_a_sum_too_great_change_nothing() {
        let mut ledger = Ledger::with_records_max(at(0), 2);
        let most = Record { used: Quantities::of(Meter::EventsIn, QUANTITY_MAX).unwrap(), ..record("a", 1, 1) };
        let _ = ledger.merge(&most).unwrap();
        assert_eq!(ledger.merge(&record("b", 1, 1)), Err(Error::Overflow("a count")));
        assert_eq!(ledger.merge(&record("b", 2, 1)), Ok(Merge::Counted), "it was not remembered");
        assert_eq!(ledger.merge(&record("c", 2, 1)), Err(Error::LedgerFull));
        assert_eq!(ledger.merge(&record("b", 2, 1)), Ok(Merge::Duplicate));
        assert_eq!(ledger.retire(at(3)).len(), 2);
        assert_eq!(ledger.merge(&record("c", 3, 1)), Ok(Merge::Counted));
    }
}
