//! What expressions give and facts hold.

mod container;
mod operators;
mod time;

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

pub(crate) use container::{Container, Seg, TooMuch};
pub use time::Time;

pub(crate) use operators::{apply, equal, Mismatch};

/// A value. Objects and arrays that nothing was written to stay JSON text.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond the positive integers of [`Value::Int`].
    Uint(u64),
    Float(f64),
    Str(Str<'a>),
    Time(Time),
    /// JSON text as it came; an object or array, except inside of a container, where it can be anything.
    Raw(&'a str),
    /// An object or array that was made or written to.
    Container(Rc<Container<'a>>),
}

/// A text, borrowed or shared.
#[derive(Clone)]
pub enum Str<'a> {
    Borrowed(&'a str),
    Shared(Rc<str>),
}

/// The kinds that messages and checks speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindOf {
    Null,
    Bool,
    Int,
    Float,
    Text,
    Time,
    Object,
    Array,
}

// === impl Str ===

impl Str<'_> {
    #[inline]
    pub fn as_str(&self) -> &str {
        match self {
            Str::Borrowed(text) => text,
            Str::Shared(text) => text,
        }
    }
}

impl From<String> for Str<'_> {
    fn from(text: String) -> Self {
        Str::Shared(Rc::from(text))
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

// === impl KindOf ===

impl KindOf {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            KindOf::Null => "nil",
            KindOf::Bool => "a boolean",
            KindOf::Int => "a whole number",
            KindOf::Float => "a number",
            KindOf::Text => "a text",
            KindOf::Time => "a time",
            KindOf::Object => "an object",
            KindOf::Array => "an array",
        }
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    pub fn text(text: impl Into<String>) -> Value<'static> {
        Value::Str(Str::from(text.into()))
    }

    pub fn kind(&self) -> KindOf {
        match self {
            Value::Null => KindOf::Null,
            Value::Bool(_) => KindOf::Bool,
            Value::Int(_) | Value::Uint(_) => KindOf::Int,
            Value::Float(_) => KindOf::Float,
            Value::Str(_) => KindOf::Text,
            Value::Time(_) => KindOf::Time,
            Value::Raw(raw) if raw.starts_with('[') => KindOf::Array,
            Value::Raw(raw) if raw.starts_with('{') => KindOf::Object,
            Value::Raw(raw) => crate::json::value(raw).map_or(KindOf::Null, |value| value.kind()),
            Value::Container(container) if container.is_object() => KindOf::Object,
            Value::Container(_) => KindOf::Array,
        }
    }

    /// Numbers as floats; none for everything else.
    #[inline]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Uint(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// Whole numbers; none for everything else.
    #[inline]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9.3e18 => Some(*value as i64),
            _ => None,
        }
    }

    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out);
        out
    }

    pub(crate) fn write_json(&self, out: &mut String) {
        use fmt::Write as _;
        let _ = match self {
            Value::Null => write!(out, "null"),
            Value::Bool(value) => write!(out, "{value}"),
            Value::Int(value) => write!(out, "{value}"),
            Value::Uint(value) => write!(out, "{value}"),
            Value::Float(value) => return crate::json::write_float(out, *value),
            Value::Str(text) => return crate::json::write_string(out, text.as_str()),
            Value::Time(time) => write!(out, "\"{}\"", time.rfc3339_nano()),
            Value::Raw(raw) => write!(out, "{raw}"),
            Value::Container(container) => return container.write_json(out),
        };
    }

    /// Bytes it takes as JSON, roughly.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Value::Str(text) => text.as_str().len() + 2,
            Value::Raw(raw) => raw.len(),
            Value::Container(container) => container.weight(),
            _ => 16,
        }
    }

    pub(crate) fn depth(&self) -> u32 {
        match self {
            Value::Container(container) => container.depth(),
            _ => 0,
        }
    }

    /// The text inside of a container as the value it is.
    pub(crate) fn decoded(&self) -> Value<'a> {
        match self {
            Value::Raw(raw) => crate::json::value(raw).unwrap_or(Value::Null),
            other => other.clone(),
        }
    }
}

/// Of facts and tests: numbers by value, objects and arrays by their text.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Raw(_) | Value::Container(_), _) | (_, Value::Raw(_) | Value::Container(_)) => {
                self.to_json() == other.to_json()
            }
            _ => self.kind() == other.kind() && equal(self, other) == Ok(true),
        }
    }
}

/// Two numbers, exactly: no integer is rounded to a float to compare it.
#[inline]
pub(crate) fn number_order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    Some(match (left, right) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => return a.partial_cmp(b),
        (Value::Uint(a), Value::Uint(b)) => a.cmp(b),
        (Value::Uint(_), Value::Int(_)) => Ordering::Greater,
        (Value::Int(_), Value::Uint(_)) => Ordering::Less,
        (Value::Float(a), _) => return whole_order(right, *a).map(Ordering::reverse),
        (_, Value::Float(b)) => return whole_order(left, *b),
        _ => return None,
    })
}

/// An integer and a float. Grule rounds the integer; beyond 2^53 that would call neighbours equal.
fn whole_order(whole: &Value<'_>, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let whole = match whole {
        Value::Int(value) => i128::from(*value),
        Value::Uint(value) => i128::from(*value),
        _ => return None,
    };
    let floor = float.floor();
    // Saturates at the ends, which no 64-bit integer reaches.
    let order = whole.cmp(&(floor as i128));
    Some(if order == Ordering::Equal && float > floor { Ordering::Less } else { order })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly() {
        let order = |a: Value, b: Value| number_order(&a, &b);
        assert_eq!(
            order(Value::Int(9_007_199_254_740_993), Value::Float(9_007_199_254_740_992.0)),
            Some(Ordering::Greater)
        );
        assert_eq!(order(Value::Int(5), Value::Float(5.0)), Some(Ordering::Equal));
        assert_eq!(order(Value::Float(5.5), Value::Int(5)), Some(Ordering::Greater));
        assert_eq!(order(Value::Int(-5), Value::Float(-5.5)), Some(Ordering::Greater));
        assert_eq!(order(Value::Uint(u64::MAX), Value::Int(i64::MAX)), Some(Ordering::Greater));
        assert_eq!(order(Value::Int(1), Value::Float(f64::INFINITY)), Some(Ordering::Less));
        assert_eq!(order(Value::Int(1), Value::Float(f64::NAN)), None);
        assert_eq!(order(Value::Int(1), Value::Bool(true)), None);
    }
}
