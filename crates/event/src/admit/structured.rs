//! CloudEvents in the JSON format: one, or a batch. Checked in one pass over the body.

use std::borrow::Cow;

use crate::event::with_members;
use crate::json::{kind_of, place, Checker};
use crate::limits::BATCH_EVENTS_MAX;
use crate::{Kind, Problem};

use super::{attribute, event_size, Draft, Received};

/// A body of `application/cloudevents+json`.
pub(super) fn single<'a>(body: &'a str, received: &Received, drafts: &mut Vec<Draft<'a>>) -> Result<(), Problem> {
    drafts.push(one(body)?.draft(received, true)?);
    Ok(())
}

/// Reads one event.
pub(super) fn one(body: &str) -> Result<Event<'_>, Problem> {
    let mut checker = Checker::new(body);
    expect(&mut checker, body, b'{', "an object", "An array of events is sent as application/cloudevents-batch+json.")?;
    let event = Event::read(&mut checker, body)?;
    checker.end()?;
    Ok(event)
}

/// A body of `application/cloudevents-batch+json`.
pub(super) fn batch<'a>(body: &'a str, received: &Received, drafts: &mut Vec<Draft<'a>>) -> Result<(), Problem> {
    each(body, |event| {
        drafts.push(event.draft(received, true)?);
        Ok(())
    })
}

/// Reads an array of events; a problem names the event.
pub(super) fn each<'a>(body: &'a str, mut take: impl FnMut(Event<'a>) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut checker = Checker::new(body);
    expect(&mut checker, body, b'[', "an array", "One event is sent as application/cloudevents+json.")?;
    checker.take(b'[');
    let mut index = 0;
    while !checker.take(b']') {
        if index > 0 && !checker.take(b',') {
            return Err(checker.unexpected("`,` or `]`").into());
        }
        if index == BATCH_EVENTS_MAX {
            return Err(Problem::new(
                Kind::TooManyEvents,
                format!("the batch has more than {BATCH_EVENTS_MAX} events"),
            )
            .mend("Send it in several requests."));
        }
        expect(&mut checker, body, b'{', "an object", "Every element of a batch is an event.")
            .and_then(|()| Event::read(&mut checker, body))
            .and_then(&mut take)
            .map_err(|problem| problem.event(index))?;
        index += 1;
    }
    Ok(checker.end()?)
}

/// Valid JSON of the wrong shape is no fault of JSON's, and is told apart.
fn expect(checker: &mut Checker<'_>, body: &str, open: u8, shape: &str, mend: &str) -> Result<(), Problem> {
    if checker.peek() == open {
        return Ok(());
    }
    let start = checker.at();
    let value = checker.value()?;
    let detail = format!("{shape} is expected, found {}", kind_of(value));
    Err(placed(Problem::new(Kind::InvalidEvent, detail).mend(mend), body, start))
}

fn placed(mut problem: Problem, body: &str, offset: usize) -> Problem {
    let (line, column) = place(body.as_bytes(), offset);
    problem.detail = format!("line {line}, column {column}: {}", problem.detail);
    problem.at(line, column)
}

/// An event whose every attribute was checked, except for what may be filled in.
pub(super) struct Event<'a> {
    body: &'a str,
    start: usize,
    raw: &'a str,
    pub(super) specversion: bool,
    pub(super) time: bool,
    /// The key `time` is there, if only with `null`.
    time_key: bool,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    pub(super) event_type: Option<Cow<'a, str>>,
    partition_key: Option<Cow<'a, str>>,
    data: bool,
    data_base64: bool,
    /// Its type is the platform's to give.
    pub(super) own_type: Option<Problem>,
    /// It has an extension that is the platform's to set.
    own_extension: Option<Problem>,
}

impl<'a> Event<'a> {
    fn read(checker: &mut Checker<'a>, body: &'a str) -> Result<Self, Problem> {
        checker.peek();
        let start = checker.at();
        let mut event = Event {
            body,
            start,
            raw: "",
            specversion: false,
            time: false,
            time_key: false,
            id: None,
            source: None,
            event_type: None,
            partition_key: None,
            data: false,
            data_base64: false,
            own_type: None,
            own_extension: None,
        };
        let mut open = checker.object()?;
        while let Some((key, at)) = checker.member(&mut open)? {
            let value = checker.value()?;
            event.member(&key, value).map_err(|problem| placed(problem, body, at))?;
            if let Some(problem) = attribute::own(&key, event.event_type.as_deref().unwrap_or_default()) {
                let own = if key == "type" { &mut event.own_type } else { &mut event.own_extension };
                own.get_or_insert_with(|| placed(problem, body, at));
            }
        }
        event.raw = &body[start..checker.at()];
        Ok(event)
    }

    fn member(&mut self, key: &str, value: &'a str) -> Result<(), Problem> {
        match key {
            "id" => self.id = attribute::json_text(key, value)?,
            "source" => self.source = attribute::json_text(key, value)?,
            "type" => self.event_type = attribute::json_text(key, value)?,
            "specversion" => self.specversion = attribute::json_text(key, value)?.is_some(),
            "time" => {
                self.time_key = true;
                self.time = attribute::json_text(key, value)?.is_some();
            }
            "subject" | "datacontenttype" | "dataschema" => {
                attribute::json_text(key, value)?;
            }
            "partitionkey" => self.partition_key = attribute::json_text(key, value)?,
            "data" => self.data = value != "null",
            "data_base64" => self.data_base64 = attribute::json_base64(value)?,
            _ => {
                attribute::name(key)?;
                attribute::json_extension(key, value)?;
            }
        }
        Ok(())
    }

    /// What must be there is there. `strict`: `specversion` too.
    pub(super) fn complete(&self, strict: bool) -> Result<(), Problem> {
        let missing = [
            ("specversion", self.specversion || !strict, "Add `specversion` with the value \"1.0\"."),
            ("id", self.id.is_some(), "Add `id`, unique within the source."),
            ("source", self.source.is_some(), "Add `source`, a URI reference that says where the event comes from."),
            ("type", self.event_type.is_some(), "Add `type`, such as com.example.order.placed."),
        ];
        if let Some((name, _, mend)) = missing.into_iter().find(|(_, there, _)| !there) {
            return Err(
                self.wrong(Problem::new(Kind::InvalidEvent, format!("`{name}` is missing")).mend(mend).field(name))
            );
        }
        if self.data && self.data_base64 {
            let both = Problem::new(Kind::InvalidEvent, "the event has both `data` and `data_base64`");
            return Err(self.wrong(both.mend("Send one of them.").field("data_base64")));
        }
        event_size(self.raw.len()).map_err(|problem| self.wrong(problem))
    }

    fn wrong(&self, problem: Problem) -> Problem {
        placed(problem, self.body, self.start)
    }

    /// As a sender's, who leaves to the platform what is its own.
    fn draft(mut self, received: &Received, strict: bool) -> Result<Draft<'a>, Problem> {
        self.complete(strict)?;
        if let Some(problem) = self.own_type.take().or_else(|| self.own_extension.take()) {
            return Err(problem);
        }
        let text = if self.time {
            Cow::Borrowed(self.raw)
        } else if self.time_key {
            Cow::Owned(with_members(self.raw, &[("time", &format!("\"{}\"", received.text()))]))
        } else {
            let inside = &self.raw[..self.raw.len() - 1];
            Cow::Owned([inside, ",\"time\":\"", received.text(), "\"}"].concat())
        };
        Ok(self.with_text(text))
    }

    /// The text as it came.
    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }

    pub(super) fn with_text(self, text: Cow<'a, str>) -> Draft<'a> {
        let source = self.source.unwrap_or_default();
        Draft { text, id: self.id.unwrap_or_default(), key: self.partition_key.unwrap_or(source) }
    }
}
