//! Rules written as JSON, turned into GRL as Grule turns them.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::limits::EXPRESSION_DEPTH_MAX;

const DEPTH_MAX: usize = EXPRESSION_DEPTH_MAX;

/// The GRL of JSON rules: an array of them, or one object. The error says which rule is wrong, and how.
pub fn to_grl(json: &str) -> Result<String, String> {
    let value: Value = serde_json::from_str(json).map_err(|error| format!("this is not JSON: {error}"))?;
    let rules = match value {
        Value::Array(rules) => rules,
        rule @ Value::Object(_) => vec![rule],
        _ => return Err("JSON rules are an array of rules, or one object".to_owned()),
    };
    let mut out = String::new();
    for (index, value) in rules.iter().enumerate() {
        let Value::Object(fields) = value else { return Err(format!("rule {} is not an object", index + 1)) };
        rule(fields, &mut out).map_err(|message| match field(fields, "name").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => format!("rule {name}: {message}"),
            _ => format!("rule {}: {message}", index + 1),
        })?;
    }
    Ok(out)
}

/// A field by its name in any case, the last of equal ones, as Go reads it; null is as good as none.
fn field<'v>(fields: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    fields.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).filter(|v| !v.is_null())
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Result<&'v str, String> {
    match field(fields, name) {
        None => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("its {name} is not a text")),
    }
}

fn rule(fields: &Map<String, Value>, out: &mut String) -> Result<(), String> {
    let (name, description) = (text(fields, "name")?, text(fields, "desc")?);
    let salience = match field(fields, "salience") {
        None => 0,
        Some(value) => value.as_i64().ok_or("its salience is not a whole number")?,
    };
    let when = field(fields, "when");
    let then = match field(fields, "then") {
        None => None,
        Some(Value::Array(then)) => Some(then),
        Some(_) => return Err("its then is not an array".to_owned()),
    };
    if name.is_empty() {
        return Err("it has no name".to_owned());
    }
    let when = match when {
        None => return Err("it has no when".to_owned()),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(expression)) => object(expression, 0, 0)?.text,
        Some(_) => return Err("its when is neither a text nor an object".to_owned()),
    };
    let then = then.ok_or("it has no then")?;
    let _ =
        write!(out, "rule {name} {} salience {salience} {{\n    when\n        {when}\n    then\n", quote(description));
    for action in then {
        let mut action = match action {
            Value::String(text) => text.clone(),
            Value::Object(expression) => object(expression, 0, 0)?.text + ";",
            _ => return Err("an action is neither a text nor an object".to_owned()),
        };
        if !action.ends_with(';') {
            action.push(';');
        }
        let _ = writeln!(out, "        {action}");
    }
    out.push_str("}\n");
    Ok(())
}

/// GRL of an expression, and whether it needs no brackets inside of another one.
struct Made {
    text: String,
    whole: bool,
}

/// `level` counts `and` and `or` around it; `depth` everything, against stacks that overflow.
fn object(expression: &Map<String, Value>, level: usize, depth: usize) -> Result<Made, String> {
    if depth > DEPTH_MAX {
        return Err("an expression is nested too deeply".to_owned());
    }
    let mut entries = expression.iter();
    let (Some((key, value)), None) = (entries.next(), entries.next()) else {
        return Err("an expression is an object with exactly one operator".to_owned());
    };
    let part = |text: Result<String, String>| text.map(|text| Made { text, whole: false });
    let whole = |text: Result<String, String>| text.map(|text| Made { text, whole: true });
    match key.as_str() {
        "and" => part(all(value, level, depth, " && ")),
        "or" => part(all(value, level, depth, " || ")),
        "not" => part(negated(value, depth)),
        "eq" => part(join(value, " == ", depth)),
        "gt" => part(join(value, " > ", depth)),
        "gte" => part(join(value, " >= ", depth)),
        "lt" => part(join(value, " < ", depth)),
        "lte" => part(join(value, " <= ", depth)),
        "bor" => part(join(value, " | ", depth)),
        "band" => part(join(value, " & ", depth)),
        "plus" => part(join(value, " + ", depth)),
        "minus" => part(join(value, " - ", depth)),
        "div" => part(join(value, " / ", depth)),
        "mul" => part(join(value, " * ", depth)),
        "mod" => part(join(value, " % ", depth)),
        "set" => match value.as_array().map(Vec::as_slice) {
            Some([target, value]) => {
                whole(Ok(format!("{} = {}", operand(target, depth)?.text, operand(value, depth)?.text)))
            }
            _ => Err("set takes two operands: what to set, and to what".to_owned()),
        },
        "call" => whole(call(value, depth)),
        "obj" => whole(value.as_str().map(str::to_owned).ok_or_else(|| "obj takes a text".to_owned())),
        "const" => whole(match value {
            Value::String(text) => Ok(quote(text)),
            Value::Number(number) => Ok(plain(number)),
            Value::Bool(value) => Ok(value.to_string()),
            _ => Err("const takes a text, a number or a boolean".to_owned()),
        }),
        other => Err(format!("{other} is no operator")),
    }
}

fn array(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| "an operator takes an array of operands".to_owned())
}

fn all(value: &Value, level: usize, depth: usize, operator: &str) -> Result<String, String> {
    let operands = array(value)?;
    if operands.len() < 2 {
        return Err(format!("{} takes at least two operands", if operator == " && " { "and" } else { "or" }));
    }
    let mut made = Vec::with_capacity(operands.len());
    for operand in operands {
        let Value::Object(expression) = operand else {
            return Err("the operands of and and or are objects".to_owned());
        };
        made.push(object(expression, level + 1, depth + 1)?.text);
    }
    let joined = made.join(operator);
    Ok(if level > 0 { format!("({joined})") } else { joined })
}

fn join(value: &Value, operator: &str, depth: usize) -> Result<String, String> {
    let operands = array(value)?;
    if operands.is_empty() {
        return Err("an operator takes at least one operand".to_owned());
    }
    let made: Result<Vec<_>, String> = operands
        .iter()
        .map(|one| operand(one, depth).map(|made| if made.whole { made.text } else { format!("({})", made.text) }))
        .collect();
    Ok(made?.join(operator))
}

/// `!=`, which also turns around each operand that is an operator itself; so of one it is a plain not.
fn negated(value: &Value, depth: usize) -> Result<String, String> {
    let operands = array(value)?;
    if operands.is_empty() {
        return Err("an operator takes at least one operand".to_owned());
    }
    let made: Result<Vec<_>, String> = operands
        .iter()
        .map(|one| operand(one, depth).map(|made| if made.whole { made.text } else { format!("!({})", made.text) }))
        .collect();
    Ok(made?.join(" != "))
}

fn operand(value: &Value, depth: usize) -> Result<Made, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => short(number),
        Value::Bool(value) => value.to_string(),
        Value::Object(expression) => return object(expression, 0, depth + 1),
        _ => return Err("an operand is a text of GRL, a number, a boolean or an object".to_owned()),
    };
    Ok(Made { text, whole: true })
}

fn call(value: &Value, depth: usize) -> Result<String, String> {
    let Some((name, arguments)) = array(value)?.split_first() else {
        return Err("call takes the name of what to call".to_owned());
    };
    let name = name.as_str().ok_or("what to call is named by a text")?;
    let mut made = Vec::with_capacity(arguments.len());
    for argument in arguments {
        made.push(match argument {
            Value::String(text) if text.is_empty() => return Err("an argument is an empty text of GRL".to_owned()),
            Value::Object(expression) => object(expression, 0, depth + 1)?.text,
            other => operand(other, depth)?.text,
        });
    }
    Ok(format!("{name}({})", made.join(", ")))
}

/// A text as a literal.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A number without an exponent.
fn plain(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(float)) => format!("{float}"),
        (None, None) => number.to_string(),
    }
}

/// A number as Go prints it: with an exponent from a million on, which makes it a float. Those that a float cannot
/// hold stay whole.
fn short(number: &Number) -> String {
    const EXACT: u64 = 1 << 53;
    if let Some(whole) = number.as_i64().filter(|whole| whole.unsigned_abs() > EXACT) {
        return whole.to_string();
    }
    let float = number.as_f64().unwrap_or(0.0);
    let scientific = format!("{float:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go turns to an exponent from a million on, and below a ten-thousandth.
    if float == 0.0 || (-4..6).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let made = |json: &str| {
            let rules = format!(r#"{{"name":"A","when":{{"eq":["E.a",{json}]}},"then":["Complete()"]}}"#);
            to_grl(&rules).unwrap().lines().nth(2).unwrap().trim().to_owned()
        };
        for (json, grl) in [
            ("25000000", "2.5e+07"),
            ("100000", "100000"),
            ("1234567", "1.234567e+06"),
            ("0.00001", "1e-05"),
            ("123456789.5", "1.234567895e+08"),
            ("9007199254740993", "9007199254740993"),
            ("0", "0"),
            (r#"{"const":1e21}"#, "1000000000000000000000"),
            (r#"{"const":-7}"#, "-7"),
            (r#"{"const":"a\"\u0001"}"#, r#""a\"\u0001""#),
        ] {
            assert_eq!(made(json), format!("E.a == {grl}"));
        }
    }

    #[test]
    fn not_turns_around_what_is_an_operator() {
        let made = |not: &str| {
            let rules = format!(r#"{{"name":"A","when":{{"not":{not}}},"then":["Complete()"]}}"#);
            to_grl(&rules).unwrap().lines().nth(2).unwrap().trim().to_owned()
        };
        assert_eq!(made(r#"[{"eq":["E.a",1]}]"#), "!(E.a == 1)");
        assert_eq!(made(r#"["E.a"]"#), "E.a");
        assert_eq!(made(r#"[{"obj":"E.a"},{"gt":["E.b",1]}]"#), "E.a != !(E.b > 1)");
        assert_eq!(made(r#"[{"and":[{"eq":["E.a",1]},{"not":["E.b",2]}]}]"#), "!(E.a == 1 && E.b != 2)");
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut when = r#"{"eq":[1,1]}"#.to_owned();
        for _ in 0..300 {
            when = format!(r#"{{"not":[{when}]}}"#);
        }
        assert!(to_grl(&format!(r#"[{{"name":"A","when":{when},"then":["Complete()"]}}]"#)).is_err());
    }
}
