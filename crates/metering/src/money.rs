//! Money: whole minor units of one currency.

use std::fmt;

use crate::{Currency, Error, Result};

/// An amount. `1.05 USD` is 105 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

// === impl Money ===

impl Money {
    pub fn new(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }

    /// Reads `12`, `12.3`, `12.34` or any of them negative; never more digits than the currency has.
    pub fn parse(text: &str, currency: Currency) -> Result<Self> {
        let digits = currency.digits();
        let minor = scaled(text, digits);
        let minor = minor.ok_or_else(|| Error::Amount { text: text.into(), currency: currency.to_string(), digits })?;
        Ok(Money { minor, currency })
    }

    pub fn plus(self, other: Money) -> Result<Self> {
        if self.currency != other.currency {
            return Err(Error::Currencies(self.currency.to_string(), other.currency.to_string()));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(Error::Overflow("an amount of money"))?;
        Ok(Money { minor, ..self })
    }

    /// `-1234.05`: with the currency's digits, without its code.
    pub fn decimal(self) -> String {
        decimal(self.minor, self.currency.digits())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.decimal(), self.currency)
    }
}

/// A decimal number times 10^`digits`, if that is whole and fits.
pub(crate) fn scaled(text: &str, digits: usize) -> Option<i64> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (unsigned, ""),
    };
    if whole.is_empty() || fraction.len() > digits {
        return None;
    }
    let zeros = std::iter::repeat_n(b'0', digits.saturating_sub(fraction.len()));
    let all = whole.bytes().chain(fraction.bytes()).chain(zeros);
    let mut value: i64 = 0;
    for byte in all {
        let digit = i64::from(char::from(byte).to_digit(10)?);
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(if negative { value.checked_neg()? } else { value })
}

/// `value` / 10^`digits`, written out.
pub(crate) fn decimal(value: i64, digits: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let mut text = value.unsigned_abs().to_string();
    if digits == 0 {
        return format!("{sign}{text}");
    }
    let short = digits.saturating_add(1).saturating_sub(text.len());
    text.insert_str(0, &"0".repeat(short));
    let (whole, fraction) = text.split_at(text.len().saturating_sub(digits));
    format!("{sign}{whole}.{fraction}")
}

/// `numerator` / `denominator` to the nearest whole number; a half goes away from zero, as a reader with a pencil
/// rounds, and so that a debt and the credit that undoes it are the same number.
pub(crate) fn round(numerator: i128, denominator: i128) -> Result<i64> {
    let overflow = Error::Overflow("an amount of money");
    let (Some(quotient), Some(rest)) = (numerator.checked_div(denominator), numerator.checked_rem(denominator)) else {
        return Err(overflow);
    };
    // |rest| >= |denominator| - |rest|, because twice the rest might not fit.
    let (rest, whole) = (rest.unsigned_abs(), denominator.unsigned_abs());
    let away = if rest != 0 && rest >= whole.saturating_sub(rest) {
        if (numerator < 0) == (denominator < 0) {
            1
        } else {
            -1
        }
    } else {
        0
    };
    quotient.checked_add(away).and_then(|rounded| i64::try_from(rounded).ok()).ok_or(overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(text: &str, code: &str) -> Result<Money> {
        Money::parse(text, Currency::from_code(code).unwrap())
    }

    #[test]
    fn amounts_are_read_and_written_in_the_digits_of_their_currency() {
        for (text, code, minor, shown) in [
            ("12.34", "USD", 1234, "12.34 USD"),
            ("12.3", "EUR", 1230, "12.30 EUR"),
            ("-0.05", "USD", -5, "-0.05 USD"),
            ("12", "JPY", 12, "12 JPY"),
            ("0.001", "KWD", 1, "0.001 KWD"),
            ("92233720368547758.07", "USD", i64::MAX, "92233720368547758.07 USD"),
        ] {
            let money = money(text, code).unwrap();
            assert_eq!((money.minor, money.to_string().as_str()), (minor, shown));
        }
        for (bad, code) in [
            ("", "USD"),
            ("-", "USD"),
            (".5", "USD"),
            ("1.", "USD"),
            ("1.234", "USD"),
            ("1.0", "JPY"),
            ("1e2", "USD"),
            ("+1", "USD"),
            ("1,000", "USD"),
            ("92233720368547758.08", "USD"),
        ] {
            assert!(matches!(money(bad, code), Err(Error::Amount { .. })), "{bad}");
        }
    }

    #[test]
    fn sums_stay_in_one_currency_and_do_not_wrap() {
        let one = money("1", "USD").unwrap();
        assert_eq!(one.plus(money("0.05", "USD").unwrap()).unwrap().minor, 105);
        assert!(matches!(one.plus(money("1", "EUR").unwrap()), Err(Error::Currencies(..))));
        assert!(matches!(one.plus(Money { minor: i64::MAX, ..one }), Err(Error::Overflow(_))));
        assert_eq!(decimal(i64::MIN, 2), "-92233720368547758.08");
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        for (numerator, denominator, rounded) in [
            (5, 10, 1),
            (-5, 10, -1),
            (4, 10, 0),
            (15, 10, 2),
            (25, 10, 3),
            (-25, 10, -3),
            (-24, 10, -2),
            (7, 7, 1),
            (0, 9, 0),
            (1, 3, 0),
            (2, 3, 1),
        ] {
            assert_eq!(round(numerator, denominator), Ok(rounded), "{numerator}/{denominator}");
        }
        assert!(round(1, 0).is_err() && round(i128::MIN, -1).is_err() && round(i128::MAX, 1).is_err());
        assert_eq!(round(i128::MAX, i128::MAX), Ok(1));
    }
}
