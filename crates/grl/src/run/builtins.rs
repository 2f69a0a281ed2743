//! The built-in functions.

use super::cycle::Engine;
use super::methods::whole_at;
use super::{layout, math, Fault};
use crate::functions::{Builtin, Param};
use crate::limits::ITEM_BYTES;
use crate::value::{Container, KindOf, Time, Value};

/// Whether arguments are what the parameters take.
pub(super) fn fits(name: &'static str, params: &[Param], variadic: bool, arguments: &[Value<'_>]) -> Result<(), Fault> {
    let wrong = Fault::Arguments { name };
    if arguments.len() != params.len() && !variadic {
        return Err(wrong);
    }
    for (at, argument) in arguments.iter().enumerate() {
        let param = params.get(at).or(params.last()).copied().unwrap_or(Param::Any);
        let fits = match param {
            Param::Text => argument.as_str().is_some(),
            Param::Number => argument.as_f64().is_some(),
            Param::Whole => whole(argument).is_some(),
            Param::Bool => argument.kind() == KindOf::Bool,
            Param::Time => argument.kind() == KindOf::Time,
            Param::Texts => argument.kind() == KindOf::Array,
            Param::Any => true,
        };
        if !fits {
            return Err(wrong);
        }
    }
    Ok(())
}

/// A number without fraction; those beyond the positive 64-bit integers keep their bits.
pub(super) fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Uint(value) => Some(*value as i64),
        other => other.as_i64(),
    }
}

pub(super) fn time(value: Option<&Value<'_>>) -> Result<Time, Fault> {
    match value {
        Some(Value::Time(time)) => Ok(*time),
        _ => Err(Fault::Arguments { name: "a function of times" }),
    }
}

pub(super) fn call<'a>(
    engine: &mut Engine<'a, '_>,
    function: &'static Builtin,
    arguments: &[Value<'a>],
) -> Result<Value<'a>, Fault> {
    fits(function.name, function.params, function.variadic, arguments)?;
    let text = |at: usize| arguments.get(at).and_then(Value::as_str).unwrap_or("");
    let part = || time(arguments.first()).map(Time::parts);
    Ok(match function.name {
        "Complete" => {
            engine.complete = true;
            Value::Null
        }
        "Retract" => {
            engine.retract(text(0));
            Value::Null
        }
        // Every read sees the current value here, so there is nothing to forget.
        "Changed" | "Forget" => Value::Null,
        "Log" => {
            engine.host.log(text(0));
            Value::Null
        }
        "LogFormat" => {
            let line = layout::printf(text(0), arguments.get(1).unwrap_or(&Value::Null));
            engine.host.log(&line);
            Value::Null
        }
        "Now" => {
            let now = match engine.now {
                Some(now) => now,
                None => engine.host.now(),
            };
            engine.now = Some(now);
            Value::Time(now)
        }
        "MakeTime" => {
            let at = |part: usize| whole_at(arguments, part);
            let time = Time::new(at(0), at(1), at(2), at(3), at(4), at(5));
            Value::Time(time.ok_or(Fault::Range("this time is beyond what can be counted"))?)
        }
        "GetTimeYear" => Value::Int(part()?.year),
        "GetTimeMonth" => Value::Int(part()?.month),
        "GetTimeDay" => Value::Int(part()?.day),
        "GetTimeHour" => Value::Int(part()?.hour),
        "GetTimeMinute" => Value::Int(part()?.minute),
        "GetTimeSecond" => Value::Int(part()?.second),
        "IsTimeBefore" => Value::Bool(time(arguments.first())? < time(arguments.get(1))?),
        "IsTimeAfter" => Value::Bool(time(arguments.first())? > time(arguments.get(1))?),
        "TimeFormat" => {
            laid_out(engine, text(1))?;
            Value::text(layout::format(time(arguments.first())?, text(1)))
        }
        "StringContains" => {
            engine.step((text(0).len() / crate::limits::BYTES_PER_STEP) as u64)?;
            Value::Bool(text(0).contains(text(1)))
        }
        "ContainsStr" => {
            let (weight, items) = arguments.first().map_or((0, 0), |list| (list.weight(), list.items().unwrap_or(0)));
            engine.built(weight.saturating_add(items.saturating_mul(ITEM_BYTES)))?;
            Value::Bool(contains(arguments.first(), text(1))?)
        }
        "IsNil" => Value::Bool(matches!(arguments.first(), Some(Value::Null))),
        "IsZero" => Value::Bool(is_zero(arguments.first().unwrap_or(&Value::Null))),
        name => math::call(name, arguments).ok_or_else(|| Fault::Unknown(name.to_owned()))?,
    })
}

/// Accounts for a time by a layout.
pub(super) fn laid_out(engine: &mut Engine<'_, '_>, layout: &str) -> Result<(), Fault> {
    const GROWTH: usize = 4;
    engine.step(layout.len() as u64)?;
    engine.built(layout.len() * GROWTH)
}

fn contains(list: Option<&Value<'_>>, wanted: &str) -> Result<bool, Fault> {
    let array = list.and_then(Container::of).ok_or(Fault::Arguments { name: "ContainsStr" })?;
    for value in array.values() {
        match value.decoded() {
            Value::Str(text) if text.as_str() == wanted => return Ok(true),
            Value::Str(_) => {}
            _ => return Err(Fault::Arguments { name: "ContainsStr" }),
        }
    }
    Ok(false)
}

/// Booleans, arrays and objects never are, as in Grule; null is.
fn is_zero(value: &Value<'_>) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.as_str().is_empty(),
        Value::Time(time) => *time == Time::ZERO,
        number => number.as_f64() == Some(0.0),
    }
}
