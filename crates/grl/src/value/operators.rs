//! The operators, type by type as in Grule, but for null, which equals null only.

use std::cmp::Ordering;
use std::fmt::Write as _;

use super::{number_order, KindOf, Str, Value};
use crate::syntax::ast::Op;

/// Values that an operator does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    pub(crate) op: Op,
    pub(crate) left: KindOf,
    pub(crate) right: KindOf,
    /// A whole number divided by zero for its remainder.
    pub(crate) zero: bool,
}

fn mismatch(op: Op, left: &Value<'_>, right: &Value<'_>) -> Mismatch {
    Mismatch { op, left: left.kind(), right: right.kind(), zero: false }
}

/// `left op right`, except `&&` and `||`, which are jumps.
#[inline]
pub(crate) fn apply<'a>(op: Op, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Mismatch> {
    match op {
        Op::Eq => equal(left, right).map(Value::Bool).map_err(|()| mismatch(op, left, right)),
        Op::NotEq => unequal(left, right).map(Value::Bool).map_err(|()| mismatch(op, left, right)),
        Op::Gt | Op::Lt | Op::Gte | Op::Lte => compare(op, left, right).map(Value::Bool),
        Op::Add if matches!(left, Value::Str(_)) || matches!(right, Value::Str(_)) => concat(left, right),
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Mod | Op::BitAnd | Op::BitOr => arithmetic(op, left, right),
        Op::And | Op::Or => Err(mismatch(op, left, right)),
    }
}

/// `==`; the error is that these kinds cannot be compared.
#[inline]
pub(crate) fn equal(left: &Value<'_>, right: &Value<'_>) -> Result<bool, ()> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(true),
        (Value::Null, _) | (_, Value::Null) => Ok(false),
        (Value::Str(a), Value::Str(b)) => Ok(a.as_str() == b.as_str()),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Str(_) | Value::Bool(_), _) => Ok(false),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        _ if left.as_f64().is_some() && right.as_f64().is_some() => {
            Ok(number_order(left, right) == Some(Ordering::Equal))
        }
        _ => Err(()),
    }
}

/// `!=`, which for a text or boolean on the left and another kind on the right is false as `==` is.
fn unequal(left: &Value<'_>, right: &Value<'_>) -> Result<bool, ()> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => equal(left, right).map(|equal| !equal),
        (Value::Str(_), Value::Str(_)) | (Value::Bool(_), Value::Bool(_)) => equal(left, right).map(|equal| !equal),
        (Value::Str(_) | Value::Bool(_), _) => Ok(false),
        _ => equal(left, right).map(|equal| !equal),
    }
}

/// `<`, `>`, `<=` and `>=` on numbers, texts by their bytes, and times.
#[inline]
fn compare(op: Op, left: &Value<'_>, right: &Value<'_>) -> Result<bool, Mismatch> {
    let order = match (left, right) {
        (Value::Str(a), Value::Str(b)) => Some(a.as_str().cmp(b.as_str())),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        _ if left.as_f64().is_some() && right.as_f64().is_some() => number_order(left, right),
        _ => return Err(mismatch(op, left, right)),
    };
    Ok(order.is_some_and(|order| match op {
        Op::Gt => order.is_gt(),
        Op::Lt => order.is_lt(),
        Op::Gte => order.is_ge(),
        _ => order.is_le(),
    }))
}

fn concat<'a>(left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Mismatch> {
    let text_left = left.as_str().is_some();
    let mut out = String::with_capacity(left.weight() + right.weight());
    for (value, other) in [(left, right), (right, left)] {
        let _ = match value {
            Value::Str(text) => write!(out, "{}", text.as_str()),
            Value::Int(value) => write!(out, "{value}"),
            Value::Uint(value) => write!(out, "{value}"),
            Value::Float(value) => write_six(&mut out, *value),
            // On the right of a text only.
            Value::Bool(value) if text_left && other.as_str().is_some() => write!(out, "{value}"),
            Value::Time(time) if text_left && other.as_str().is_some() => write!(out, "{}", time.rfc3339()),
            _ => return Err(mismatch(Op::Add, left, right)),
        };
    }
    Ok(Value::Str(Str::from(out)))
}

/// A float in a text, as Go's `%f`.
fn write_six(out: &mut String, value: f64) -> std::fmt::Result {
    if value.is_nan() {
        return write!(out, "NaN");
    }
    if value.is_infinite() {
        return write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' });
    }
    write!(out, "{value:.6}")
}

#[inline]
fn arithmetic<'a>(op: Op, left: &Value<'a>, right: &Value<'a>) -> Result<Value<'a>, Mismatch> {
    if let (Value::Int(a), Value::Int(b)) = (left, right) {
        let whole = match op {
            Op::Add => a.checked_add(*b),
            Op::Sub => a.checked_sub(*b),
            Op::Mul => a.checked_mul(*b),
            Op::BitAnd => Some(a & b),
            Op::BitOr => Some(a | b),
            Op::Mod if *b == 0 => return Err(Mismatch { zero: true, ..mismatch(op, left, right) }),
            Op::Mod => Some(a.wrapping_rem(*b)),
            _ => None,
        };
        // JSON numbers are floats in Grule, so what outgrows 64 bits becomes one.
        if let Some(whole) = whole {
            return Ok(Value::Int(whole));
        }
    }
    let (Some(a), Some(b)) = (left.as_f64(), right.as_f64()) else { return Err(mismatch(op, left, right)) };
    Ok(Value::Float(match op {
        Op::Add => a + b,
        Op::Sub => a - b,
        Op::Mul => a * b,
        Op::Div => a / b,
        _ => return Err(mismatch(op, left, right)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eval(op: Op, left: Value<'static>, right: Value<'static>) -> Option<String> {
        apply(op, &left, &right).ok().map(|value| value.to_json())
    }

    #[test]
    fn null_equals_null_only() {
        for (left, right, is) in [
            (Value::Null, Value::Null, true),
            (Value::Null, Value::Int(0), false),
            (Value::text(""), Value::Null, false),
            (Value::Raw("[]"), Value::Null, false),
        ] {
            assert_eq!(eval(Op::Eq, left.clone(), right.clone()), Some(is.to_string()));
            assert_eq!(eval(Op::NotEq, left.clone(), right.clone()), Some((!is).to_string()));
            assert_eq!(eval(Op::Lt, left.clone(), right.clone()), None);
            assert_eq!(eval(Op::Add, left, right), None);
        }
    }

    #[test]
    fn a_text_or_boolean_neither_equals_nor_differs_from_another_kind() {
        for left in [Value::text("5"), Value::Bool(true)] {
            assert_eq!(eval(Op::Eq, left.clone(), Value::Int(5)).as_deref(), Some("false"));
            assert_eq!(eval(Op::NotEq, left.clone(), Value::Int(5)).as_deref(), Some("false"));
            assert_eq!(eval(Op::Eq, Value::Int(5), left), None);
        }
        assert_eq!(eval(Op::NotEq, Value::text("a"), Value::text("b")).as_deref(), Some("true"));
        assert_eq!(eval(Op::NotEq, Value::Bool(true), Value::Bool(true)).as_deref(), Some("false"));
    }

    #[test]
    fn whole_numbers_stay_whole_until_they_outgrow_64_bits() {
        assert_eq!(
            eval(Op::Add, Value::Int(9_007_199_254_740_992), Value::Int(1)).as_deref(),
            Some("9007199254740993")
        );
        assert_eq!(eval(Op::Add, Value::Int(i64::MAX), Value::Int(1)).as_deref(), Some("9223372036854776000"));
        assert_eq!(eval(Op::Div, Value::Int(7), Value::Int(2)).as_deref(), Some("3.5"));
        assert_eq!(eval(Op::Mod, Value::Int(-7), Value::Int(3)).as_deref(), Some("-1"));
        assert_eq!(eval(Op::Mod, Value::Int(i64::MIN), Value::Int(-1)).as_deref(), Some("0"));
        assert_eq!(eval(Op::Mod, Value::Int(7), Value::Int(0)), None);
        assert_eq!(eval(Op::Mod, Value::Int(7), Value::Float(2.0)), None);
        assert_eq!(eval(Op::BitOr, Value::Int(5), Value::Int(8)).as_deref(), Some("13"));
        assert_eq!(eval(Op::BitAnd, Value::Float(1.5), Value::Int(8)), None);
    }

    #[test]
    fn texts_take_what_follows_them() {
        assert_eq!(eval(Op::Add, Value::text("n="), Value::Int(5)).as_deref(), Some("\"n=5\""));
        assert_eq!(eval(Op::Add, Value::Float(2.5), Value::text("x")).as_deref(), Some("\"2.500000x\""));
        assert_eq!(eval(Op::Add, Value::text("b="), Value::Bool(true)).as_deref(), Some("\"b=true\""));
        assert_eq!(eval(Op::Add, Value::Bool(true), Value::text("x")), None);
        assert_eq!(eval(Op::Sub, Value::text("a"), Value::text("b")), None);
    }
}
