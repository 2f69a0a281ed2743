//! Binary mode: attributes in `ce-` headers, the body is the data.

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use base64::Engine;

use crate::frame::Frame;
use crate::json::{trim, write_string, Checker};
use crate::{Kind, Problem};

use super::media::{Class, Media};
use super::{attribute, event_size, utf8, Draft, Received};

/// The event of a request with `ce-` headers.
pub(super) fn event<'a>(
    frame: &'a Frame<'a>,
    media: Option<&Media<'_>>,
    received: &Received,
) -> Result<Draft<'a>, Problem> {
    let mut text = String::with_capacity(frame.body.len() + 512);
    text.push_str("{\"specversion\":\"1.0\"");
    let attributes = Attributes::write(frame, &mut text)?;
    if !attributes.time {
        member(&mut text, "time", received.text());
    }
    if let Some(content_type) = frame.content_type.as_deref() {
        attribute::text("datacontenttype", content_type)?;
        member(&mut text, "datacontenttype", content_type);
    }
    data(frame, media, &mut text)?;
    text.push('}');
    event_size(text.len())?;
    let source = attributes.source.unwrap_or_default();
    Ok(Draft {
        text: Cow::Owned(text),
        id: attributes.id.unwrap_or_default(),
        key: attributes.partition_key.unwrap_or(source),
    })
}

#[derive(Default)]
struct Attributes<'a> {
    specversion: bool,
    event_type: bool,
    time: bool,
    id: Option<Cow<'a, str>>,
    source: Option<Cow<'a, str>>,
    partition_key: Option<Cow<'a, str>>,
}

impl<'a> Attributes<'a> {
    fn write(frame: &'a Frame<'a>, text: &mut String) -> Result<Self, Problem> {
        let mut all = Attributes::default();
        for (index, (name, wire)) in frame.attributes.iter().enumerate() {
            if frame.attributes[..index].iter().any(|(other, _)| other == name) {
                return Err(header(name, "is given twice", "Send every attribute once."));
            }
            let Some(value) = decode(wire) else {
                return Err(header(name, "is not UTF-8 after percent-decoding", "Percent-encode the bytes of UTF-8."));
            };
            if name == "datacontenttype" {
                return Err(header(name, "is not for headers", "Send it as the Content-Type header."));
            }
            if name == "data" {
                return Err(header(name, "is not for headers", "Send data as the body."));
            }
            attribute::name(name)?;
            attribute::text(name, &value)?;
            if let Some(problem) = attribute::own(name, &value) {
                return Err(problem);
            }
            if name == "specversion" {
                all.specversion = true;
                continue;
            }
            member(text, name, &value);
            match &**name {
                "id" => all.id = Some(value),
                "source" => all.source = Some(value),
                "type" => all.event_type = true,
                "time" => all.time = true,
                "partitionkey" => all.partition_key = Some(value),
                _ => {}
            }
        }
        all.complete()?;
        Ok(all)
    }

    fn complete(&self) -> Result<(), Problem> {
        let required = [
            ("specversion", self.specversion),
            ("id", self.id.is_some()),
            ("source", self.source.is_some()),
            ("type", self.event_type),
        ];
        match required.into_iter().find(|(_, there)| !there) {
            None => Ok(()),
            Some((name, _)) => Err(Problem::new(Kind::InvalidEvent, format!("the header ce-{name} is missing"))
                .mend("Send ce-specversion: 1.0, ce-id, ce-source and ce-type, or send the event as application/cloudevents+json.")
                .field(name)),
        }
    }
}

fn header(name: &str, what: &str, mend: &str) -> Problem {
    Problem::new(Kind::HeaderInvalid, format!("the header ce-{name} {what}")).mend(mend)
}

fn member(text: &mut String, name: &str, value: &str) {
    text.push_str(",\"");
    text.push_str(name);
    text.push_str("\":");
    write_string(text, value);
}

/// The body as `data`, in the form that its content type asks for.
fn data(frame: &Frame<'_>, media: Option<&Media<'_>>, text: &mut String) -> Result<(), Problem> {
    let body = frame.body;
    if body.is_empty() {
        return Ok(());
    }
    match media {
        Some(media) if media.class == Class::Json => {
            media.only_utf8()?;
            utf8(frame)?;
            json(body, text)?;
        }
        Some(media) if media.class == Class::Text && media.is_utf8() && !frame.base64 => {
            text.push_str(",\"data\":");
            write_string(text, body);
        }
        Some(_) => {
            text.push_str(",\"data_base64\":\"");
            if frame.base64 {
                text.push_str(body);
            } else {
                STANDARD.encode_string(body, text);
            }
            text.push('"');
        }
        // An event without a content type says that its data is JSON; anything else would be misread later.
        None => {
            let unnamed = |_| {
                Problem::new(Kind::UnknownContentType, "the body is not JSON and there is no Content-Type header")
                    .mend("Name the body's media type in the Content-Type header.")
            };
            utf8(frame).map_err(unnamed)?;
            json(body, text).map_err(unnamed)?;
        }
    }
    Ok(())
}

fn json(body: &str, text: &mut String) -> Result<(), Problem> {
    let mut checker = Checker::new(body);
    checker.value()?;
    checker.end()?;
    text.push_str(",\"data\":");
    text.push_str(trim(body));
    Ok(())
}

/// A header's value: unquoted, then percent-decoded (HTTP binding, 3.1.3.2). None when that isn't UTF-8.
/// A `%` without two digits stands for itself: senders that don't encode are more common than ones that do.
fn decode<'a>(wire: &'a str) -> Option<Cow<'a, str>> {
    let value: Cow<'a, str> = match wire.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Cow::Borrowed(wire),
        Some(inner) if !inner.contains('\\') => Cow::Borrowed(inner),
        Some(inner) => {
            let mut escaped = false;
            let keep = |character: &char| {
                escaped = *character == '\\' && !escaped;
                !escaped
            };
            Cow::Owned(inner.chars().filter(keep).collect())
        }
    };
    if memchr::memchr(b'%', value.as_bytes()).is_none() {
        return Some(value);
    }
    String::from_utf8(crate::percent::decode(&value)).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn header_values_are_unquoted_then_decoded() {
        for (wire, value) in [
            ("plain", "plain"),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
            ("\"a \\\"b\\\" \\\\c\"", "a \"b\" \\c"),
            ("\"%22\"", "\""),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%41%4a%4A", "AJJ"),
            ("\"", "\""),
        ] {
            assert_eq!(decode(wire).as_deref(), Some(value), "{wire}");
        }
        assert_eq!(decode("%FF"), None);
    }
}
