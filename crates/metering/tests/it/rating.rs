//! Prices against naive formulas over exact fractions.

use er_metering::{rate, Band, Charge, Currency, Meter, Period, Price, Pricing, Rated, Share, Tier};
use proptest::prelude::*;

use crate::kit::month;

/// A price, and what it was made of.
#[derive(Debug, Clone, Copy)]
struct Unit {
    nano: i64,
    per: u64,
}

impl Unit {
    fn price(self) -> Price {
        Price::parse(&format!("{}.{:09}", self.nano / 1_000_000_000, self.nano % 1_000_000_000), self.per).unwrap()
    }

    /// Minor units for `quantity`, as a fraction.
    fn exact(self, quantity: u64, currency: Currency) -> (i128, i128) {
        let minor = 10_i128.pow(currency.digits() as u32);
        (i128::from(quantity) * i128::from(self.nano) * minor, i128::from(self.per) * 1_000_000_000)
    }
}

fn unit() -> impl Strategy<Value = Unit> {
    (0..100_000_000_000_i64, prop_oneof![Just(1_u64), Just(1000), Just(1_000_000), 1..10_000_u64])
        .prop_map(|(nano, per)| Unit { nano, per })
}

fn currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(vec!["JPY", "USD", "KWD"]).prop_map(|code| Currency::from_code(code).unwrap())
}

/// Borders between tiers, and a price for each.
fn tiers() -> impl Strategy<Value = (Vec<u64>, Vec<Unit>)> {
    prop::collection::btree_set(1..100_000_u64, 0..6).prop_flat_map(|borders| {
        let borders: Vec<u64> = borders.into_iter().collect();
        let units = prop::collection::vec(unit(), borders.len() + 1);
        (Just(borders), units)
    })
}

fn made(borders: &[u64], units: &[Unit]) -> Vec<Tier> {
    let ends = borders.iter().copied().map(Some).chain([None]);
    ends.zip(units).map(|(up_to, unit)| Tier { up_to, price: unit.price() }).collect()
}

fn charge(free: u64, pricing: Pricing) -> Charge {
    Charge { meter: Meter::EventsIn, free, pricing }
}

fn rated(charge: &Charge, quantity: u64, currency: Currency) -> Vec<Rated> {
    rate(charge, quantity, Share::WHOLE, currency).unwrap()
}

fn total(rated: &[Rated]) -> i64 {
    rated.iter().map(|part| part.amount_minor).sum()
}

fn near(amount: i64, (numerator, denominator): (i128, i128)) -> bool {
    (i128::from(amount) * denominator - numerator).abs() * 2 <= denominator
}

proptest! {
    #[test]
    fn every_line_is_within_half_a_minor_unit_and_no_unit_is_lost(
        (borders, units) in tiers(), currency in currency(), free in 0..1000_u64, quantity in 0..200_000_u64, volume: bool,
    ) {
        let list = made(&borders, &units);
        let charge = charge(free, if volume { Pricing::Volume(list) } else { Pricing::Graduated(list) });
        let parts = rated(&charge, quantity, currency);
        prop_assert_eq!(parts.iter().map(|part| part.quantity).sum::<u64>(), quantity);
        for part in &parts {
            match part.band {
                Band::Free => prop_assert_eq!((part.amount_minor, part.quantity), (0, free.min(quantity))),
                Band::Tier(number) => {
                    let exact = units[usize::from(number) - 1].exact(part.quantity, currency);
                    prop_assert!(near(part.amount_minor, exact), "{part:?}");
                }
                other => prop_assert!(false, "{other}"),
            }
        }
    }

    #[test]
    fn graduated_units_each_fall_in_the_tier_of_their_number((borders, units) in tiers(), quantity in 0..3000_u64) {
        let currency = Currency::from_code("USD").unwrap();
        let borders: Vec<u64> = borders.iter().map(|border| border / 50).filter(|border| *border > 0).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let parts = rated(&charge(0, Pricing::Graduated(made(&borders, &units))), quantity, currency);
        let mut naive = vec![0_u64; borders.len() + 1];
        for number in 1..=quantity {
            naive[borders.iter().filter(|border| **border < number).count()] += 1;
        }
        for (place, count) in naive.into_iter().enumerate() {
            let found = parts.iter().find(|part| part.band == Band::Tier(place as u16 + 1)).map_or(0, |part| part.quantity);
            prop_assert_eq!(found, count);
        }
    }

    #[test]
    fn a_graduated_price_never_falls_and_never_jumps((borders, units) in tiers(), currency in currency(), place: prop::sample::Index, random in 0..200_000_u64) {
        let charge = charge(0, Pricing::Graduated(made(&borders, &units)));
        let border = if borders.is_empty() { random } else { borders[place.index(borders.len())] };
        for quantity in [border - border.min(1), border, border + 1, random] {
            let step = total(&rated(&charge, quantity + 1, currency)) - total(&rated(&charge, quantity, currency));
            prop_assert!(step >= 0, "more costs less");
            // One unit costs its own price, give or take the rounding of the one line that it is on.
            let unit = units[borders.iter().filter(|border| **border <= quantity).count()];
            let (numerator, denominator) = unit.exact(1, currency);
            prop_assert!((i128::from(step) - 1) * denominator <= numerator, "a jump of {step} at {quantity}");
        }
    }

    #[test]
    fn volume_is_the_whole_quantity_at_the_price_of_its_last_unit((borders, units) in tiers(), currency in currency(), quantity in 1..200_000_u64) {
        let parts = rated(&charge(0, Pricing::Volume(made(&borders, &units))), quantity, currency);
        let unit = units[borders.iter().filter(|border| **border < quantity).count()];
        prop_assert_eq!(parts.len(), 1);
        prop_assert!(near(parts[0].amount_minor, unit.exact(quantity, currency)));
    }

    #[test]
    fn packages_cost_as_many_as_are_begun(unit in unit(), currency in currency(), quantity in 0..200_000_u64) {
        let amount = total(&rated(&charge(0, Pricing::Package(unit.price())), quantity, currency));
        let packages = quantity / unit.per + u64::from(quantity % unit.per > 0);
        let each = Unit { per: 1, ..unit };
        prop_assert!(near(amount, each.exact(packages, currency)));
    }

    #[test]
    fn any_numbers_at_all_give_an_amount_or_an_error(
        nano in 0..=i64::MAX, per in 1..=i64::MAX as u64, quantity in 0..=i64::MAX as u64, currency in currency(), package: bool,
    ) {
        let unit = Unit { nano, per };
        let (pricing, exact) = if package {
            (Pricing::Package(unit.price()), Unit { per: 1, ..unit }.exact_of(quantity.div_ceil(per), currency))
        } else {
            (Pricing::PerUnit(unit.price()), unit.exact_of(quantity, currency))
        };
        let amount = rate(&charge(0, pricing), quantity, Share::WHOLE, currency);
        match amount {
            Ok(parts) => prop_assert!(exact.is_some_and(|exact| exact == i128::from(total(&parts)))),
            Err(_) => prop_assert!(exact.is_none()),
        }
    }

    #[test]
    fn a_month_cut_in_parts_has_the_allowance_and_the_tiers_of_the_month(
        (borders, units) in tiers(), free in 0..100_000_u64, minutes in prop::collection::btree_set(1..43_200_i64, 0..5),
    ) {
        let april = month("2026-04");
        let ends: Vec<_> = [0].into_iter().chain(minutes).chain([43_200])
            .map(|minute| april.from().plus_us(minute * 60_000_000).unwrap()).collect();
        let charge = charge(free, Pricing::Graduated(made(&borders, &units)));
        let currency = Currency::from_code("USD").unwrap();
        // More than everything but the last tier holds, in each part.
        let parts: Vec<Rated> = ends.windows(2)
            .map(|pair| Share::new(Period::new(pair[0], pair[1]).unwrap(), april).unwrap())
            .flat_map(|share| rate(&charge, 1_000_000, share, currency).unwrap())
            .collect();
        let of = |band| parts.iter().filter(|part| part.band == band).map(|part| part.quantity).sum::<u64>();
        prop_assert_eq!(of(Band::Free), free);
        let mut before = 0;
        for (place, border) in borders.iter().enumerate() {
            prop_assert_eq!(of(Band::Tier(place as u16 + 1)), border - before);
            before = *border;
        }
    }
}

impl Unit {
    /// Rounded by hand, if it fits: the numerator is taken apart so that nothing is too great for 128 bits.
    fn exact_of(self, quantity: u64, currency: Currency) -> Option<i128> {
        let divisor = i128::from(self.per) * 10_i128.pow(9 - currency.digits() as u32);
        let product = i128::from(quantity) * i128::from(self.nano);
        let (whole, rest) = (product / divisor, product % divisor);
        let rounded = whole + i128::from(rest != 0 && rest >= divisor - rest);
        (rounded <= i128::from(i64::MAX)).then_some(rounded)
    }
}
