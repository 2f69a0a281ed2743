//! Windows against a calendar that counts days on its fingers.

use er_metering::{Period, Time, Window};
use proptest::prelude::*;

use crate::kit::month;

const DAY_US: i64 = 86_400_000_000;

/// Days of each month, from January 1970 on.
fn naive_months() -> impl Iterator<Item = (String, i64, i64)> {
    let mut first_day = 0;
    (1970..2500).flat_map(|year| (1..=12).map(move |month| (year, month))).map(move |(year, month)| {
        let days = match month {
            2 if year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let from = first_day;
        first_day += days;
        (format!("{year}-{month:02}"), from * DAY_US, first_day * DAY_US)
    })
}

fn us(us: i64) -> Time {
    Time::from_us(us).unwrap()
}

#[test]
fn months_begin_and_end_as_counted_by_hand() {
    for (label, from, to) in naive_months() {
        let counted = Period::new(us(from), us(to)).unwrap();
        assert_eq!(month(&label), counted);
        assert!(counted.is_month());
        for inside in [from, from + 1, (from + to) / 2, to - 1] {
            assert_eq!(Window::Month.of(us(inside)).unwrap(), counted, "{label}");
        }
        assert_eq!(counted.minutes() as i64, (to - from) / 60_000_000);
    }
}

proptest! {
    #[test]
    fn every_moment_is_in_one_window_of_each_kind_and_windows_nest(time in 0..253_370_764_800_000_000_i64) {
        let time = us(time);
        let mut inner: Option<Period> = None;
        for window in Window::ALL {
            let of = window.of(time).unwrap();
            prop_assert!(of.contains(time));
            prop_assert_eq!(window.of(of.from()).unwrap(), of);
            prop_assert_eq!(window.of(us(of.to().us() - 1)).unwrap(), of);
            prop_assert_eq!(window.start(of.to()), of.to(), "the next one begins where it ends");
            prop_assert!(inner.is_none_or(|inner| of.holds(inner)));
            inner = Some(of);
        }
        prop_assert_eq!(Time::parse(&time.to_string()).unwrap(), time);
    }
}
