//! Walking JSON that is known to be valid: ends of values, members, decoded texts and numbers. Broken text ends a walk
//! early, never badly.
//!
//! er-event has a scanner too, but its lookup takes JSON pointers made anew for each set and lets the first of two
//! equal keys win; here the paths come out of a compiled set's bytes, and the last one wins, as in Go.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::value::{Str, Value};

#[inline]
pub(crate) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The offset after the string that starts at `at`, and whether it has no escape.
#[inline]
pub(crate) fn string(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut plain = true;
    let mut at = at + 1;
    loop {
        at = special(bytes, at);
        match bytes.get(at) {
            Some(b'\\') => {
                plain = false;
                at = (at + 2).min(bytes.len());
            }
            Some(_) => return (at + 1, plain),
            None => return (bytes.len(), plain),
        }
    }
}

/// The first quote or backslash from `at`, eight bytes at a time.
#[inline]
fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let (quote, slash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
        let hits = (quote.wrapping_sub(ONES) & !quote | slash.wrapping_sub(ONES) & !slash) & HIGHS;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while !matches!(bytes.get(at), Some(b'"' | b'\\') | None) {
        at += 1;
    }
    at
}

/// The offset after the value that starts at `at`.
#[inline]
pub(crate) fn skip(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at).0,
        Some(b'{' | b'[') => rest(bytes, at + 1),
        _ => scalar(bytes, at),
    }
}

#[inline]
fn scalar(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\n' | b'\r' | b'\t') {
            break;
        }
        at += 1;
    }
    at
}

/// The offset after the object or array that `at` is inside of.
fn rest(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 1_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string(bytes, at).0;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The members of an object or the elements of an array, one at a time.
pub(crate) struct Items<'a> {
    text: &'a str,
    at: usize,
    object: bool,
}

/// One of them: where its comma and key start, its key if it has one, and where its value is.
pub(crate) struct Item<'a> {
    pub(crate) from: usize,
    pub(crate) key: Cow<'a, str>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

// === impl Items ===

impl<'a> Items<'a> {
    /// None when no object or array starts at `at`.
    pub(crate) fn new(text: &'a str, at: usize) -> Option<Self> {
        let at = blanks(text.as_bytes(), at);
        let object = match text.as_bytes().get(at) {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return None,
        };
        Some(Items { text, at: at + 1, object })
    }

    pub(crate) fn is_object(&self) -> bool {
        self.object
    }

    /// Where it is; after the last item, at the blanks before the closing bracket.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn next(&mut self) -> Option<Item<'a>> {
        let (from, key, start) = self.head()?;
        let end = skip(self.text.as_bytes(), start);
        self.pass(end).then_some(Item { from, key, start, end })
    }

    /// Goes to the next value: where its comma and key start, its key, and where it is. Whoever reads it says by
    /// [`Items::pass`] where it ends.
    #[inline]
    pub(crate) fn head(&mut self) -> Option<(usize, Cow<'a, str>, usize)> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut at = blanks(bytes, from);
        if bytes.get(at) == Some(&b',') {
            at = blanks(bytes, at + 1);
        }
        if matches!(bytes.get(at), Some(b'}' | b']') | None) {
            return None;
        }
        let mut name = Cow::Borrowed("");
        if self.object {
            if bytes.get(at) != Some(&b'"') {
                return None;
            }
            let (end, plain) = string(bytes, at);
            name = match plain {
                true => Cow::Borrowed(self.text.get(at + 1..end.checked_sub(1)?)?),
                false => decode(self.text.get(at..end)?)?,
            };
            at = blanks(bytes, end);
            if bytes.get(at) != Some(&b':') {
                return None;
            }
            at = blanks(bytes, at + 1);
        }
        Some((from, name, at))
    }

    /// Goes on after a value that ends there; false when that is no progress, as in broken text.
    #[inline]
    pub(crate) fn pass(&mut self, end: usize) -> bool {
        let forward = end > self.at;
        self.at = self.at.max(end);
        forward
    }
}

/// The text of a raw string, quotes included.
pub(crate) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let bytes = inner.as_bytes();
    let mut at = special(bytes, 0);
    if at >= bytes.len() {
        return Some(Cow::Borrowed(inner));
    }
    let mut out = String::with_capacity(inner.len());
    let mut copied = 0;
    while at < bytes.len() {
        out.push_str(inner.get(copied..at)?);
        let simple = match bytes.get(at + 1)? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => {
                let (character, length) = unicode(inner, at)?;
                out.push(character);
                copied = at + length;
                at = special(bytes, copied);
                continue;
            }
            byte => char::from(*byte),
        };
        out.push(simple);
        copied = at + 2;
        at = special(bytes, copied);
    }
    out.push_str(inner.get(copied..)?);
    Some(Cow::Owned(out))
}

/// The character of the `\u` at `at`; half a pair is the replacement character, as in Go.
fn unicode(inner: &str, at: usize) -> Option<(char, usize)> {
    let four = |from: usize| u32::from_str_radix(inner.get(from..from + 4)?, 16).ok();
    let high = four(at + 2)?;
    if let Some(character) = char::from_u32(high) {
        return Some((character, 6));
    }
    let low = inner.get(at + 6..at + 8).filter(|mark| *mark == "\\u").and_then(|_| four(at + 8));
    match low.filter(|low| high < 0xDC00 && (0xDC00..0xE000).contains(low)) {
        Some(low) => Some((char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?, 12)),
        None => Some(('\u{FFFD}', 6)),
    }
}

/// The value of a raw text; objects and arrays stay text.
#[inline]
pub(crate) fn value(raw: &str) -> Option<Value<'_>> {
    Some(match raw.as_bytes().first()? {
        b'"' => match decode(raw)? {
            Cow::Borrowed(text) => Value::Str(Str::Borrowed(text)),
            Cow::Owned(text) => Value::Str(Str::from(text)),
        },
        b'{' | b'[' => Value::Raw(raw),
        b't' => Value::Bool(true),
        b'f' => Value::Bool(false),
        b'n' => Value::Null,
        _ => number(raw)?,
    })
}

/// A number: whole ones are integers while they are exact, however they are written.
#[inline]
fn number(raw: &str) -> Option<Value<'static>> {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    if let Ok(value) = raw.parse::<i64>() {
        return Some(Value::Int(value));
    }
    if let Ok(value) = raw.parse::<u64>() {
        return Some(Value::Uint(value));
    }
    let value = raw.parse::<f64>().ok()?;
    if value.fract() == 0.0 && value.abs() < EXACT_BELOW {
        return Some(Value::Int(value as i64));
    }
    Some(Value::Float(value))
}

/// The names and texts in an object of facts; of equal names the last. Nothing of what is no object.
pub fn split_facts(text: &str) -> Vec<(Cow<'_, str>, &str)> {
    let mut facts: Vec<(Cow<'_, str>, &str)> = Vec::new();
    let Some(mut walk) = Items::new(text, 0).filter(Items::is_object) else { return facts };
    while let Some(item) = walk.next() {
        let value = text.get(item.start..item.end).unwrap_or("null");
        match facts.iter_mut().find(|(name, _)| *name == item.key) {
            Some((_, other)) => *other = value,
            None => facts.push((item.key, value)),
        }
    }
    facts
}

/// Writes `s` as a JSON string, quotes included.
pub(crate) fn write_string(out: &mut String, s: &str) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes a float as JSON does; what JSON cannot say is null.
pub(crate) fn write_float(out: &mut String, value: f64) {
    let size = value.abs();
    let _ = if !value.is_finite() {
        write!(out, "null")
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_walked_with_what_stands_between_them() {
        let text = r#" { "a" : 1 , "b\n":[2,{"c":"}"}]} "#;
        let mut items = Items::new(text, 0).unwrap();
        let first = items.next().unwrap();
        assert_eq!(
            (&text[first.from..first.start], &*first.key, &text[first.start..first.end]),
            (r#" "a" : "#, "a", "1")
        );
        let second = items.next().unwrap();
        assert_eq!(
            (&text[second.from..second.start], &*second.key, &text[second.start..second.end]),
            (" , \"b\\n\":", "b\n", r#"[2,{"c":"}"}]"#)
        );
        assert!(items.next().is_none());
        assert_eq!(&text[items.offset()..], "} ");
    }

    #[test]
    fn broken_text_ends_a_walk() {
        for text in ["{", "{\"a\"", "{\"a\":", "{\"a\":}", "[,", "{1}", "[\"", "{\"\\", "[[[[", "{\"a\" 1}"] {
            let mut items = Items::new(text, 0).unwrap();
            for _ in 0..8 {
                items.next();
            }
        }
        assert!(Items::new("7", 0).is_none());
    }

    #[test]
    fn numbers_keep_what_they_are() {
        assert_eq!(value("5.0"), Some(Value::Int(5)));
        assert_eq!(value("-1e2"), Some(Value::Int(-100)));
        assert_eq!(value("9223372036854775807"), Some(Value::Int(i64::MAX)));
        assert_eq!(value("18446744073709551615"), Some(Value::Uint(u64::MAX)));
        assert_eq!(value("2.5"), Some(Value::Float(2.5)));
        assert_eq!(value("1e300"), Some(Value::Float(1e300)));
        assert_eq!(value("x"), None);
    }

    #[test]
    fn texts_are_decoded() {
        assert_eq!(decode(r#""a\"\\\/\b\u00e9\ud83d\ude00\ud800x""#).as_deref(), Some("a\"\\/\u{8}é😀\u{FFFD}x"));
        assert_eq!(decode(r#""\u12""#), None);
    }

    #[test]
    fn floats_are_written_so_that_they_read_back() {
        for (value, text) in
            [(0.1, "0.1"), (6.0, "6"), (1e21, "1e21"), (1e-7, "1e-7"), (f64::NAN, "null"), (-0.0, "-0")]
        {
            let mut out = String::new();
            write_float(&mut out, value);
            assert_eq!(out, text);
        }
    }
}
