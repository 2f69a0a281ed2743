//! One envelope to one CloudEvent.

use std::borrow::Cow;

use crate::admit::attribute;
use crate::event::{rfc3339_us, time_us, RAW_TYPE};
use crate::json::{kind_of, lookup, string, write_string, Members};

use super::mapping::{Body, Mapping, Rule};
use super::template::{Input, Template};

/// The type of JSON that nobody named: the only one of the platform's own that a mapping may make.
const JSON_TYPE: &str = "io.eventrunner.json";

/// What admission put around a body.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    id: Cow<'a, str>,
    time: Option<Cow<'a, str>>,
    headers: Cow<'a, str>,
    query: Cow<'a, str>,
    body: &'a str,
}

impl<'a> Envelope<'a> {
    /// Reads the event that starts at `start`; none inside for one that is no envelope, and the offset after it.
    /// None where the text is broken.
    pub(super) fn read(batch: &'a str, start: usize) -> Option<(Option<Self>, usize)> {
        let mut envelope = Envelope { body: "null", ..Envelope::default() };
        let mut raw_type = false;
        let mut members = Members::open(batch, start)?;
        for member in members.by_ref() {
            let value = member.value;
            match &*member.key {
                "type" => raw_type = string(value).is_some_and(|event_type| event_type == RAW_TYPE),
                "id" => envelope.id = string(value).unwrap_or_default(),
                "time" => envelope.time = string(value),
                "rawheaders" => envelope.headers = string(value).unwrap_or_default(),
                "rawquery" => envelope.query = string(value).unwrap_or_default(),
                "data" => envelope.body = value,
                _ => {}
            }
        }
        Some((raw_type.then_some(envelope), members.end()?))
    }
}

/// The event's text, or why there can't be one.
pub(super) fn event(mappings: &[Mapping], tenant: &str, envelope: &Envelope<'_>) -> Result<String, String> {
    let body = envelope.body;
    let mut input = Input { tenant, headers: &envelope.headers, query: &envelope.query, found: Vec::new() };
    let mapping = mappings
        .iter()
        .find(|mapping| mapping.detect.is_empty() || mapping.detect.iter().any(|rule| rule.holds(&input)))
        .ok_or("no mapping takes it")?;
    if mapping.body == Body::Object && kind_of(body) != "object" {
        return Err(format!("{} body must be a JSON object, found {}", mapping.label, kind_of(body)));
    }
    if !mapping.pointers.is_empty() {
        input.found = lookup(body, &mapping.pointers);
    }
    write(mapping, &input, envelope)
}

fn write(mapping: &Mapping, input: &Input<'_>, envelope: &Envelope<'_>) -> Result<String, String> {
    let templates = &mapping.templates;
    let id = first(&templates.id, input).unwrap_or_else(|_| envelope.id.clone());
    let source = first(&templates.source, input).map_err(|why| missing(mapping, "source", &why))?;
    let event_type = first(&templates.event_type, input).map_err(|why| missing(mapping, "type", &why))?;
    let subject = match first(&templates.subject, input) {
        Err(why) if mapping.subject_required => return Err(missing(mapping, "subject", &why)),
        subject => subject.ok(),
    };
    let time = match templates.time.iter().find_map(|template| time(&template.fill(input).ok()?)) {
        None if mapping.time_required => return Err(missing(mapping, "time", "a time in the body")),
        None => envelope.time.clone(),
        time => time.map(Cow::Owned),
    };
    let attributes =
        [("id", Some(id)), ("source", Some(source)), ("type", Some(event_type)), ("subject", subject), ("time", time)];
    let mut out = String::with_capacity(envelope.body.len() + 512);
    out.push_str("{\"specversion\":\"1.0\"");
    for (name, value) in attributes {
        let Some(value) = value else { continue };
        let fits = attribute::text(name, &value).and_then(|()| match attribute::own(name, &value) {
            Some(problem) if value != JSON_TYPE => Err(problem),
            _ => Ok(()),
        });
        fits.map_err(|problem| format!("{}: {}", mapping.label, problem.detail))?;
        out.push_str(",\"");
        out.push_str(name);
        out.push_str("\":");
        write_string(&mut out, &value);
    }
    out.push_str(",\"datacontenttype\":\"application/json\",\"data\":");
    out.push_str(envelope.body);
    out.push('}');
    Ok(out)
}

/// What the first template that resolves gives, else what the last one lacks.
fn first<'a>(templates: &'a [Template], input: &Input<'a>) -> Result<Cow<'a, str>, String> {
    let mut lacks = None;
    for template in templates {
        match template.fill(input) {
            Ok(text) => return Ok(text),
            Err(piece) => lacks = Some(piece),
        }
    }
    Err(lacks.map(ToString::to_string).unwrap_or_default())
}

fn missing(mapping: &Mapping, attribute: &str, lacks: &str) -> String {
    format!("{} gives no `{attribute}`: {lacks} is missing", mapping.label)
}

/// RFC 3339, from the same or from a number since 1970: seconds, or milliseconds from 10^11 (the year 5138) on.
fn time(text: &str) -> Option<String> {
    if time_us(text).is_some() {
        return Some(text.to_owned());
    }
    let number: i64 = text.parse().ok().filter(|number| *number > 0)?;
    let us = number.checked_mul(if number < 100_000_000_000 { 1_000_000 } else { 1_000 })?;
    Some(rfc3339_us(us))
}

impl Rule {
    fn holds(&self, input: &Input<'_>) -> bool {
        let value = match (&self.header, &self.query) {
            (Some(name), _) => input.header(&name.to_ascii_lowercase()).map(Cow::Borrowed),
            (None, Some(name)) => input.query(name),
            (None, None) => None,
        };
        match (value, &self.equals) {
            (Some(value), Some(wanted)) => value == wanted.as_str(),
            (value, None) => value.is_some(),
            (None, Some(_)) => false,
        }
    }
}
