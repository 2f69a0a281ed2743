//! The ledger against a set of records added up at the end.

use std::collections::BTreeMap;

use er_metering::{Ledger, Merge, Meter, Period, Quantities, Record, Time, Window};
use proptest::prelude::*;

use crate::kit::at;

type Sums = BTreeMap<(String, Time, Meter), u64>;

const MINUTES: i64 = 30;

fn record(number: usize, tenant: usize, minute: i64, used: &[(usize, u64)]) -> Record {
    let used =
        used.iter().try_fold(Quantities::default(), |sum, (meter, quantity)| sum.with(Meter::ALL[*meter], *quantity));
    let time = base().plus_us(minute * 60_000_000 + 59_000_000).unwrap();
    // Tenants have batches of the same ids: they are nothing to one another.
    Record::new(["acme", "other"][tenant], &format!("batch.{}", number / 2), time, used.unwrap()).unwrap()
}

/// The last minutes of a leap day.
fn base() -> Time {
    at("2024-02-29T23:45:00Z")
}

/// Distinct records: the same tenant never has an id twice.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let used = prop::collection::vec((0..Meter::COUNT, 1..1_000_000_000_u64), 1..4);
    prop::collection::vec((0..MINUTES, used), 1..60).prop_map(|list| {
        list.iter().enumerate().map(|(number, (minute, used))| record(number, number % 2, *minute, used)).collect()
    })
}

/// Records in any order, each at least once.
fn arrivals() -> impl Strategy<Value = (Vec<Record>, Vec<Record>)> {
    records().prop_flat_map(|records| {
        let again = prop::collection::vec(prop::sample::select(records.clone()), 0..60);
        let all = again.prop_map({
            let records = records.clone();
            move |again| records.iter().cloned().chain(again).collect::<Vec<_>>()
        });
        (Just(records), all.prop_shuffle())
    })
}

fn oracle(records: &[Record]) -> Sums {
    let mut sums = Sums::new();
    for record in records {
        for meter in Meter::ALL {
            let quantity = record.used.get(meter);
            if quantity > 0 {
                *sums.entry((record.tenant.clone(), record.minute, meter)).or_default() += quantity;
            }
        }
    }
    sums
}

fn sums(ledger: &Ledger) -> Sums {
    let period = Period::new(ledger.floor(), base().plus_us(MINUTES * 60_000_000).unwrap()).unwrap();
    let mut sums = Sums::new();
    for tenant in ledger.tenants() {
        for (window, used) in ledger.usage(tenant, period).unwrap().by(Window::Minute, period).unwrap() {
            sums.extend(used.iter().map(|(meter, quantity)| ((tenant.to_owned(), window.from(), meter), quantity)));
        }
    }
    sums
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_the_same_sums((records, arrivals) in arrivals()) {
        let mut ledger = Ledger::new(base());
        let mut counted = 0;
        for record in &arrivals {
            match ledger.merge(record).unwrap() {
                Merge::Counted => counted += 1,
                Merge::Duplicate => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(counted, records.len());
        prop_assert_eq!(sums(&ledger), oracle(&records));
    }

    #[test]
    fn of_records_with_one_key_the_least_counts_in_any_order(
        rivals in prop::collection::vec((0..4_usize, 0..MINUTES, (0..Meter::COUNT, 1..5_u64)), 1..40),
    ) {
        let records: Vec<Record> = rivals.iter().map(|(id, minute, used)| record(id * 2, 0, *minute, &[*used])).collect();
        let mut forth = Ledger::new(base());
        let mut back = forth.clone();
        for (one, other) in records.iter().zip(records.iter().rev()) {
            let _ = (forth.merge(one).unwrap(), back.merge(other).unwrap());
        }
        let mut counting: BTreeMap<(&str, Time), Record> = BTreeMap::new();
        for record in &records {
            let rival = counting.entry((&record.id, record.minute)).or_insert_with(|| record.clone());
            rival.used = rival.used.least(&record.used);
        }
        let counting: Vec<Record> = counting.into_values().collect();
        prop_assert_eq!(sums(&forth), oracle(&counting));
        prop_assert_eq!(sums(&back), oracle(&counting));
    }

    #[test]
    fn what_is_retired_and_what_is_left_is_all_that_was_counted(
        (_, arrivals) in arrivals(),
        floors in prop::collection::vec(0..MINUTES, 4),
    ) {
        let mut ledger = Ledger::new(base());
        let mut counted = Vec::new();
        let mut retired = Sums::new();
        for (place, record) in arrivals.iter().enumerate() {
            match ledger.merge(record).unwrap() {
                Merge::Counted => counted.push(record.clone()),
                Merge::Late => prop_assert!(record.minute < ledger.floor()),
                Merge::Duplicate => prop_assert!(counted.contains(record)),
                Merge::Conflict => prop_assert!(false),
            }
            if place % 10 == 9 {
                let floor = base().plus_us(floors[place / 10 % 4] * 60_000_000).unwrap();
                for sum in ledger.retire(floor) {
                    let before = retired.insert((sum.tenant, sum.minute, sum.meter), sum.quantity);
                    prop_assert_eq!(before, None, "a minute is retired once");
                }
            }
        }
        retired.extend(sums(&ledger));
        prop_assert_eq!(retired, oracle(&counted));
        prop_assert_eq!(ledger.records(), counted.iter().filter(|record| record.minute >= ledger.floor()).count());
    }

    #[test]
    fn a_record_survives_its_line(records in records()) {
        let lines: Vec<String> = records.iter().map(|record| record.to_line().unwrap()).collect();
        prop_assert_eq!(Record::parse_lines(&lines.join("\n")).unwrap(), records);
    }

    #[test]
    fn a_line_of_anything_is_an_error_and_no_panic(text in "\\PC{0,200}") {
        let _ = Record::parse_lines(&text);
    }

    #[test]
    fn wider_windows_hold_the_same_sums((_, arrivals) in arrivals()) {
        let mut ledger = Ledger::new(Window::Month.start(base()));
        for record in &arrivals {
            let _ = ledger.merge(record).unwrap();
        }
        let period = Period::new(Window::Month.start(base()), at("2024-04-01T00:00:00Z")).unwrap();
        for tenant in ["acme", "other"] {
            let usage = ledger.usage(tenant, period).unwrap();
            for window in Window::ALL {
                let rolled = usage.by(window, period).unwrap();
                prop_assert!(rolled.windows(2).all(|pair| pair[0].0.to() <= pair[1].0.from()));
                let total = rolled.iter().try_fold(Quantities::default(), |sum, (_, used)| sum.plus(used)).unwrap();
                prop_assert_eq!(total, usage.sum(period).unwrap());
            }
        }
    }
}
