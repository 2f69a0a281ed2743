//! Rating: what a quantity costs under one charge.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plan::{Charge, Pricing, Tier};
use crate::{Currency, Error, Price, Result, Share};

/// Which of a charge's prices was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// The allowance.
    Free,
    /// One price for each unit.
    All,
    /// Whole packages.
    Package,
    /// The tier of that number, the first being 1.
    Tier(u16),
}

/// A part of a quantity, at one price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rated {
    pub band: Band,
    pub quantity: u64,
    /// None of what is free.
    pub price: Option<Price>,
    pub amount_minor: i64,
}

// === impl Band ===

impl Band {
    fn tier(place: usize) -> Self {
        Band::Tier(u16::try_from(place).unwrap_or(u16::MAX).saturating_add(1))
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "free" => Some(Band::Free),
            "all" => Some(Band::All),
            "package" => Some(Band::Package),
            _ => text.parse().ok().map(Band::Tier),
        }
    }
}

impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Band::Free => f.write_str("free"),
            Band::All => f.write_str("all"),
            Band::Package => f.write_str("package"),
            Band::Tier(number) => write!(f, "{number}"),
        }
    }
}

impl Serialize for Band {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Band {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Band::parse(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no tier")))
    }
}

/// Splits `quantity` by price. The allowance comes first, and tiers count what is left. `share` is the part of the
/// month that this is the quantity of: the allowance and the tiers are as much shorter. Each part is rounded once.
pub fn rate(charge: &Charge, quantity: u64, share: Share, currency: Currency) -> Result<Vec<Rated>> {
    let mut rated = Vec::new();
    let free = quantity.min(share.of_units(charge.free));
    if free > 0 {
        rated.push(Rated { band: Band::Free, quantity: free, price: None, amount_minor: 0 });
    }
    let billable = quantity.saturating_sub(free);
    if billable == 0 {
        return Ok(rated);
    }
    let at = |band, quantity, price: Price| {
        let amount_minor = price.of(quantity, currency)?;
        Ok::<_, Error>(Rated { band, quantity, price: Some(price), amount_minor })
    };
    match &charge.pricing {
        Pricing::PerUnit(price) => rated.push(at(Band::All, billable, *price)?),
        Pricing::Package(price) => rated.push(Rated {
            band: Band::Package,
            quantity: billable,
            price: Some(*price),
            amount_minor: price.of_packages(billable, currency)?,
        }),
        Pricing::Graduated(tiers) => {
            let mut left = billable;
            for (place, (tier, width)) in tiers.iter().zip(widths(tiers, share)).enumerate() {
                let inside = left.min(width.unwrap_or(u64::MAX));
                left = left.saturating_sub(inside);
                if inside > 0 {
                    rated.push(at(Band::tier(place), inside, tier.price)?);
                }
            }
        }
        Pricing::Volume(tiers) => {
            let mut end: u64 = 0;
            for (place, (tier, width)) in tiers.iter().zip(widths(tiers, share)).enumerate() {
                end = end.saturating_add(width.unwrap_or(u64::MAX));
                if billable <= end {
                    rated.push(at(Band::tier(place), billable, tier.price)?);
                    break;
                }
            }
        }
    }
    Ok(rated)
}

/// How wide each tier is in a share of a month; the last has no end. Shares are of widths and not of borders, so that
/// no tier of a part is below zero, and a tier's parts add up to the tier.
fn widths(tiers: &[Tier], share: Share) -> impl Iterator<Item = Option<u64>> + '_ {
    let mut before = 0;
    tiers.iter().map(move |tier| {
        tier.up_to.map(|up_to| {
            let width = up_to.saturating_sub(before);
            before = up_to;
            share.of_units(width)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;

    fn rated(charge: &str, quantity: u64) -> String {
        let plan = format!(r#"{{"name":"p","currency":"USD","charges":[{{"meter":"events_in",{charge}}}]}}"#);
        let plan = Plan::from_json(&plan).unwrap();
        let parts = rate(&plan.charges()[0], quantity, Share::WHOLE, plan.currency()).unwrap();
        let told = parts.iter().map(|part| format!("{}:{}={}", part.band, part.quantity, part.amount_minor));
        told.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_model_rates_as_its_name_says() {
        const TIERS: &str = r#"[{"up_to":10,"amount":"1.00"},{"up_to":100,"amount":"0.50"},{"amount":"0.20"}]"#;
        let graduated = format!(r#""price":{{"graduated":{TIERS}}}"#);
        let volume = format!(r#""price":{{"volume":{TIERS}}}"#);
        let package = r#""price":{"package":{"amount":"5","per":1000}}"#;
        let unit = r#""price":{"per_unit":{"amount":"0.40","per":1000}}"#;
        for (charge, quantity, want) in [
            (graduated.as_str(), 0, ""),
            (&graduated, 10, "1:10=1000"),
            (&graduated, 11, "1:10=1000 2:1=50"),
            (&graduated, 101, "1:10=1000 2:90=4500 3:1=20"),
            (&volume, 10, "1:10=1000"),
            (&volume, 11, "2:11=550"),
            (&volume, 101, "3:101=2020"),
            (package, 1001, "package:1001=1000"),
            (unit, 1012, "all:1012=40"),
            (unit, 1013, "all:1013=41"),
        ] {
            assert_eq!(rated(charge, quantity), want, "{charge} {quantity}");
        }
    }

    #[test]
    fn the_allowance_comes_first_and_tiers_count_the_rest() {
        let charge = r#""free":5,"price":{"graduated":[{"up_to":10,"amount":"1.00"},{"amount":"0.50"}]}"#;
        assert_eq!(rated(charge, 5), "free:5=0");
        assert_eq!(rated(charge, 16), "free:5=0 1:10=1000 2:1=50");
    }
}
