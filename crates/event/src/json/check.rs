//! One pass that accepts exactly the JSON we take: RFC 8259, keys once per object, bounded depth.
//!
//! No recursion and no tree: the path from the root is one bit a level, the keys of open objects are one stack.

use super::keys::{Key, Keys};
use super::{swar, Fault, What};
use crate::limits::JSON_DEPTH_MAX;
use std::borrow::Cow;

// One bit a level.
const _: () = assert!(JSON_DEPTH_MAX <= 64);

/// Whether `text` is one JSON text, blanks around it allowed: syntax, escapes (half a surrogate pair is refused),
/// numbers, no key twice in an object after decoding, no more than [`JSON_DEPTH_MAX`] levels, nothing after the end.
pub fn check(text: &str) -> Result<(), Fault> {
    let mut checker = Checker::new(text);
    checker.value()?;
    checker.end()
}

/// A cursor that checks what it passes. Callers walk outer levels themselves, and take values whole.
pub(crate) struct Checker<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    keys: Keys<'a>,
}

/// An object that a caller walks, from [`Checker::object`] to the last [`Checker::member`].
pub(crate) struct Open {
    keys_from: usize,
    first: bool,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Checker { text, bytes: text.as_bytes(), at: 0, keys: Keys::default() }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Steps over blanks and gives the next byte, 0 at the end.
    pub(crate) fn peek(&mut self) -> u8 {
        self.blanks();
        self.byte()
    }

    /// Steps over `byte` if it comes next.
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    /// Nothing but blanks may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        self.blanks();
        match self.character() {
            None => Ok(()),
            Some(found) => Err(self.fault(What::Trailing(found))),
        }
    }

    /// The fault of something else standing here than `expected`.
    pub(crate) fn unexpected(&self, expected: &'static str) -> Fault {
        self.fault(match self.character() {
            Some('\u{feff}') if self.at == 0 => What::ByteOrderMark,
            Some(found) => What::Unexpected(found, expected),
            None => What::End(expected),
        })
    }

    // === objects walked by the caller ===

    pub(crate) fn object(&mut self) -> Result<Open, Fault> {
        if !self.take(b'{') {
            return Err(self.unexpected("an object"));
        }
        Ok(Open { keys_from: self.keys.len(), first: true })
    }

    /// The next key and its offset, none after the last. The caller takes the [`value`](Self::value) that follows.
    pub(crate) fn member(&mut self, open: &mut Open) -> Result<Option<(Cow<'a, str>, usize)>, Fault> {
        if self.take(b'}') {
            // After a comma the loop below asked for a key, so this can't be `{…,}`.
            self.close(open.keys_from)?;
            return Ok(None);
        }
        if !open.first && !self.take(b',') {
            return Err(self.unexpected("`,` or `}`"));
        }
        open.first = false;
        self.blanks();
        let key = self.key(open.keys_from)?;
        Ok(Some((key.decoded(), key.offset)))
    }

    // === values ===

    /// Checks one value, of at most [`JSON_DEPTH_MAX`] levels, and gives its text.
    pub(crate) fn value(&mut self) -> Result<&'a str, Fault> {
        self.blanks();
        let start = self.at;
        let mut starts = [0_usize; JSON_DEPTH_MAX];
        let mut objects = 0_u64;
        let mut depth = 0;
        'value: loop {
            match self.byte() {
                b'"' => {
                    self.string()?;
                }
                open @ (b'{' | b'[') => {
                    if depth == JSON_DEPTH_MAX {
                        return Err(self.fault(What::TooDeep));
                    }
                    self.at += 1;
                    self.blanks();
                    if self.byte() == open + 2 {
                        self.at += 1;
                    } else {
                        starts[depth] = self.keys.len();
                        depth += 1;
                        objects = objects << 1 | u64::from(open == b'{');
                        if open == b'{' {
                            self.key(starts[depth - 1])?;
                        }
                        continue 'value;
                    }
                }
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                b'n' => self.word("null")?,
                _ => return Err(self.unexpected("a value")),
            }
            while depth > 0 {
                self.blanks();
                let in_object = objects & 1 == 1;
                match (self.byte(), in_object) {
                    (b',', true) => {
                        self.at += 1;
                        self.blanks();
                        self.key(starts[depth - 1])?;
                        continue 'value;
                    }
                    (b',', false) => {
                        self.at += 1;
                        self.blanks();
                        continue 'value;
                    }
                    (b'}', true) => self.close(starts[depth - 1])?,
                    (b']', false) => {}
                    (_, true) => return Err(self.unexpected("`,` or `}`")),
                    (_, false) => return Err(self.unexpected("`,` or `]`")),
                }
                self.at += 1;
                depth -= 1;
                objects >>= 1;
            }
            return Ok(&self.text[start..self.at]);
        }
    }

    /// A key up to the value after it.
    #[inline]
    fn key(&mut self, keys_from: usize) -> Result<Key<'a>, Fault> {
        if self.byte() != b'"' {
            return Err(self.unexpected("a key in double quotes"));
        }
        let start = self.at;
        let plain = self.string()?;
        let key = Key::new(&self.text[start + 1..self.at - 1], start, plain);
        if !self.keys.push(key, keys_from) {
            return Err(self.duplicate(&key));
        }
        self.blanks();
        if self.byte() != b':' {
            return Err(self.unexpected("`:`"));
        }
        self.at += 1;
        self.blanks();
        Ok(key)
    }

    #[inline]
    fn close(&mut self, keys_from: usize) -> Result<(), Fault> {
        match self.keys.close(keys_from) {
            None => Ok(()),
            Some(key) => Err(self.duplicate(&key)),
        }
    }

    fn duplicate(&self, key: &Key<'_>) -> Fault {
        Fault::new(self.text, key.offset, What::DuplicateKey(key.decoded().into_owned()))
    }

    /// A string; whether it has no escape.
    #[inline]
    fn string(&mut self) -> Result<bool, Fault> {
        let mut plain = true;
        let mut at = self.at + 1;
        loop {
            at = swar::string_special(self.bytes, at);
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(plain);
                }
                Some(b'\\') => {
                    plain = false;
                    self.at = at;
                    at = self.escape()?;
                }
                Some(code) => return Err(Fault::new(self.text, at, What::Control(*code))),
                None => return Err(Fault::new(self.text, at, What::End("the string's end"))),
            }
        }
    }

    /// The offset after the escape that stands here.
    fn escape(&self) -> Result<usize, Fault> {
        let after = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => return Ok(self.at + 2),
            Some(b'u') => self.at + 6,
            _ => return Err(self.fault(What::BadEscape)),
        };
        match hex4(self.bytes, self.at + 2) {
            None => Err(self.fault(What::BadEscape)),
            Some(0xDC00..=0xDFFF) => Err(self.fault(What::LoneSurrogate)),
            Some(0xD800..=0xDBFF) => {
                let escaped = self.bytes.get(after..after + 2) == Some(br"\u");
                match hex4(self.bytes, after + 2) {
                    Some(0xDC00..=0xDFFF) if escaped => Ok(after + 6),
                    _ => Err(self.fault(What::LoneSurrogate)),
                }
            }
            Some(_) => Ok(after),
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += usize::from(self.byte() == b'-');
        let leading_zero = self.byte() == b'0';
        let whole = self.digits();
        let mut good = whole > 0 && !(leading_zero && whole > 1);
        if self.byte() == b'.' {
            self.at += 1;
            good &= self.digits() > 0;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), b'+' | b'-'));
            good &= self.digits() > 0;
        }
        if good {
            return Ok(());
        }
        Err(Fault::new(self.text, start, What::BadNumber))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.byte().is_ascii_digit() {
            self.at += 1;
        }
        self.at - start
    }

    fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    // === bytes ===

    #[inline]
    fn byte(&self) -> u8 {
        // A zero byte is nowhere allowed outside strings, so it may stand for the end.
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn blanks(&mut self) {
        while matches!(self.byte(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    fn character(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn fault(&self, what: What) -> Fault {
        Fault::new(self.text, self.at, what)
    }
}

/// The number of four hexadecimal digits.
pub(super) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> What {
        check(text).expect_err(text).what
    }

    #[test]
    fn valid_texts_pass() {
        for text in [
            "0",
            "-0",
            "-0.5e+10",
            "1E3",
            "\"\"",
            "null",
            "true",
            "false",
            "[]",
            "{}",
            " \t\r\n[ 1 , [ ] , { } ] ",
            r#"{"a":{"a":1},"b":[{"a":1},{"a":2}]}"#,
            r#""\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t""#,
            "\"\u{7f}é😀\"",
            "1e999",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn broken_texts_are_refused_with_their_reason() {
        assert_eq!(what(""), What::End("a value"));
        assert_eq!(what("[1,]"), What::Unexpected(']', "a value"));
        assert_eq!(what("{\"a\":1,}"), What::Unexpected('}', "a key in double quotes"));
        assert_eq!(what("{\"a\" 1}"), What::Unexpected('1', "`:`"));
        assert_eq!(what("{a:1}"), What::Unexpected('a', "a key in double quotes"));
        assert_eq!(what("[1 2]"), What::Unexpected('2', "`,` or `]`"));
        assert_eq!(what("[1}"), What::Unexpected('}', "`,` or `]`"));
        assert_eq!(what("[1"), What::End("`,` or `]`"));
        assert_eq!(what("{\"a\":1"), What::End("`,` or `}`"));
        assert_eq!(what("\"abc"), What::End("the string's end"));
        assert_eq!(what("\"a\u{1}\""), What::Control(1));
        assert_eq!(what("\"a\nb\""), What::Control(10));
        assert_eq!(what(r#""\x""#), What::BadEscape);
        assert_eq!(what(r#""\u12""#), What::BadEscape);
        assert_eq!(what(r#""\u+123""#), What::BadEscape);
        assert_eq!(what(r#""\ud800""#), What::LoneSurrogate);
        assert_eq!(what(r#""\ud800\u0041""#), What::LoneSurrogate);
        assert_eq!(what(r#""\udc00""#), What::LoneSurrogate);
        for number in ["01", "-", "1.", "1.e5", "1e", "1e+", "-01", "--1"] {
            assert_eq!(what(number), What::BadNumber, "{number}");
        }
        for start in ["+1", ".5", "NaN", "tru", "nul", "'a'", "\0", "\u{a0}1"] {
            assert!(matches!(what(start), What::Unexpected(..)), "{start}");
        }
        assert_eq!(what("1 x"), What::Trailing('x'));
        assert_eq!(what("nullx"), What::Trailing('x'));
        assert_eq!(what("1\0"), What::Trailing('\0'));
        assert_eq!(what("\u{feff}{}"), What::ByteOrderMark);
    }

    #[test]
    fn a_fault_says_line_and_column_in_characters() {
        let fault = check("{\n  \"é\": 1,\n  \"äöü\": 1, \"é\": 2}").expect_err("duplicate");
        assert_eq!((fault.line, fault.column), (3, 13));
        assert_eq!(fault.to_string(), "line 3, column 13: duplicate key \"é\"");
    }

    #[test]
    fn depth_is_held_on_both_sides() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(&nested(JSON_DEPTH_MAX)), Ok(()));
        assert_eq!(what(&nested(JSON_DEPTH_MAX + 1)), What::TooDeep);
        let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(check(&objects(JSON_DEPTH_MAX)), Ok(()));
        assert_eq!(what(&objects(JSON_DEPTH_MAX + 1)), What::TooDeep);
        assert_eq!(what(&"[".repeat(1 << 20)), What::TooDeep);
    }

    #[test]
    fn a_key_twice_is_found_however_it_is_spelt() {
        assert_eq!(what(r#"{"a":1,"\u0061":2}"#), What::DuplicateKey("a".into()));
        assert_eq!(what(r#"[{"":1,"":2}]"#), What::DuplicateKey(String::new()));
        assert_eq!(what(r#"{"a":{"b":1},"a":2}"#), What::DuplicateKey("a".into()));
        assert_eq!(check(r#"{"a":1,"A":2,"aa":3,"aaaaaaaa":4,"aaaaaaaaa":5,"\u0000":6,"\u0000\u0000":7}"#), Ok(()));
    }

    #[test]
    fn a_key_twice_is_found_in_objects_of_every_size() {
        for size in [2, 31, 32, 33, 34, 500, 20_000] {
            let keys: Vec<String> = (0..size).map(|n| format!("\"key {n}\":{{\"x\":{n}}}")).collect();
            assert_eq!(check(&format!("{{{}}}", keys.join(","))), Ok(()));
            for again in [0, size / 2, size - 1] {
                let text = format!("{{{},\"key {again}\":0}}", keys.join(","));
                let fault = check(&text).expect_err("duplicate");
                assert_eq!(fault.what, What::DuplicateKey(format!("key {again}")));
                assert!(text[fault.offset..].ends_with(&format!("\"key {again}\":0}}")));
            }
        }
    }
}
