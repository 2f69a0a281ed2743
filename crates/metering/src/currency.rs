//! Currencies and the digits of their minor unit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// ISO 4217, by digits of the minor unit: what is money, without metals, funds and test codes.
const BY_DIGITS: [(u8, &str); 3] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC \
         CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR \
         JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD \
         NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
         SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
];

/// A currency of ISO 4217.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: &'static str,
    digits: u8,
}

// === impl Currency ===

impl Currency {
    pub fn from_code(code: &str) -> Result<Self> {
        let find = |(digits, codes): &(u8, &'static str)| {
            codes.split(' ').find(|known| *known == code).map(|code| Currency { code, digits: *digits })
        };
        BY_DIGITS.iter().find_map(find).ok_or_else(|| Error::Currency(code.to_owned()))
    }

    pub fn code(self) -> &'static str {
        self.code
    }

    /// Digits after the point: 2 for USD, 0 for JPY.
    pub fn digits(self) -> usize {
        usize::from(self.digits)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let code = String::deserialize(deserializer)?;
        Currency::from_code(&code).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let codes: Vec<&str> = BY_DIGITS.iter().flat_map(|(_, codes)| codes.split(' ')).collect();
        assert!(codes.iter().all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())));
        let unique: std::collections::BTreeSet<_> = codes.iter().collect();
        assert_eq!(unique.len(), codes.len());
        for (code, digits) in [("JPY", 0), ("USD", 2), ("EUR", 2), ("KWD", 3)] {
            assert_eq!(Currency::from_code(code).unwrap().digits(), digits);
        }
    }

    #[test]
    fn what_is_not_in_it_is_refused() {
        for bad in ["", "usd", "US", "XXX", "USD EUR", "XAU"] {
            assert_eq!(Currency::from_code(bad), Err(Error::Currency(bad.into())));
        }
    }
}
