//! Patterns of `MatchString`, kept compiled between events.

use std::collections::HashMap;

use regex_lite::{Regex, RegexBuilder};

use crate::limits::PATTERNS_MAX;

const PATTERN_BYTES_MAX: usize = 1 << 20;

/// None for what is no pattern.
#[derive(Default)]
pub(crate) struct Patterns {
    known: HashMap<String, Option<Regex>>,
}

// === impl Patterns ===

impl Patterns {
    /// None when `pattern` is none that can be used.
    pub(crate) fn is_match(&mut self, pattern: &str, text: &str) -> Option<bool> {
        if let Some(is) = simple(pattern, text) {
            return Some(is);
        }
        if !self.known.contains_key(pattern) {
            if self.known.len() >= PATTERNS_MAX {
                self.known.clear();
            }
            self.known.insert(pattern.to_owned(), compile(pattern));
        }
        self.known.get(pattern)?.as_ref().map(|regex| regex.is_match(text))
    }
}

pub(crate) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&quoted(pattern)).size_limit(PATTERN_BYTES_MAX).nest_limit(100).build().ok()
}

/// Letters, perhaps anchored, need no machine.
fn simple(pattern: &str, text: &str) -> Option<bool> {
    let (start, rest) = pattern.strip_prefix('^').map_or((false, pattern), |rest| (true, rest));
    let (end, rest) = rest.strip_suffix('$').map_or((false, rest), |rest| (true, rest));
    if rest.bytes().any(|byte| b"\\.+*?()|[]{}^$".contains(&byte)) {
        return None;
    }
    Some(match (start, end) {
        (true, true) => text == rest,
        (true, false) => text.starts_with(rest),
        (false, true) => text.ends_with(rest),
        (false, false) => text.contains(rest),
    })
}

/// Go's `\Q…\E` as escapes.
fn quoted(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find("\\Q") {
        // An escaped backslash before a Q is no quotation.
        let slashes = rest[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        let (before, after) = rest.split_at(at + 2);
        if slashes % 2 == 1 {
            out.push_str(before);
            rest = after;
            continue;
        }
        out.push_str(&before[..at]);
        let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
        out.push_str(&regex_lite::escape(literal));
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_and_real_patterns_agree() {
        let mut patterns = Patterns::default();
        for pattern in ["", "^", "$", "^$", "ab", "^ab", "ab$", "^ab$"] {
            for text in ["", "ab", "xab", "abx", "xabx", "é"] {
                assert_eq!(patterns.is_match(pattern, text), compile(pattern).map(|regex| regex.is_match(text)));
            }
        }
        assert_eq!(patterns.is_match("[", "x"), None);
        assert_eq!(patterns.is_match("^\\w$", "é"), Some(false));
        assert_eq!(patterns.is_match("^.$", "é"), Some(true));
        assert_eq!(patterns.is_match("a\\Q.+\\Eb", "a.+b"), Some(true));
        assert_eq!(patterns.is_match("a\\Q.+\\Eb", "axxb"), Some(false));
    }
}
