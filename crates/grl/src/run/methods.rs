//! Methods of texts, arrays, objects and times, and selectors.

use super::builtins::{fits, laid_out, time, whole};
use super::cycle::Engine;
use super::{layout, Fault, Limit};
use crate::functions::Method;
use crate::limits::{BYTES_PER_STEP, ITEM_BYTES, STATES_PER_STEP, VALUE_BYTES_MAX};
use crate::value::{Container, KindOf, Seg, Value};

/// The element or member that a selector finds.
pub(super) fn index<'a>(base: &Value<'a>, selector: &Value<'a>) -> Result<Value<'a>, Fault> {
    let found = match (base.kind(), selector) {
        (KindOf::Object, Value::Str(name)) => base.child(&Seg::Name(name.clone())),
        (KindOf::Array, number) => {
            let index = number.as_i64().and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| base.child(&Seg::Index(index)))
        }
        (KindOf::Object, _) => None,
        (kind, _) => return Err(Fault::NoMembers(kind)),
    };
    found.ok_or(Fault::NoElement)
}

pub(super) fn call<'a>(
    engine: &mut Engine<'a, '_>,
    method: &'static Method,
    base: &Value<'a>,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, Fault> {
    if !method.of.contains(&base.kind()) {
        return Err(Fault::Method { name: method.name.to_owned(), on: base.kind() });
    }
    // In looks at its arguments one by one, so that a wrong one behind the hit does not matter.
    if method.name != "In" {
        fits(method.name, method.params, method.variadic, arguments)?;
    }
    match base {
        Value::Str(text) => on_text(engine, method, text.as_str(), arguments),
        Value::Time(_) => {
            laid_out(engine, arguments.first().and_then(Value::as_str).unwrap_or(""))?;
            on_time(method, base, arguments)
        }
        _ if method.name == "Len" => {
            engine.step((base.weight() / BYTES_PER_STEP) as u64)?;
            Ok(Value::Int(base.items().unwrap_or(0) as i64))
        }
        _ => engine.longer(base, arguments),
    }
}

fn on_text<'a>(
    engine: &mut Engine<'a, '_>,
    method: &'static Method,
    text: &str,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, Fault> {
    engine.step((text.len() / BYTES_PER_STEP) as u64)?;
    let argument = |at: usize| arguments.get(at).and_then(Value::as_str).unwrap_or("");
    let found = |at: Option<usize>| Value::Int(at.map_or(-1, |at| at as i64));
    Ok(match method.name {
        "In" => return is_in(text, arguments),
        "Compare" => Value::Int(text.cmp(argument(0)) as i64),
        "Contains" => Value::Bool(text.contains(argument(0))),
        "Count" if argument(0).is_empty() => Value::Int(text.chars().count() as i64 + 1),
        "Count" => Value::Int(text.matches(argument(0)).count() as i64),
        "HasPrefix" => Value::Bool(text.starts_with(argument(0))),
        "HasSuffix" => Value::Bool(text.ends_with(argument(0))),
        "Index" => found(text.find(argument(0))),
        "LastIndex" => found(text.rfind(argument(0))),
        "Len" => Value::Int(text.len() as i64),
        "Trim" => Value::text(text.trim_matches(is_space)),
        "ToLower" => {
            engine.built(text.len())?;
            Value::text(text.chars().map(lower).collect::<String>())
        }
        "ToUpper" => {
            engine.built(text.len())?;
            Value::text(text.chars().map(upper).collect::<String>())
        }
        "Repeat" => return repeat(engine, text, arguments),
        "Replace" => {
            let (from, to) = (argument(0), argument(1));
            let places = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
            sized(engine, text.len().saturating_add(places.saturating_mul(to.len())))?;
            Value::text(text.replace(from, to))
        }
        "Split" => {
            let separator = argument(0);
            let parts = if separator.is_empty() { text.len() } else { text.matches(separator).count() + 1 };
            engine.built(text.len().saturating_add(parts.saturating_mul(ITEM_BYTES)))?;
            let part = |part: &str| Value::text(part);
            Value::Container(std::rc::Rc::new(Container::array(match separator.is_empty() {
                true => text.chars().map(Value::text).collect(),
                false => text.split(separator).map(part).collect(),
            })))
        }
        "MatchString" => {
            let pattern = argument(0);
            let unusable = || Fault::Pattern(pattern.to_owned());
            let size = engine.scratch.patterns.size(pattern).ok_or_else(unusable)?;
            engine.step((text.len().saturating_mul(size) / STATES_PER_STEP) as u64)?;
            Value::Bool(engine.scratch.patterns.is_match(pattern, text).ok_or_else(unusable)?)
        }
        name => return Err(Fault::Method { name: name.to_owned(), on: KindOf::Text }),
    })
}

fn is_in<'a>(text: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    for argument in arguments {
        match argument.as_str() {
            Some(other) if other == text => return Ok(Value::Bool(true)),
            Some(_) => {}
            None => return Err(Fault::Arguments { name: "In" }),
        }
    }
    Ok(Value::Bool(false))
}

/// Checks a size before it is built.
fn sized(engine: &mut Engine<'_, '_>, bytes: usize) -> Result<(), Fault> {
    if bytes > VALUE_BYTES_MAX {
        return Err(Fault::Limit(Limit::Size));
    }
    engine.built(bytes)
}

fn repeat<'a>(engine: &mut Engine<'a, '_>, text: &str, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    // A fraction is cut off, as in Grule.
    let count = arguments.first().and_then(Value::as_f64).unwrap_or(0.0).trunc();
    if count.is_nan() || count < 0.0 {
        return Err(Fault::Range("a text cannot be repeated a negative number of times"));
    }
    let count = count as usize;
    sized(engine, text.len().saturating_mul(count))?;
    Ok(Value::text(if text.is_empty() { String::new() } else { text.repeat(count) }))
}

/// What Go calls white space.
fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// One letter for one letter, as Go maps them.
fn lower(c: char) -> char {
    match c {
        '\u{130}' => 'i',
        c => {
            let mut mapped = c.to_lowercase();
            match (mapped.next(), mapped.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        }
    }
}

fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

fn on_time<'a>(method: &'static Method, base: &Value<'a>, arguments: &[Value<'a>]) -> Result<Value<'a>, Fault> {
    let this = time(Some(base))?;
    let parts = this.parts();
    Ok(match method.name {
        "Year" => Value::Int(parts.year),
        "Month" => Value::Int(parts.month),
        "Day" => Value::Int(parts.day),
        "Hour" => Value::Int(parts.hour),
        "Minute" => Value::Int(parts.minute),
        "Second" => Value::Int(parts.second),
        "Nanosecond" => Value::Int(i64::from(this.nanos)),
        "Weekday" => Value::Int(parts.weekday),
        "YearDay" => Value::Int(parts.year_day),
        "Unix" => Value::Int(this.seconds),
        "UnixMilli" => Value::Int(this.seconds.saturating_mul(1000).saturating_add(i64::from(this.nanos / 1_000_000))),
        "Before" => Value::Bool(this < time(arguments.first())?),
        "After" => Value::Bool(this > time(arguments.first())?),
        "Equal" => Value::Bool(this == time(arguments.first())?),
        "IsZero" => Value::Bool(this == crate::value::Time::ZERO),
        "String" => Value::text(layout::format(this, "2006-01-02 15:04:05.999999999 -0700 MST")),
        _ => Value::text(layout::format(this, arguments.first().and_then(Value::as_str).unwrap_or(""))),
    })
}

/// Kept here so that selectors and arguments agree on what a whole number is.
pub(super) fn whole_at(arguments: &[Value<'_>], at: usize) -> i64 {
    arguments.get(at).and_then(whole).unwrap_or(0)
}
