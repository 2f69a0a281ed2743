//! Where and why a text is not the JSON we take.

use std::fmt;

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The text ends inside a value; the words say what was still to come.
    End(&'static str),
    /// This character stands where the words say something else must.
    Unexpected(char, &'static str),
    /// The decoded key that an object names twice.
    DuplicateKey(String),
    TooDeep,
    /// A control character inside a string, by its code.
    Control(u8),
    BadEscape,
    LoneSurrogate,
    BadNumber,
    /// Something follows the value.
    Trailing(char),
    ByteOrderMark,
}

/// A place and a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    pub what: What,
}

impl Fault {
    /// Counts lines and columns only now: whoever is right never pays for it.
    pub(crate) fn new(text: &str, offset: usize, what: What) -> Self {
        let (line, column) = place(text.as_bytes(), offset);
        Fault { offset, line, column, what }
    }
}

/// The line and column, from 1 and in characters, of a byte of a text that is UTF-8 up to there.
pub(crate) fn place(text: &[u8], offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    // Continuation bytes start no character.
    let column = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (count(line), count(column))
}

// === texts ===

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::End(expected) => write!(f, "the text ends where {expected} should come"),
            What::Unexpected(found, expected) => write!(f, "found {found:?} where {expected} should come"),
            What::DuplicateKey(key) => write!(f, "duplicate key {key:?}"),
            What::TooDeep => write!(f, "nested deeper than {}", crate::limits::JSON_DEPTH_MAX),
            What::Control(code) => write!(f, "control character U+{code:04X} in a string must be escaped"),
            What::BadEscape => write!(f, "no such escape"),
            What::LoneSurrogate => write!(f, "half of a surrogate pair"),
            What::BadNumber => write!(f, "not a JSON number"),
            What::Trailing(found) => write!(f, "found {found:?} after the end of the value"),
            What::ByteOrderMark => write!(f, "found a byte order mark"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for Fault {}
