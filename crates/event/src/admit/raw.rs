//! JSON of another system: put into an envelope, with what the normalizer may want to know about the request.

use std::borrow::Cow;

use crate::event::RAW_TYPE;
use crate::frame::Frame;
use crate::json::{check, trim, write_string};
use crate::limits::{ATTRIBUTE_BYTES_MAX, HEADERS_BYTES_MAX};
use crate::{Kind, Problem};

use super::{attribute, event_size, Draft, Received};

/// The source of every envelope.
const SOURCE: &str = "/raw";
/// Headers that name the event for whoever sends it, and so are equal when it sends it again.
const ID_HEADERS: [&str; 2] = ["x-github-delivery", "idempotency-key"];

/// The envelope around a JSON body that is no CloudEvent. Its `data` is the body as it came, `rawheaders` has a line
/// `name: value` a header, `rawquery` is the query string as it came.
pub(super) fn event<'a>(frame: &'a Frame<'a>, received: &Received) -> Result<Draft<'a>, Problem> {
    check(frame.body)?;
    let id = id(frame)?;
    let mut text = String::with_capacity(frame.body.len() + 512);
    text.push_str("{\"specversion\":\"1.0\",\"id\":");
    write_string(&mut text, id);
    for (name, value) in
        [("source", SOURCE), ("type", RAW_TYPE), ("time", received.text()), ("datacontenttype", "application/json")]
    {
        text.push_str(",\"");
        text.push_str(name);
        text.push_str("\":\"");
        text.push_str(value);
        text.push('"');
    }
    let headers = headers(frame)?;
    if !headers.is_empty() {
        text.push_str(",\"rawheaders\":");
        write_string(&mut text, &headers);
    }
    if let Some(query) = frame.query.as_deref().filter(|query| !query.is_empty()) {
        if query.len() > ATTRIBUTE_BYTES_MAX {
            let detail = format!("the query string has {} bytes, over {ATTRIBUTE_BYTES_MAX}", query.len());
            return Err(Problem::new(Kind::InvalidQuery, detail).mend("Send long values in the body."));
        }
        text.push_str(",\"rawquery\":");
        write_string(&mut text, query);
    }
    text.push_str(",\"data\":");
    text.push_str(trim(frame.body));
    text.push('}');
    event_size(text.len())?;
    Ok(Draft { text: Cow::Owned(text), id: Cow::Borrowed(id), key: Cow::Borrowed(SOURCE) })
}

fn id<'a>(frame: &'a Frame<'a>) -> Result<&'a str, Problem> {
    for name in ID_HEADERS {
        let header = frame.headers.iter().find(|(header, value)| header == name && !value.is_empty());
        if let Some((_, value)) = header {
            attribute::text("id", value).map_err(|problem| {
                Problem::new(
                    Kind::HeaderInvalid,
                    format!("the header {name} can't be an event's id: {}", problem.detail),
                )
                .mend("Send a short text without control characters.")
            })?;
            return Ok(value);
        }
    }
    Ok(frame.id)
}

fn headers(frame: &Frame<'_>) -> Result<String, Problem> {
    let bytes: usize = frame.headers.iter().map(|(name, value)| name.len() + value.len() + 3).sum();
    if bytes > HEADERS_BYTES_MAX {
        return Err(Problem::new(
            Kind::HeaderInvalid,
            format!("the headers have {bytes} bytes, over {HEADERS_BYTES_MAX}"),
        )
        .mend("Send fewer or shorter x- headers."));
    }
    let mut lines = String::with_capacity(bytes);
    for (name, value) in &frame.headers {
        // A line feed in a value would look like another header.
        if name.contains(['\n', ':']) || value.contains('\n') {
            return Err(Problem::new(
                Kind::HeaderInvalid,
                format!("the header {name:?} holds a line feed or a colon in its name"),
            )
            .mend("Send headers as RFC 9110 has them."));
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        lines.push_str(name);
        lines.push_str(": ");
        lines.push_str(value);
    }
    Ok(lines)
}
