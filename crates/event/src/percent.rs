//! Percent-encoding: of header values and of query strings.

use std::borrow::Cow;

/// Bytes with `%XX` decoded; a `%` without two digits stands for itself.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = |place: usize| bytes.get(place).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// The first value of a parameter in a raw query string, decoded; none when it is absent, empty or not UTF-8.
pub(crate) fn query<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    if value.is_empty() {
        return None;
    }
    if !value.contains(['%', '+']) {
        return Some(Cow::Borrowed(value));
    }
    String::from_utf8(decode(&value.replace('+', " "))).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn parameters_are_found_and_decoded() {
        let text = "a=1&b=x%20y+z&a=2&c=&d&e=%C3%A9&f=%FF";
        let found = ["a", "b", "c", "d", "e", "f", "g"].map(|name| query(text, name));
        let want = [Some("1"), Some("x y z"), None, None, Some("é"), None, None];
        assert_eq!(found.each_ref().map(|value| value.as_deref()), want);
    }
}
