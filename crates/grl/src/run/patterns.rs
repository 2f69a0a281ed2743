//! Patterns of `MatchString`, kept compiled between events.

use std::collections::HashMap;

use regex_lite::{Regex, RegexBuilder};

use crate::limits::PATTERNS_MAX;

const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Estimates of a pattern's size end here.
const SIZE_MAX: usize = 100_000;

/// None for what is no pattern.
#[derive(Default)]
pub(crate) struct Patterns {
    known: HashMap<String, Option<Known>>,
}

struct Known {
    regex: Regex,
    /// States that a character may have to be tried in, at most.
    size: usize,
}

// === impl Patterns ===

impl Patterns {
    /// How much one character of a text costs; none when `pattern` is none that can be used.
    pub(crate) fn size(&mut self, pattern: &str) -> Option<usize> {
        if simple(pattern, "").is_some() {
            return Some(1);
        }
        if !self.known.contains_key(pattern) {
            if self.known.len() >= PATTERNS_MAX {
                self.known.clear();
            }
            let known = compile(pattern).map(|regex| Known { regex, size: estimate(pattern) });
            self.known.insert(pattern.to_owned(), known);
        }
        Some(self.known.get(pattern)?.as_ref()?.size)
    }

    /// None when `pattern` is none that can be used.
    pub(crate) fn is_match(&mut self, pattern: &str, text: &str) -> Option<bool> {
        if let Some(is) = simple(pattern, text) {
            return Some(is);
        }
        self.size(pattern)?;
        self.known.get(pattern)?.as_ref().map(|known| known.regex.is_match(text))
    }
}

/// The length of a pattern as if all its repetitions were inside of one another.
fn estimate(pattern: &str) -> usize {
    let counted = pattern.match_indices('{').filter_map(|(at, _)| counts(pattern.get(at..)?));
    counted.fold(pattern.len(), |size, (_, most)| size.saturating_mul((most as usize).max(1)).min(SIZE_MAX))
}

pub(crate) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&translated(pattern)?).size_limit(PATTERN_BYTES_MAX).nest_limit(100).build().ok()
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

/// What Go's syntax says otherwise, written as regex-lite reads it: `\Q…\E`, braces that count nothing, `&&` in classes.
/// None for what Go refuses and regex-lite does not.
fn translated(pattern: &str) -> Option<String> {
    const REPEAT_MAX: u32 = 1000;
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    // After a repetition, where another one is refused.
    let mut repeated = false;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        let was_repeated = std::mem::take(&mut repeated);
        match c {
            '\\' if rest.starts_with("\\Q") => {
                let literal = rest.get(2..).unwrap_or("");
                let (literal, after) = literal.split_once("\\E").unwrap_or((literal, ""));
                out.push_str(&regex_lite::escape(literal));
                rest = after;
                continue;
            }
            '\\' => {
                let letter = rest.chars().nth(1);
                length += letter.map_or(0, char::len_utf8);
                // The braces of `\x{…}` and `\p{…}` belong to it.
                if matches!(letter, Some('x' | 'p' | 'P')) && rest.get(2..).is_some_and(|rest| rest.starts_with('{')) {
                    length = rest.find('}').map_or(length, |end| end + 1);
                }
                out.push_str(rest.get(..length).unwrap_or(""));
            }
            '[' if !in_class => {
                in_class = true;
                // A bracket that stands first belongs to the class.
                let first = rest.get(1..).map_or(0, |rest| usize::from(rest.starts_with('^'))) + 1;
                length = first + usize::from(rest.get(first..).is_some_and(|rest| rest.starts_with(']')));
                out.push_str(rest.get(..first).unwrap_or(""));
                if length > first {
                    out.push_str("\\]");
                }
            }
            '[' if rest.starts_with("[:") => {
                length = rest.find(":]").map_or(1, |end| end + 2);
                out.push_str(rest.get(..length).unwrap_or(""));
            }
            '[' | '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            '*' | '+' | '?' if !in_class => {
                if was_repeated {
                    return None;
                }
                out.push(c);
                repeated = true;
                if rest.get(1..).is_some_and(|rest| rest.starts_with('?')) {
                    out.push('?');
                    length += 1;
                }
                // The question mark of a group is no repetition.
                repeated &= !out.ends_with("(?");
            }
            '{' if !in_class => match counts(rest) {
                Some((_, most)) if most > REPEAT_MAX || was_repeated => return None,
                Some((end, _)) => {
                    length = end;
                    out.push_str(rest.get(..length).unwrap_or(""));
                    repeated = true;
                    if rest.get(length..).is_some_and(|rest| rest.starts_with('?')) {
                        out.push('?');
                        length += 1;
                    }
                }
                None => out.push_str("\\{"),
            },
            '}' if !in_class => out.push_str("\\}"),
            c => out.push(c),
        }
        rest = rest.get(length..).unwrap_or("");
    }
    Some(out)
}

/// The length of `{n}`, `{n,}` or `{n,m}` and the larger of its numbers.
fn counts(rest: &str) -> Option<(usize, u32)> {
    let end = rest.find('}')?;
    let inner = rest.get(1..end)?;
    let (least, most) = inner.split_once(',').unwrap_or((inner, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    let number = |text: &str| if text.is_empty() { 0 } else { text.parse().unwrap_or(u32::MAX) };
    Some((end + 1, number(least).max(number(most))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_repetitions_are_dear() {
        assert_eq!(estimate("a{3}b{2,}"), 9 * 3 * 2);
        assert_eq!(estimate("((a{1000}){1000}){1000}"), SIZE_MAX);
        assert_eq!(Patterns::default().size("^abc"), Some(1));
        assert_eq!(Patterns::default().size("["), None);
    }

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
        for (pattern, text, is) in [
            ("{", "x", Some(false)),
            ("x{2", "x{2", Some(true)),
            ("^a{,2}$", "a{,2}", Some(true)),
            ("^a{2,}?$", "aaa", Some(true)),
            ("[a&&b]", "&", Some(true)),
            ("[]a]+", "]", Some(true)),
            ("[^]a]", "]", Some(false)),
            ("[[:alpha:]]", "1", Some(false)),
            ("(?:a|b)?", "", Some(true)),
            ("(?i)AB", "xab", Some(true)),
            ("^\\x{61}$", "a", Some(true)),
            ("a**", "a", None),
            ("a{1001}", "a", None),
            ("a{2}{3}", "a", None),
            ("\\{", "{", Some(true)),
        ] {
            assert_eq!(patterns.is_match(pattern, text), is, "{pattern}");
        }
        assert_eq!(patterns.is_match("a\\Q.+\\Eb", "a.+b"), Some(true));
        assert_eq!(patterns.is_match("a\\Q.+\\Eb", "axxb"), Some(false));
    }
}
