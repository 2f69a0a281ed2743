//! What a month should cost and what was charged for it, line by line, so that the two can be taken from each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{Corrects, Invoice, Kind, Line};
use crate::{rate, Band, Error, Meter, Period, Price, Result, Share, Subscription, Usage};

/// What makes two lines the same line. Its order is the order on the invoice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) window: Period,
    pub(super) plan: Option<String>,
    pub(super) meter: Option<Meter>,
    pub(super) tier: Option<Band>,
    pub(super) price: Option<Price>,
}

/// A line's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) quantity: i64,
    pub(super) amount_minor: i64,
}

/// Numbers by line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sheet(BTreeMap<Key, Tally>);

// === impl Sheet ===

impl Sheet {
    /// What `period` costs by what is known now.
    pub(super) fn due(subscription: &Subscription, usage: &Usage, period: Period) -> Result<Self> {
        let mut sheet = Sheet::default();
        let mut minimum_minor: i64 = 0;
        for (part, plan) in subscription.parts(period) {
            let share = Share::new(part, period)?;
            let name = Some(plan.name().to_owned());
            let fee = share.of_minor(plan.fee_minor)?;
            let fixed =
                Key { kind: Kind::Fixed, window: part, plan: name.clone(), meter: None, tier: None, price: None };
            if fee != 0 {
                sheet.add(fixed.clone(), Tally { quantity: 0, amount_minor: fee })?;
            }
            minimum_minor = plus(minimum_minor, share.of_minor(plan.minimum_minor)?)?;
            let used = usage.sum(part)?;
            for charge in plan.charges() {
                for rated in rate(charge, used.get(charge.meter), share, plan.currency())? {
                    let key = Key {
                        kind: Kind::Usage,
                        meter: Some(charge.meter),
                        tier: Some(rated.band),
                        price: rated.price,
                        ..fixed.clone()
                    };
                    let quantity = i64::try_from(rated.quantity).map_err(|_| Error::Overflow("a count"))?;
                    sheet.add(key, Tally { quantity, amount_minor: rated.amount_minor })?;
                }
            }
        }
        let missing = minimum_minor.saturating_sub(sheet.total()?);
        if missing > 0 {
            let key = Key { kind: Kind::Minimum, window: period, plan: None, meter: None, tier: None, price: None };
            sheet.add(key, Tally { quantity: 0, amount_minor: missing })?;
        }
        Ok(sheet)
    }

    /// What `invoices` charge for `period`, corrections of it on other months' invoices included.
    pub(super) fn charged<'a>(period: Period, invoices: impl IntoIterator<Item = &'a Invoice>) -> Result<Self> {
        let mut sheet = Sheet::default();
        for invoice in invoices {
            for line in &invoice.lines {
                let (of, kind) = match &line.corrects {
                    Some(corrects) => (corrects.period, corrects.kind),
                    None => (invoice.period, line.kind),
                };
                if of == period {
                    let key = Key {
                        kind,
                        window: line.window,
                        plan: line.plan.clone(),
                        meter: line.meter,
                        tier: line.tier,
                        price: line.price,
                    };
                    let quantity = line.quantity.unwrap_or_default();
                    sheet.add(key, Tally { quantity, amount_minor: line.amount_minor })?;
                }
            }
        }
        Ok(sheet)
    }

    /// Where the two are not the same: key, self's numbers, other's numbers.
    pub(super) fn against<'a>(&'a self, other: &'a Sheet) -> impl Iterator<Item = (&'a Key, Tally, Tally)> {
        let keys: BTreeSet<&Key> = self.0.keys().chain(other.0.keys()).collect();
        let of = |sheet: &Sheet, key: &Key| sheet.0.get(key).copied().unwrap_or_default();
        keys.into_iter().map(move |key| (key, of(self, key), of(other, key))).filter(|(_, one, other)| one != other)
    }

    pub(super) fn lines(self) -> impl Iterator<Item = Line> {
        self.0.into_iter().map(|(key, tally)| line(&key, tally, None))
    }

    /// The lines that make of what was charged what is due.
    pub(super) fn corrections(&self, charged: &Sheet, invoice: &str, period: Period) -> Result<Vec<Line>> {
        self.against(charged)
            .map(|(key, due, charged)| {
                let tally = Tally {
                    quantity: minus(due.quantity, charged.quantity)?,
                    amount_minor: minus(due.amount_minor, charged.amount_minor)?,
                };
                let corrects = Corrects { invoice: invoice.to_owned(), period, kind: key.kind };
                Ok(line(key, tally, Some(corrects)))
            })
            .collect()
    }

    fn total(&self) -> Result<i64> {
        self.0.values().try_fold(0, |sum, tally| plus(sum, tally.amount_minor))
    }

    fn add(&mut self, key: Key, tally: Tally) -> Result<()> {
        let sum = self.0.entry(key).or_default();
        *sum = Tally {
            quantity: plus(sum.quantity, tally.quantity)?,
            amount_minor: plus(sum.amount_minor, tally.amount_minor)?,
        };
        Ok(())
    }
}

fn line(key: &Key, tally: Tally, corrects: Option<Corrects>) -> Line {
    Line {
        kind: if corrects.is_some() { Kind::Correction } else { key.kind },
        corrects,
        plan: key.plan.clone(),
        window: key.window,
        meter: key.meter,
        tier: key.tier,
        quantity: key.meter.map(|_| tally.quantity),
        price: key.price,
        amount_minor: tally.amount_minor,
    }
}

pub(super) fn plus(one: i64, other: i64) -> Result<i64> {
    one.checked_add(other).ok_or(Error::Overflow("a sum of lines"))
}

fn minus(one: i64, other: i64) -> Result<i64> {
    one.checked_sub(other).ok_or(Error::Overflow("a sum of lines"))
}
