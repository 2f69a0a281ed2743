//! Go's layouts of times, and the verbs of its `Printf` that `LogFormat` knows.

use std::fmt::Write as _;

use crate::value::{Time, Value};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What stands for a part of the time. Of two that fit, the earlier one here is meant.
const ELEMENTS: [&str; 33] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "__2",
    "_2",
    "1",
    "2",
    "3",
    "4",
    "5",
    "PM",
    "pm",
    "-07:00:00",
    "-07:00",
    "-070000",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z07:00",
    "Z070000",
    "Z0700",
    "Z07",
];

/// A time by a layout, as Go's `Format`.
pub(super) fn format(time: Time, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 8);
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let known = ELEMENTS.iter().find(|element| rest.starts_with(**element));
        let known = known.filter(|element| is_element(element, rest));
        if let Some(element) = known {
            write_element(&mut out, element, time);
            rest = rest.get(element.len()..).unwrap_or("");
        } else if let Some(length) = fraction(rest) {
            write_fraction(&mut out, rest, length, time.nanos);
            rest = rest.get(length..).unwrap_or("");
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    out
}

/// A few of them depend on what follows.
fn is_element(element: &str, rest: &str) -> bool {
    let after = rest.get(element.len()..).unwrap_or("");
    match element {
        // Not the beginning of another word.
        "Jan" | "Mon" => !after.starts_with(|c: char| c.is_ascii_lowercase()),
        // A lonely underscore before the year.
        "_2" => !after.starts_with("006"),
        _ => true,
    }
}

/// The length of a fraction of seconds: a dot or comma with zeros or nines, and no digit after.
fn fraction(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    if !matches!(bytes.first(), Some(b'.' | b',')) {
        return None;
    }
    let digit = *bytes.get(1).filter(|byte| matches!(byte, b'0' | b'9'))?;
    let length = 1 + bytes.iter().skip(1).take_while(|byte| **byte == digit).count();
    (!bytes.get(length).is_some_and(u8::is_ascii_digit)).then_some(length)
}

fn write_fraction(out: &mut String, layout: &str, length: usize, nanos: u32) {
    let digits = format!("{nanos:09}{}", "0".repeat(length));
    let mut digits = digits.get(..length - 1).unwrap_or("");
    if layout.as_bytes().get(1) == Some(&b'9') {
        digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return;
        }
    }
    out.push_str(layout.get(..1).unwrap_or("."));
    out.push_str(digits);
}

fn write_element(out: &mut String, element: &str, time: Time) {
    let parts = time.parts();
    let month = MONTHS.get(parts.month as usize - 1).copied().unwrap_or("");
    let day = DAYS.get(parts.weekday as usize).copied().unwrap_or("");
    let hour = if parts.hour % 12 == 0 { 12 } else { parts.hour % 12 };
    let _ = match element {
        "January" => write!(out, "{month}"),
        "Jan" => write!(out, "{}", month.get(..3).unwrap_or("")),
        "Monday" => write!(out, "{day}"),
        "Mon" => write!(out, "{}", day.get(..3).unwrap_or("")),
        "MST" => write!(out, "UTC"),
        "2006" => write!(out, "{}{:04}", if parts.year < 0 { "-" } else { "" }, parts.year.abs()),
        "06" => write!(out, "{:02}", (parts.year % 100).abs()),
        "002" => write!(out, "{:03}", parts.year_day),
        "__2" => write!(out, "{:3}", parts.year_day),
        "01" => write!(out, "{:02}", parts.month),
        "1" => write!(out, "{}", parts.month),
        "02" => write!(out, "{:02}", parts.day),
        "_2" => write!(out, "{:2}", parts.day),
        "2" => write!(out, "{}", parts.day),
        "15" => write!(out, "{:02}", parts.hour),
        "03" => write!(out, "{hour:02}"),
        "3" => write!(out, "{hour}"),
        "04" => write!(out, "{:02}", parts.minute),
        "4" => write!(out, "{}", parts.minute),
        "05" => write!(out, "{:02}", parts.second),
        "5" => write!(out, "{}", parts.second),
        "PM" => write!(out, "{}", if parts.hour >= 12 { "PM" } else { "AM" }),
        "pm" => write!(out, "{}", if parts.hour >= 12 { "pm" } else { "am" }),
        zulu if zulu.starts_with('Z') => write!(out, "Z"),
        // The zone is always UTC.
        offset => write!(out, "{}", offset.replace('-', "+").replace('7', "0")),
    };
}

/// One value by a format: `%v %s %d %f %.2f %t %q %x` and `%%`.
pub(super) fn printf(format: &str, value: &Value<'_>) -> String {
    let plain = |value: &Value<'_>| value.as_str().map_or_else(|| value.to_json(), str::to_owned);
    let mut out = String::new();
    let mut used = false;
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| c.is_ascii_digit() || "+-# .".contains(*c)) {
            flags.push(flag);
        }
        let digits = flags.split_once('.').and_then(|(_, digits)| digits.parse().ok()).unwrap_or(6_usize).min(40);
        let verb = chars.next();
        if verb == Some('%') {
            out.push('%');
            continue;
        }
        if used {
            out.push_str("%!(MISSING)");
            continue;
        }
        used = true;
        let _ = match (verb, value.as_f64()) {
            (Some('f' | 'F'), Some(number)) => write!(out, "{number:.digits$}"),
            (Some('x'), _) if value.as_i64().is_some() => write!(out, "{:x}", value.as_i64().unwrap_or(0)),
            (Some('q'), _) => write!(out, "{:?}", plain(value)),
            _ => write!(out, "{}", plain(value)),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_filled_in() {
        let time = Time { nanos: 123_400_000, ..Time::new(2026, 3, 9, 7, 5, 2).unwrap() };
        for (layout, text) in [
            ("2006-01-02T15:04:05Z07:00", "2026-03-09T07:05:02Z"),
            ("Mon, 02 Jan 2006 15:04:05 -0700", "Mon, 09 Mar 2026 07:05:02 +0000"),
            ("Monday January _2 3:04PM MST", "Monday March  9 7:05AM UTC"),
            ("1/2/06 3:4:5 pm", "3/9/26 7:5:2 am"),
            ("002", "068"),
            ("15:04:05.000 .999", "07:05:02.123 .123"),
            ("05.99", "02.12"),
            ("-07:00", "+00:00"),
            ("year", "year"),
            ("Janvier Month", "Janvier Month"),
            ("_2006", "_2026"),
            ("", ""),
        ] {
            assert_eq!(format(time, layout), text, "{layout}");
        }
    }

    #[test]
    fn one_value_is_printed() {
        assert_eq!(printf("value %v of 100%%", &Value::Int(4)), "value 4 of 100%");
        assert_eq!(printf("%.2f %s", &Value::Float(2.5)), "2.50 %!(MISSING)");
        assert_eq!(printf("%q", &Value::text("a")), "\"a\"");
        assert_eq!(printf("%", &Value::Null), "null");
    }
}
