//! Setting attributes of an event without taking its text apart.

use std::borrow::Cow;

use crate::json::{write_string, Members};

/// The event with the top-level string attribute `name` set to `value`: replaced where it is, else added at the end.
/// Text that is no JSON object comes back as it is.
pub fn with_extension(raw: &str, name: &str, value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    write_string(&mut text, value);
    with_members(raw, &[(name, &text)])
}

/// The event with top-level members set to JSON texts: replaced where they are, else added at the end in their order.
/// The names need no escape, and have none afterwards: whoever looks for one in the text finds it.
pub fn with_members(raw: &str, members: &[(&str, &str)]) -> String {
    let Some(walk) = Members::of(raw) else { return raw.to_owned() };
    let Some(close) = raw.rfind('}') else { return raw.to_owned() };
    let extra: usize = members.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    let mut out = String::with_capacity(raw.len() + extra);
    let mut copied = 0;
    let mut met = 0_u32;
    let mut empty = true;
    for member in walk {
        empty = false;
        if let Some(which) = members.iter().position(|(name, _)| *name == member.key) {
            met |= 1 << which;
            if matches!(member.key, Cow::Borrowed(_)) {
                out.push_str(&raw[copied..member.start]);
            } else {
                out.push_str(&raw[copied..member.at]);
                out.push('"');
                out.push_str(members[which].0);
                out.push_str("\":");
            }
            out.push_str(members[which].1);
            copied = member.start + member.value.len();
        }
    }
    // Broken text can have its last brace inside what was copied.
    out.push_str(raw.get(copied..close).unwrap_or_default());
    for (which, (name, value)) in members.iter().enumerate() {
        if met & 1 << which == 0 {
            out.push_str(if empty { "\"" } else { ",\"" });
            out.push_str(name);
            out.push_str("\":");
            out.push_str(value);
            empty = false;
        }
    }
    out.push_str(&raw[close..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_added_at_the_end() {
        assert_eq!(with_extension(r#"{"id":"1"}"#, "er", "a\"b"), r#"{"id":"1","er":"a\"b"}"#);
        assert_eq!(with_extension(" { } ", "a", "1"), " { \"a\":\"1\"} ");
    }

    #[test]
    fn an_attribute_is_replaced_where_it_is_and_nowhere_deeper() {
        let raw = r#"{"data":{"er":1}, "er" : null ,"z":"}"}"#;
        assert_eq!(with_extension(raw, "er", "x"), r#"{"data":{"er":1}, "er" : "x" ,"z":"}"}"#);
    }

    #[test]
    fn a_name_that_is_replaced_is_written_plainly() {
        let raw = r#"{"a":1, "\u0065r" : 2 ,"b":3}"#;
        assert_eq!(with_members(raw, &[("er", "7")]), r#"{"a":1, "er":7 ,"b":3}"#);
    }

    #[test]
    fn several_members_are_set_at_once() {
        let raw = r#"{"a":1,"b":2}"#;
        assert_eq!(with_members(raw, &[("c", "3"), ("b", "true"), ("d", "4")]), r#"{"a":1,"b":true,"c":3,"d":4}"#);
    }

    #[test]
    fn text_that_is_no_object_stays() {
        for raw in ["", "[]", "{", "x}"] {
            assert_eq!(with_extension(raw, "a", "b"), raw);
        }
    }
}
