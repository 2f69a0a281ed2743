//! Shorthands of the tests, and files that hold what is expected.

use std::path::PathBuf;

use er_metering::{Meter, Period, Plan, Subscription, Time, Usage, Window};

pub fn at(text: &str) -> Time {
    Time::parse(text).unwrap()
}

pub fn month(text: &str) -> Period {
    Period::month(text).unwrap()
}

pub fn period(from: &str, to: &str) -> Period {
    Period::new(at(from), at(to)).unwrap()
}

pub fn plan(text: &str) -> Plan {
    Plan::from_json(text).unwrap()
}

/// One plan from the begin of a month on.
pub fn subscription(from: &str, text: &str) -> Subscription {
    Subscription::new(month(from).from(), plan(text)).unwrap()
}

/// Usage of acme by the minute.
pub fn usage(covers: Period, sums: &[(&str, Meter, u64)]) -> Usage {
    let mut usage = Usage::new("acme", covers, Window::Minute).unwrap();
    for (start, meter, quantity) in sums {
        usage.add(at(start), *meter, *quantity).unwrap();
    }
    usage
}

pub fn path(relative: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(relative)
}

pub fn read(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// Whether files of what is expected are to be written instead of read: with `UPDATE=1`.
pub fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Compares with a file of `tests/data`, or writes it.
pub fn hold(name: &str, text: &str) {
    let relative = format!("tests/data/{name}");
    if updating() {
        std::fs::write(path(&relative), text).unwrap();
    }
    assert!(read(&relative) == text, "{relative} differs; UPDATE=1 rewrites it. Now it is:\n{text}");
}
