//! What rules can do beside writing to `Event`.

use er_event::event::OWN_EXTENSIONS;
use grl::{Host, Time, Value};

use crate::{EMITS_MAX, MARKS_MAX, MARK_CHARS_MAX};

/// Attributes that are no extensions.
const NOT_EXTENSIONS: [&str; 10] =
    ["id", "source", "type", "specversion", "time", "subject", "data", "data_base64", "datacontenttype", "dataschema"];

// Places in `Functions::eventrunner`.
const DROP: usize = 0;
const ROUTE_TO: usize = 1;
const EMIT: usize = 2;
const TAG: usize = 3;
const SET_EXTENSION: usize = 4;
const DEAD_LETTER: usize = 5;

/// Where an event goes in the place of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Away {
    Dropped(String),
    Dead(String),
}

/// An event to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emit {
    pub(crate) event_type: String,
    /// JSON.
    pub(crate) data: String,
}

/// What the rules of one event asked for.
#[derive(Debug, Default)]
pub(crate) struct Actions {
    /// The first of them counts.
    pub(crate) away: Option<Away>,
    pub(crate) tags: Vec<String>,
    pub(crate) routes: Vec<String>,
    pub(crate) emits: Vec<Emit>,
    /// Name and JSON value.
    pub(crate) extensions: Vec<(String, String)>,
    pub(crate) logged: Vec<String>,
    now: Time,
}

// === impl Actions ===

impl Actions {
    /// `now_us`: microseconds since 1970 (UTC).
    pub(crate) fn new(now_us: i64) -> Self {
        let now = Time {
            seconds: now_us.div_euclid(1_000_000),
            nanos: u32::try_from(now_us.rem_euclid(1_000_000)).unwrap_or(0) * 1_000,
        };
        Actions { now, ..Actions::default() }
    }

    fn go_away(&mut self, away: Away) {
        self.away.get_or_insert(away);
    }
}

impl Host for Actions {
    fn call(&mut self, rule: &str, function: usize, arguments: &[Value<'_>]) -> Result<Value<'static>, String> {
        let text = |index: usize| {
            let text = arguments.get(index).and_then(Value::as_str);
            text.ok_or_else(|| format!("argument {} is no text", index + 1))
        };
        match function {
            DROP => self.go_away(Away::Dropped(format!("{rule}: {}", text(0)?))),
            DEAD_LETTER => self.go_away(Away::Dead(format!("{rule}: {}", text(0)?))),
            ROUTE_TO => mark(&mut self.routes, "Route", text(0)?)?,
            TAG => mark(&mut self.tags, "Tag", text(0)?)?,
            EMIT => {
                if self.emits.len() == EMITS_MAX {
                    return Err(format!("Emit: the rules made {EMITS_MAX} events from this one already"));
                }
                let data = arguments.get(1).map_or_else(|| "null".to_owned(), Value::to_json);
                self.emits.push(Emit { event_type: text(0)?.to_owned(), data });
            }
            SET_EXTENSION => self.extension(text(0)?, arguments.get(1))?,
            _ => return Err("there is no such action".to_owned()),
        }
        Ok(Value::Null)
    }

    fn log(&mut self, text: &str) {
        if self.logged.len() < MARKS_MAX {
            self.logged.push(text.chars().take(1_000).collect());
        }
    }

    fn now(&self) -> Time {
        self.now
    }
}

impl Actions {
    fn extension(&mut self, name: &str, value: Option<&Value<'_>>) -> Result<(), String> {
        if NOT_EXTENSIONS.contains(&name) || OWN_EXTENSIONS.contains(&name) {
            return Err(format!("SetExtension: `{name}` is no extension; write to Event.{name} where that is allowed"));
        }
        let value = match value {
            Some(value @ (Value::Bool(_) | Value::Int(_) | Value::Str(_))) => value.to_json(),
            Some(Value::Time(_) | Value::Uint(_) | Value::Float(_)) | None => {
                return Err(format!("SetExtension: `{name}` must be a text, a whole number or a truth value"))
            }
            Some(other) => return Err(format!("SetExtension: `{name}` can't be {}", other.kind().text())),
        };
        if let Some(known) = self.extensions.iter_mut().find(|(known, _)| known == name) {
            known.1 = value;
            return Ok(());
        }
        if self.extensions.len() == MARKS_MAX {
            return Err(format!("SetExtension: an event gets at most {MARKS_MAX} extensions from rules"));
        }
        self.extensions.push((name.to_owned(), value));
        Ok(())
    }
}

/// Each once, in the order given.
fn mark(marks: &mut Vec<String>, action: &str, name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    if name.is_empty() || name.len() > MARK_CHARS_MAX || !name.chars().all(plain) {
        return Err(format!(
            "{action}: {name:?} is not 1 to {MARK_CHARS_MAX} of letters, digits, `-`, `_`, `.` and `:`"
        ));
    }
    if marks.iter().any(|known| known == name) {
        return Ok(());
    }
    if marks.len() == MARKS_MAX {
        return Err(format!("{action}: an event gets at most {MARKS_MAX} of them"));
    }
    marks.push(name.to_owned());
    Ok(())
}
