//! Prices: finer than money, and exact.

use crate::limits::{PRICE_DIGITS_MAX, QUANTITY_MAX};
use crate::money::{decimal, round, scaled};
use crate::{Currency, Error, Result};

/// Billionths of a currency's major unit.
const NANO: i128 = 1_000_000_000;

/// So much for so many: `0.40 per 1000000` is exact, though one unit costs no whole number of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(into = "Written", try_from = "Written")]
pub struct Price {
    nano: i64,
    per: u64,
}

/// A price in JSON: `{"amount":"0.4","per":1000000}`.
#[derive(serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Written {
    amount: String,
    #[serde(default = "one")]
    per: u64,
}

fn one() -> u64 {
    1
}

// === impl Price ===

impl Price {
    /// `amount` in the major unit with at most nine digits after the point, not negative, for `per` units.
    pub fn parse(amount: &str, per: u64) -> Result<Self, String> {
        let nano = scaled(amount, PRICE_DIGITS_MAX).filter(|nano| *nano >= 0 && !amount.starts_with('-'));
        let Some(nano) = nano else {
            return Err(format!(
                "{amount:?} is no price: digits, and at most {PRICE_DIGITS_MAX} after a point, not over {}",
                decimal(i64::MAX, PRICE_DIGITS_MAX)
            ));
        };
        if per == 0 || per > QUANTITY_MAX {
            return Err(format!("a price is for 1 to {QUANTITY_MAX} units, not for {per}"));
        }
        Ok(Price { nano, per })
    }

    pub fn per(self) -> u64 {
        self.per
    }

    /// The amount in the major unit, without zeros at the end.
    pub fn amount(self) -> String {
        let text = decimal(self.nano, PRICE_DIGITS_MAX);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// The amount with at least the currency's digits.
    pub fn shown(self, currency: Currency) -> String {
        let mut text = self.amount();
        let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        if digits == 0 && currency.digits() > 0 {
            text.push('.');
        }
        text.push_str(&"0".repeat(currency.digits().saturating_sub(digits)));
        text
    }

    /// What `quantity` units cost, rounded once: to a minor unit, a half away from zero.
    pub fn of(self, quantity: u64, currency: Currency) -> Result<i64> {
        let overflow = Error::Overflow("an amount of money");
        let product = i128::from(quantity).checked_mul(i128::from(self.nano)).ok_or(overflow.clone())?;
        let minor = 10_i128.checked_pow(u32::from(u8::try_from(currency.digits()).unwrap_or(u8::MAX)));
        let divisor =
            minor.and_then(|minor| NANO.checked_div(minor)).and_then(|nano| nano.checked_mul(self.per.into()));
        round(product, divisor.ok_or(overflow)?)
    }

    /// What as many whole packages cost as hold `quantity`.
    pub fn of_packages(self, quantity: u64, currency: Currency) -> Result<i64> {
        Price { per: 1, ..self }.of(quantity.div_ceil(self.per), currency)
    }
}

impl TryFrom<Written> for Price {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        Price::parse(&written.amount, written.per)
    }
}

impl From<Price> for Written {
    fn from(price: Price) -> Self {
        Written { amount: price.amount(), per: price.per }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(amount: &str, per: u64, quantity: u64, code: &str) -> Result<i64> {
        Price::parse(amount, per).unwrap().of(quantity, Currency::from_code(code).unwrap())
    }

    #[test]
    fn a_price_is_exact_until_it_is_rounded_once() {
        assert_eq!(of("0.40", 1_000_000, 1_000_000, "USD"), Ok(40));
        assert_eq!(of("0.40", 1_000_000, 12_499, "USD"), Ok(0));
        assert_eq!(of("0.40", 1_000_000, 12_500, "USD"), Ok(1), "half a cent goes up");
        assert_eq!(of("0.000000001", 1, 5_000_000, "USD"), Ok(1));
        assert_eq!(of("1", 3, 2, "JPY"), Ok(1));
        assert_eq!(of("1", 3, 1, "KWD"), Ok(333));
    }

    #[test]
    fn packages_are_sold_whole() {
        let (price, usd) = (Price::parse("5.00", 1000).unwrap(), Currency::from_code("USD").unwrap());
        for (quantity, minor) in [(0, 0), (1, 500), (1000, 500), (1001, 1000)] {
            assert_eq!(price.of_packages(quantity, usd), Ok(minor), "{quantity}");
        }
    }

    #[test]
    fn the_greatest_numbers_give_an_error_and_not_a_wrap() {
        let most = "9223372036.854775807";
        assert!(matches!(of(most, 1, QUANTITY_MAX, "USD"), Err(Error::Overflow(_))));
        assert!(of(most, QUANTITY_MAX, QUANTITY_MAX, "KWD").is_ok());
        assert_eq!(of("0", 1, QUANTITY_MAX, "USD"), Ok(0));
        assert_eq!(of("1", 1, QUANTITY_MAX, "JPY"), Ok(i64::MAX));
        for (amount, per) in [
            ("9223372036.854775808", 1),
            ("1", 0),
            ("1", QUANTITY_MAX + 1),
            ("-1", 1),
            ("-0", 1),
            ("", 1),
            ("0.0000000001", 1),
        ] {
            assert!(Price::parse(amount, per).is_err(), "{amount} per {per}");
        }
    }

    #[test]
    fn a_price_is_written_as_short_as_it_is() {
        let usd = Currency::from_code("USD").unwrap();
        for (text, amount, shown) in [
            ("0.40", "0.4", "0.40"),
            ("5", "5", "5.00"),
            ("10.00", "10", "10.00"),
            ("0.000125", "0.000125", "0.000125"),
        ] {
            let price = Price::parse(text, 1).unwrap();
            assert_eq!((price.amount().as_str(), price.shown(usd).as_str()), (amount, shown));
        }
        let text = r#"{"amount":"0.4","per":1000000}"#;
        let price: Price = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&price).unwrap(), text);
        assert!(serde_json::from_str::<Price>(r#"{"amount":0.4}"#).is_err(), "a float is no price");
    }
}
