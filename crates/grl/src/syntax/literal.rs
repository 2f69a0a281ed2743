//! Values of literals: integers in three bases, decimal and hexadecimal floats, escapes in texts.

/// The integer of a literal without sign; base by its prefix, as Go reads it. None when it does not fit 64 bits.
pub(super) fn integer(text: &str, negative: bool) -> Option<i64> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (text.get(2..)?, 16),
        [b'0', _, ..] => (text.get(1..)?, 8),
        _ => (text, 10),
    };
    let value = i128::from(u64::from_str_radix(digits, base).ok()?);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// The float of a literal without sign; none when it is beyond the range of 64 bits.
pub(super) fn float(text: &str) -> Option<f64> {
    let value = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => hex_float(text.get(2..)?)?,
        _ => text.parse().ok()?,
    };
    f64::is_finite(value).then_some(value)
}

/// Mantissa and power of two, without `0x`. Digits beyond 60 bits only move the exponent, but for a sticky last one.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let mut exponent = exponent.parse::<i64>().unwrap_or(if exponent.starts_with('-') { -1 << 20 } else { 1 << 20 });
    let (mut bits, mut sticky, mut fraction) = (0_u64, false, false);
    for c in mantissa.chars() {
        let Some(digit) = c.to_digit(16) else {
            fraction = true;
            continue;
        };
        if bits >> 58 == 0 {
            bits = bits << 4 | u64::from(digit);
            exponent -= if fraction { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if fraction { 0 } else { 4 };
        }
    }
    let exponent = i32::try_from(exponent.clamp(-(1 << 20), 1 << 20)).ok()?;
    Some(libm::scalbn((bits | u64::from(sticky)) as f64, exponent))
}

/// What a quoted literal stands for. The error is where in `literal` it is, in bytes, and what is wrong.
pub(super) fn unquote(literal: &str) -> Result<String, (usize, usize, &'static str)> {
    let quote = literal.bytes().next().unwrap_or(b'"');
    let end = literal.len().saturating_sub(1).max(1);
    let inner = literal.get(1..end).unwrap_or("");
    if !inner.bytes().any(|byte| byte == b'\\' || byte == quote) {
        return Ok(inner.to_owned());
    }
    let bytes = inner.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == quote {
            return Err((at + 1, at + 3, "a quote inside the text must be written with a backslash"));
        }
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let length = escape(bytes, at, quote, &mut out)?;
        at += length;
    }
    // Bytes written as escapes need not be UTF-8.
    Ok(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Decodes the escape at `at`; its length.
fn escape(bytes: &[u8], at: usize, quote: u8, out: &mut Vec<u8>) -> Result<usize, (usize, usize, &'static str)> {
    let wrong = |length: usize, what| Err((at + 1, (at + 1 + length).min(bytes.len() + 1), what));
    let simple = match bytes.get(at + 1) {
        Some(b'a') => 7,
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'v') => 11,
        Some(b'\\') => b'\\',
        Some(&other) if other == quote => quote,
        Some(b'x') => match digits(bytes, at + 2, 2, 16) {
            Some(value) => {
                out.push(value as u8);
                return Ok(4);
            }
            None => return wrong(4, "\\x takes two hexadecimal digits"),
        },
        Some(letter @ (b'u' | b'U')) => {
            let count = if *letter == b'u' { 4 } else { 8 };
            let Some(character) = digits(bytes, at + 2, count, 16).and_then(char::from_u32) else {
                return wrong(count + 2, "this is not the code of a character");
            };
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(count + 2);
        }
        Some(b'0'..=b'7') => match digits(bytes, at + 1, 3, 8).filter(|value| *value < 256) {
            Some(value) => {
                out.push(value as u8);
                return Ok(4);
            }
            None => return wrong(4, "an octal escape is three digits up to \\377"),
        },
        _ => return wrong(2, "this escape does not exist; a backslash is written \\\\"),
    };
    out.push(simple);
    Ok(2)
}

fn digits(bytes: &[u8], at: usize, count: usize, base: u32) -> Option<u32> {
    let text = std::str::from_utf8(bytes.get(at..at + count)?).ok()?;
    if text.starts_with('+') {
        return None;
    }
    u32::from_str_radix(text, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_in_their_base() {
        assert_eq!(integer("0x1F", false), Some(31));
        assert_eq!(integer("017", true), Some(-15));
        assert_eq!(integer("00", false), Some(0));
        assert_eq!(integer("9223372036854775808", true), Some(i64::MIN));
        assert_eq!(integer("9223372036854775808", false), None);
        assert_eq!(integer("99999999999999999999", false), None);
    }

    #[test]
    fn hexadecimal_floats_are_exact() {
        assert_eq!(float("0x1p-2"), Some(0.25));
        assert_eq!(float("0x1.8p1"), Some(3.0));
        assert_eq!(float("0x.8p0"), Some(0.5));
        assert_eq!(float("0x1.fffffffffffffp1023"), Some(f64::MAX));
        assert_eq!(float("0x1p99999999999999"), None);
        assert_eq!(float("0x123456789abcdef01p0"), Some(0x1234_5678_9abc_def0_u64 as f64 * 16.0));
        assert_eq!(float("1e999"), None);
    }

    #[test]
    fn escapes_become_what_they_name() {
        assert_eq!(unquote(r#""a\tb\x41\101\u00e9\"""#).as_deref(), Ok("a\tbAA\u{e9}\""));
        assert_eq!(unquote(r#"'\'"'"#).as_deref(), Ok("'\""));
        assert_eq!(unquote(r#""\xc3\xa9""#).as_deref(), Ok("é"));
        for wrong in [r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\400""#, r#""\'""#, r#""a""b""#, r#""\u+123""#] {
            assert!(unquote(wrong).is_err(), "{wrong}");
        }
    }
}
