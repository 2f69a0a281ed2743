//! The part of a month that a plan was in force, and that part of whatever a plan gives or takes for a month.
//!
//! A share is the difference of two roundings, of what was due at its end and at its begin. So the shares of a month's
//! parts add up to the month, to the last cent and unit, however it is cut.

use crate::money::round;
use crate::{Error, Period, Result};

/// Minutes from and to, of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    from: u64,
    to: u64,
    of: u64,
}

// === impl Share ===

impl Share {
    /// All of it.
    pub const WHOLE: Share = Share { from: 0, to: 1, of: 1 };

    /// `part` in `month`. A part begins and ends with a minute.
    pub fn new(part: Period, month: Period) -> Result<Self> {
        if !month.holds(part) {
            return Err(Error::NotCovered { covers: month, wanted: part });
        }
        let minutes = |to| Period::new(month.from(), to).map_or(0, Period::minutes);
        Ok(Share { from: minutes(part.from()), to: minutes(part.to()), of: month.minutes() })
    }

    /// Of units, whole ones.
    pub fn of_units(self, units: u64) -> u64 {
        let until = |minute: u64| {
            let product = u128::from(units).saturating_mul(u128::from(minute));
            product.checked_div(u128::from(self.of)).unwrap_or_default()
        };
        u64::try_from(until(self.to).saturating_sub(until(self.from))).unwrap_or(u64::MAX)
    }

    /// Of money.
    pub fn of_minor(self, minor: i64) -> Result<i64> {
        let until = |minute: u64| {
            let product = i128::from(minor).checked_mul(minute.into()).ok_or(Error::Overflow("an amount of money"))?;
            round(product, self.of.into())
        };
        until(self.to)?.checked_sub(until(self.from)?).ok_or(Error::Overflow("an amount of money"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::QUANTITY_MAX;
    use crate::Time;

    fn part(from: &str, to: &str) -> Period {
        let at = |text: &str| Time::parse(&format!("2026-{text}:00Z")).unwrap();
        Period::new(at(from), at(to)).unwrap()
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let april = Period::month("2026-04").unwrap();
        let cuts = ["04-01T00:00", "04-01T00:01", "04-07T13:37", "04-20T00:00", "05-01T00:00"];
        let shares: Vec<Share> =
            cuts.windows(2).map(|ends| Share::new(part(ends[0], ends[1]), april).unwrap()).collect();
        for amount in [0, 1, 2, 99, 4900, 12_345_678, i64::MAX] {
            let units: u64 = shares.iter().map(|share| share.of_units(amount as u64)).sum();
            let minor: i64 = shares.iter().map(|share| share.of_minor(amount).unwrap()).sum();
            assert_eq!((units, minor), (amount as u64, amount));
        }
        assert_eq!(Share::WHOLE.of_units(QUANTITY_MAX), QUANTITY_MAX);
    }

    #[test]
    fn a_third_of_the_month_is_a_third_of_the_fee() {
        let april = Period::month("2026-04").unwrap();
        let share = Share::new(part("04-11T00:00", "04-21T00:00"), april).unwrap();
        assert_eq!((share.of_minor(3000), share.of_units(90)), (Ok(1000), 30));
        assert!(Share::new(part("04-11T00:00", "05-02T00:00"), april).is_err());
    }
}
