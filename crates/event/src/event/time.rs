//! Time as RFC 3339 text and as microseconds since 1970-01-01T00:00:00Z.

const SECOND_US: i64 = 1_000_000;
const DAY_S: i64 = 86_400;
/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what four digits of a year can say.
const MIN_US: i64 = -62_167_219_200 * SECOND_US;
const MAX_US: i64 = 253_402_300_800 * SECOND_US - 1;

/// Microseconds since 1970 (UTC); digits beyond microseconds are cut. None for anything that is not RFC 3339.
/// A leap second (`23:59:60` UTC) counts as the second after it, as POSIX clocks do.
pub fn time_us(rfc3339: &str) -> Option<i64> {
    let bytes = rfc3339.as_bytes();
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't', h0, h1, b':', i0, i1, b':', s0, s1] =
        bytes.first_chunk::<19>()?
    else {
        return None;
    };
    let two = |tens: &u8, ones: &u8| Some(digit(*tens)? * 10 + digit(*ones)?);
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_us, rest) = fraction(&bytes[19..])?;
    let offset_s = offset(rest)?;
    let seconds = days_from_civil(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
    // A leap second ends a day in UTC, so one second later a day begins.
    if second == 60 && seconds.rem_euclid(DAY_S) != 0 {
        return None;
    }
    Some(seconds * SECOND_US + fraction_us)
}

/// `2024-05-06T07:08:09.1234Z`: UTC, microseconds, without zeros at the end. Years outside 0 to 9999 become the
/// first or last moment within.
pub fn rfc3339_us(us: i64) -> String {
    let us = us.clamp(MIN_US, MAX_US);
    let (seconds, fraction) = (us.div_euclid(SECOND_US), us.rem_euclid(SECOND_US));
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_S));
    let second = seconds.rem_euclid(DAY_S);
    let mut text = String::with_capacity(27);
    let mut two = |number: i64, after: &str| {
        text.push(char::from(b'0' + (number / 10) as u8));
        text.push(char::from(b'0' + (number % 10) as u8));
        text.push_str(after);
    };
    two(year / 100, "");
    two(year % 100, "-");
    two(month, "-");
    two(day, "T");
    two(second / 3600, ":");
    two(second / 60 % 60, ":");
    two(second % 60, "");
    if fraction > 0 {
        text.push('.');
        let (mut left, mut unit) = (fraction, SECOND_US / 10);
        while left > 0 {
            text.push(char::from(b'0' + (left / unit) as u8));
            (left, unit) = (left % unit, unit / 10);
        }
    }
    text.push('Z');
    text
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

/// Microseconds of `.123…`, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let mut us = 0;
    for place in 0..6 {
        us = us * 10 + digits[..count].get(place).map_or(0, |byte| i64::from(byte - b'0'));
    }
    Some((us, &digits[count..]))
}

/// Seconds east of UTC.
fn offset(rest: &[u8]) -> Option<i64> {
    let (sign, h0, h1, m0, m1) = match rest {
        [b'Z' | b'z'] => return Some(0),
        [b'+', h0, h1, b':', m0, m1] => (1, h0, h1, m0, m1),
        [b'-', h0, h1, b':', m0, m1] => (-1, h0, h1, m0, m1),
        _ => return None,
    };
    let hours = digit(*h0)? * 10 + digit(*h1)?;
    let minutes = digit(*m0)? * 10 + digit(*m1)?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Howard Hinnant's chrono-compatible algorithms: years begin in March, so the leap day comes last.

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, us) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000001z", 1),
            ("1969-12-31t23:59:59.5Z", -500_000),
            ("2018-04-05T17:31:00Z", 1_522_949_460_000_000),
            ("2018-04-05T17:31:00.123456789+02:00", 1_522_942_260_123_456),
            ("2018-04-05T17:31:00-23:59", 1_523_035_800_000_000),
            ("2000-02-29T12:00:00-00:00", 951_825_600_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000),
            ("2017-01-01T08:59:60.5+09:00", 1_483_228_800_500_000),
            ("0000-01-01T00:00:00Z", MIN_US),
            ("9999-12-31T23:59:59.999999Z", MAX_US),
        ] {
            assert_eq!(time_us(text), Some(us), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2018",
            "2018-04-05",
            "2018-04-05T17:31:00",
            "2018-04-05 17:31:00Z",
            "2018-04-05T17:31Z",
            "2018-13-05T17:31:00Z",
            "2018-00-05T17:31:00Z",
            "2018-04-31T17:31:00Z",
            "2018-04-00T17:31:00Z",
            "2100-02-29T00:00:00Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T17:60:00Z",
            "2018-04-05T17:31:61Z",
            "2018-04-05T17:31:60Z",
            "2018-04-05T17:31:00.Z",
            "2018-04-05T17:31:00,5Z",
            "2018-04-05T17:31:00+2:00",
            "2018-04-05T17:31:00+0200",
            "2018-04-05T17:31:00+24:00",
            "2018-04-05T17:31:00+02:60",
            "2018-04-05T17:31:00ZZ",
            " 2018-04-05T17:31:00Z",
            "-018-04-05T17:31:00Z",
            "2018-04-05T17:31:00é",
        ] {
            assert_eq!(time_us(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_written_in_utc_without_needless_digits() {
        assert_eq!(rfc3339_us(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339_us(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(rfc3339_us(1_522_942_260_123_400), "2018-04-05T15:31:00.1234Z");
        assert_eq!(rfc3339_us(1_522_942_260_000_010), "2018-04-05T15:31:00.00001Z");
        assert_eq!(rfc3339_us(i64::MIN), "0000-01-01T00:00:00Z");
        assert_eq!(rfc3339_us(i64::MAX), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn every_day_of_ten_thousand_years_reads_back() {
        let mut us = MIN_US;
        while us < MAX_US {
            let text = rfc3339_us(us);
            assert_eq!(time_us(&text), Some(us), "{text}");
            us += DAY_S * SECOND_US;
        }
    }
}
