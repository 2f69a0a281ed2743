//! JSON strings: reading one, writing one.

use std::borrow::Cow;

use super::check::hex4;
use super::swar;

/// The text of a raw JSON string, quotes included; none when `raw` is something else or has a broken escape.
pub fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    match swar::string_end(inner.as_bytes(), 0) {
        end if end == inner.len() => Some(Cow::Borrowed(inner)),
        first => decode(inner, first).map(Cow::Owned),
    }
}

/// What is between the quotes, decoded; the first escape is at or after `first`.
#[cold]
pub(super) fn decode(inner: &str, first: usize) -> Option<String> {
    let bytes = inner.as_bytes();
    let mut out = String::with_capacity(inner.len());
    let mut copied = 0;
    let mut at = swar::string_end(bytes, first);
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            // A bare quote: `raw` was more than one string.
            return None;
        }
        out.push_str(inner.get(copied..at)?);
        let (character, length) = escape(bytes, at)?;
        out.push(character);
        copied = at + length;
        at = swar::string_end(bytes, copied);
    }
    out.push_str(inner.get(copied..)?);
    Some(out)
}

/// The character of the escape at `at`, and the escape's length in bytes.
fn escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let simple = match bytes.get(at + 1)? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let high = hex4(bytes, at + 2)?;
            if !(0xD800..0xDC00).contains(&high) {
                return Some((char::from_u32(high)?, 6));
            }
            let low = hex4(bytes, at + 8).filter(|low| (0xDC00..0xE000).contains(low))?;
            let pair = bytes.get(at + 6..at + 8)? == br"\u";
            return pair.then_some((char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?, 12));
        }
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        _ => return None,
    };
    Some((simple, 2))
}

/// Writes `s` as a JSON string, quotes included.
pub fn write_string(out: &mut String, s: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(s.len() + 2);
    out.push('"');
    let bytes = s.as_bytes();
    let mut copied = 0;
    loop {
        let at = swar::string_special(bytes, copied);
        out.push_str(&s[copied..at]);
        let Some(byte) = bytes.get(at) else { break };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            code => {
                out.push_str("\\u00");
                out.push(char::from(HEX[usize::from(code >> 4)]));
                out.push(char::from(HEX[usize::from(code & 15)]));
            }
        }
        copied = at + 1;
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        assert!(matches!(string("\"plain é\""), Some(Cow::Borrowed("plain é"))));
    }

    #[test]
    fn escapes_are_decoded() {
        let raw = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 end""#;
        assert_eq!(string(raw).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀 end"));
    }

    #[test]
    fn what_is_no_string_is_none() {
        for raw in [
            "",
            "\"",
            "1",
            "null",
            "\"a\"b\"",
            r#""\q""#,
            r#""\""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\udc00""#,
            r#""\u00g0""#,
        ] {
            assert_eq!(string(raw), None, "{raw}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let text: String = (0..0x100).filter_map(char::from_u32).chain("\u{2028}😀".chars()).collect();
        let mut raw = String::new();
        write_string(&mut raw, &text);
        assert_eq!(string(&raw).as_deref(), Some(text.as_str()));
        assert_eq!(serde_json::from_str::<String>(&raw).unwrap(), text);
    }
}
