//! Walking JSON that is known to be valid: no checks, only ends of values. Broken text ends a walk early, never badly.

use std::borrow::Cow;

use super::swar;

/// `text` without the blanks that JSON allows around a value.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\n', '\r', '\t'])
}

#[inline]
pub(super) fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The offset after the string that starts at `at`, and whether it has no escape.
#[inline]
pub(super) fn string(bytes: &[u8], at: usize) -> (usize, bool) {
    let mut plain = true;
    let mut at = at + 1;
    loop {
        at = swar::string_end(bytes, at);
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

/// The offset after the value that starts at `at`.
#[inline]
pub(super) fn value(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string(bytes, at).0,
        Some(b'{' | b'[') => rest(bytes, at + 1),
        _ => scalar(bytes, at),
    }
}

#[inline]
fn scalar(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
            break;
        }
        at += 1;
    }
    at
}

/// The offset after the object or array that `at` is inside of.
pub(super) fn rest(bytes: &[u8], mut at: usize) -> usize {
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

/// The decoded key that starts at `at`, and the offset of the value after it; none where no key and colon stand.
#[inline]
pub(super) fn key(text: &str, at: usize) -> Option<(Cow<'_, str>, usize)> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let (end, plain) = string(bytes, at);
    let key = if plain { Cow::Borrowed(text.get(at + 1..end - 1)?) } else { super::string(text.get(at..end)?)? };
    let colon = blanks(bytes, end);
    (bytes.get(colon) == Some(&b':')).then(|| (key, blanks(bytes, colon + 1)))
}

/// One member of an object.
pub(crate) struct Member<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: &'a str,
    /// Where its key starts.
    pub(crate) at: usize,
    /// Where `value` starts.
    pub(crate) start: usize,
}

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    Going,
    /// To the closing bracket; the offset after it.
    Done(usize),
    Broken,
}

/// The members of an object's text.
pub(crate) struct Members<'a> {
    text: &'a str,
    at: usize,
    walk: Walk,
}

impl<'a> Members<'a> {
    /// None when `text` is no object.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        Members::open(text, blanks(text.as_bytes(), 0))
    }

    /// Of the object that starts at `at`; none when none does.
    #[inline]
    pub(crate) fn open(text: &'a str, at: usize) -> Option<Self> {
        (text.as_bytes().get(at) == Some(&b'{')).then_some(Members { text, at: at + 1, walk: Walk::Going })
    }

    /// After the walk: the offset after the object; none when the text is broken before that.
    #[inline]
    pub(crate) fn end(&self) -> Option<usize> {
        match self.walk {
            Walk::Done(end) => Some(end),
            _ => None,
        }
    }

    /// After the walk: whether it came to the object's end, and nothing follows that.
    pub(crate) fn whole(&self) -> bool {
        self.end().is_some_and(|end| blanks(self.text.as_bytes(), end) == self.text.len())
    }

    #[inline]
    fn step(&mut self) -> Option<Member<'a>> {
        let bytes = self.text.as_bytes();
        let at = self.at;
        let (key, start) = key(self.text, at)?;
        let end = value(bytes, start);
        let value = self.text.get(start..end)?;
        self.at = after(bytes, end, b'}')?;
        (!value.is_empty()).then_some(Member { key, value, at, start })
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        if self.walk != Walk::Going {
            return None;
        }
        let bytes = self.text.as_bytes();
        self.at = blanks(bytes, self.at);
        if bytes.get(self.at) == Some(&b'}') {
            self.walk = Walk::Done(self.at + 1);
            return None;
        }
        let member = self.step();
        if member.is_none() {
            self.walk = Walk::Broken;
        }
        member
    }
}

/// The elements of an array's text: as an iterator of their texts, or by offset for whoever finds an element's end
/// anyway, with [`Elements::start`] and [`Elements::past`].
pub(crate) struct Elements<'a> {
    text: &'a str,
    at: usize,
    walk: Walk,
}

impl<'a> Elements<'a> {
    /// None when `text` is no array.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        let at = blanks(text.as_bytes(), 0);
        (text.as_bytes().get(at) == Some(&b'[')).then_some(Elements { text, at: at + 1, walk: Walk::Going })
    }

    /// After the walk: whether it came to the array's end, and nothing follows that.
    pub(crate) fn whole(&self) -> bool {
        match self.walk {
            Walk::Done(end) => blanks(self.text.as_bytes(), end) == self.text.len(),
            _ => false,
        }
    }

    /// How far the walk came, in bytes.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Where the next element starts.
    #[inline]
    pub(crate) fn start(&mut self) -> Option<usize> {
        if self.walk != Walk::Going {
            return None;
        }
        let bytes = self.text.as_bytes();
        self.at = blanks(bytes, self.at);
        if bytes.get(self.at) == Some(&b']') {
            self.walk = Walk::Done(self.at + 1);
            return None;
        }
        Some(self.at)
    }

    /// Goes on behind an element that ends at `end`; its text, unless the array is broken there.
    #[inline]
    pub(crate) fn past(&mut self, end: usize) -> Option<&'a str> {
        let value = self.text.get(self.at..end).filter(|value| !value.is_empty());
        match (value, after(self.text.as_bytes(), end, b']')) {
            (Some(_), Some(next)) => self.at = next,
            _ => self.walk = Walk::Broken,
        }
        value.filter(|_| self.walk == Walk::Going)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let start = self.start()?;
        self.past(value(self.text.as_bytes(), start))
    }
}

/// Where the walk goes on after a value: behind a comma, or at the closing bracket.
#[inline]
fn after(bytes: &[u8], end: usize, close: u8) -> Option<usize> {
    let at = blanks(bytes, end);
    match bytes.get(at) {
        Some(b',') => Some(at + 1),
        Some(byte) if *byte == close => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> (Vec<(String, &str)>, bool) {
        let mut members = Members::of(text).unwrap();
        let all = members.by_ref().map(|member| (member.key.into_owned(), member.value)).collect();
        (all, members.whole())
    }

    #[test]
    fn members_are_cut_whole() {
        let (all, whole) = members(r#" {"a":1, "b" : {"c":["}","\"]"]} ,"\u0064":"x\\" } "#);
        assert!(whole);
        assert_eq!(all, [("a".into(), "1"), ("b".into(), r#"{"c":["}","\"]"]}"#), ("d".into(), r#""x\\""#)]);
        assert_eq!(members("{}"), (vec![], true));
    }

    #[test]
    fn elements_are_cut_whole() {
        let mut elements = Elements::of(r#"[1,"]", {"a":[1]} ,null]"#).unwrap();
        assert_eq!(elements.by_ref().collect::<Vec<_>>(), ["1", "\"]\"", r#"{"a":[1]}"#, "null"]);
        assert!(elements.whole());
    }

    #[test]
    fn broken_text_ends_the_walk_and_is_told() {
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1}x",
            "{a}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":}",
            "{\"\\q\":1}",
        ] {
            assert!(!members(text).1, "{text}");
        }
        for text in ["[", "[1", "[1]x", "[1 2]", "[\"", "[,]", "[{]"] {
            let mut elements = Elements::of(text).unwrap();
            elements.by_ref().for_each(drop);
            assert!(!elements.whole(), "{text}");
        }
        assert!(Members::of("[1]").is_none());
        assert!(Elements::of("").is_none());
    }
}
