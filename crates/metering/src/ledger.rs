//! Sums of records in any order, each counted once.
//!
//! What is once counted is known again for as long as its minute is above the ledger's floor. The floor is moved by
//! whoever has the clock ([`Ledger::retire`]), never by a record, or one record from the future would shut out all
//! others. A record below the floor can't be told from one that was counted, so it is not counted here: it comes back
//! as [`Merge::Late`], and the analytics, which know every key for good, have it.
//!
//! Two records of one id that say different things (a batch that was handled again, a minute later) are a bug of
//! whoever wrote them, but the sums must not depend on which came first. The one of the earlier minute counts, and of
//! the same minute the smaller one: in the tenant's favour. Whoever adds up records elsewhere does the same.

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
    /// Another record with the same id was counted before. One of them counts, whichever came first.
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
    seen: HashMap<String, Seen>,
    minutes: BTreeMap<Time, Quantities>,
}

/// A record without its names. Of two, the lesser counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    minute: Time,
    used: Quantities,
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
        let seen = Seen { minute: record.minute, used: record.used };
        let floor = self.floor;
        let account = self.tenants.get_mut(&record.tenant);
        if let Some((account, before)) = account.and_then(|account| {
            let before = account.seen.get(&record.id).copied()?;
            Some((account, before))
        }) {
            if before == seen {
                return Ok(Merge::Duplicate);
            }
            // What was retired in the lesser's minute is out of reach: the one that was counted stays.
            if seen < before && seen.minute >= floor {
                account.replace(&record.id, before, seen)?;
            }
            return Ok(Merge::Conflict);
        }
        if record.minute < floor {
            return Ok(Merge::Late);
        }
        if self.records >= self.records_max {
            return Err(Error::LedgerFull);
        }
        let account = self.tenants.entry(record.tenant.clone()).or_default();
        let sum = account.sum(record.minute).plus(&record.used)?;
        account.minutes.insert(record.minute, sum);
        account.seen.insert(record.id.clone(), seen);
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
            for (minute, used) in std::mem::replace(&mut account.minutes, kept) {
                sums.extend(used.iter().map(|(meter, quantity)| Sum {
                    tenant: tenant.clone(),
                    minute,
                    meter,
                    quantity,
                }));
            }
            account.seen.retain(|_, seen| seen.minute >= floor);
        }
        self.tenants.retain(|_, account| !account.seen.is_empty());
        self.records = self.tenants.values().map(|account| account.seen.len()).sum();
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
        for (minute, used) in minutes.into_iter().flatten() {
            usage.add_all(*minute, used)?;
        }
        Ok(usage)
    }
}

// === impl Account ===

impl Account {
    fn sum(&self, minute: Time) -> Quantities {
        self.minutes.get(&minute).copied().unwrap_or_default()
    }

    /// Takes one record's counts out and puts another's in.
    fn replace(&mut self, id: &str, old: Seen, new: Seen) -> Result<()> {
        let without = self.sum(old.minute).minus(&old.used);
        let with = if old.minute == new.minute { without } else { self.sum(new.minute) }.plus(&new.used)?;
        self.minutes.insert(old.minute, without);
        self.minutes.insert(new.minute, with);
        self.seen.insert(id.to_owned(), new);
        Ok(())
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
        assert_eq!(ledger.merge(&record("a", 1, 6)), Ok(Merge::Conflict), "the same id says something else");
        assert_eq!(ledger.merge(&record("a", 2, 4)), Ok(Merge::Conflict), "in another minute too");
        assert_eq!(ledger.merge(&Record { tenant: "other".into(), ..record("a", 1, 5) }), Ok(Merge::Counted));
        assert_eq!((total(&ledger), ledger.records()), (5, 2));
        assert_eq!(ledger.tenants().collect::<Vec<_>>(), ["acme", "other"]);
    }

    #[test]
    fn of_two_records_with_one_id_the_earlier_then_the_smaller_counts() {
        let rivals = [record("a", 2, 1), record("a", 1, 9), record("a", 1, 7), record("a", 3, 4)];
        for first in 0..rivals.len() {
            let mut ledger = Ledger::new(at(0));
            for place in 0..rivals.len() {
                let _ = ledger.merge(&rivals[(first + place) % rivals.len()]).unwrap();
            }
            assert_eq!((total(&ledger), ledger.records(), ledger.retire(at(2)).len()), (7, 1, 1));
        }
        let mut ledger = Ledger::new(at(0));
        let _ = ledger.merge(&record("a", 3, 4)).unwrap();
        let _ = ledger.retire(at(2));
        assert_eq!(ledger.merge(&record("a", 1, 9)), Ok(Merge::Conflict));
        assert_eq!(total(&ledger), 4, "the earlier minute is shut");
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
