//! What is let in. Each publish request becomes events, or one problem that says how to mend it.
//!
//! This is the only place that reads every byte of what comes from outside. A request is taken whole or not at all.
//! The text of a CloudEvent that needs no addition passes as it came.

pub(crate) mod attribute;
mod binary;
mod emitted;
mod gather;
mod media;
mod raw;
mod ruled;
mod structured;

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::event::{hash_seeded, rfc3339_us};
use crate::frame::{Frame, Frames};
use crate::json::{place, write_string};
use crate::limits::{BODY_BYTES_MAX, EVENT_BYTES_MAX};
use crate::{Kind, Problem, Reject};
use gather::Gather;
use media::{Class, Media};

pub use emitted::admit_emitted;
pub use media::says_json;
pub use ruled::check_ruled;

/// The media types that are let in, for whoever sent another.
const ACCEPTED: &str =
    "Send application/cloudevents+json, application/cloudevents-batch+json, application/json (or any +json), \
                        or any type with the attributes in ce- headers.";

/// Events for one partition, as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 0 to 15: the hash of the tenant and the events' partition key, modulo 16.
    pub partition: u32,
    /// Equal for equal input, and never equal for two tenants.
    pub message_id: String,
    /// When the first of the events arrived, microseconds since 1970 (UTC).
    pub received_us: u64,
    /// The batch, within the limits of a batch.
    pub events: String,
}

/// What one request is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The ids of its events, in order.
    Ids(Vec<String>),
    /// Nothing of it was taken.
    Problem(Problem),
}

/// What became of a group of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// In the order in which they must be appended.
    pub entries: Vec<Entry>,
    /// One a request, in order. True only once every entry is durable.
    pub answers: Vec<Answer>,
}

/// Decides a group of one tenant's requests, framed by [`crate::frame`]. The same frames give the same entries.
/// An error means that the frame itself is broken, which is a defect of the platform.
pub fn admit(tenant: &str, frames: &str) -> Result<Admission, Reject> {
    let frames = Frames::new(frames).collect::<Result<Vec<_>, _>>()?;
    let mut gather = Gather::new(tenant, &batch_name(&frames));
    let mut answers = Vec::with_capacity(frames.len());
    let mut drafts = Vec::new();
    for frame in &frames {
        drafts.clear();
        answers.push(match request(frame, &mut drafts) {
            Err(problem) => Answer::Problem(problem),
            Ok(()) => Answer::Ids(
                drafts
                    .drain(..)
                    .map(|draft| {
                        gather.push(&draft, frame.received_us);
                        draft.id.into_owned()
                    })
                    .collect(),
            ),
        });
    }
    Ok(Admission { entries: gather.finish(), answers })
}

/// 128 bits that name this group of requests: ids of requests are never used twice.
fn batch_name(frames: &[Frame<'_>]) -> String {
    let ids: Vec<&str> = frames.iter().map(|frame| frame.id).collect();
    format!("{:016x}{:016x}", hash_seeded(1, &ids), hash_seeded(2, &ids))
}

/// An event about to be let in.
struct Draft<'a> {
    text: Cow<'a, str>,
    id: Cow<'a, str>,
    /// `partitionkey`, else `source`.
    key: Cow<'a, str>,
}

/// The mode of a request decides who reads it, as in the HTTP binding: first by content type, then by `ce-` headers.
fn request<'a>(frame: &'a Frame<'a>, drafts: &mut Vec<Draft<'a>>) -> Result<(), Problem> {
    if frame.body.len() > BODY_BYTES_MAX && !frame.base64 {
        return Err(Problem::new(
            Kind::TooLarge,
            format!("the body has {} bytes, over {BODY_BYTES_MAX}", frame.body.len()),
        )
        .mend("Send fewer events per request, or a reference to large data."));
    }
    let received = Received::new(frame.received_us);
    let media = frame.content_type.as_deref().map(Media::parse).transpose()?;
    let class = media.as_ref().map(|media| media.class);
    match class {
        Some(Class::Event) => {
            utf8(frame)?;
            media.map_or(Ok(()), |media| media.only_utf8())?;
            structured::single(frame.body, &received, drafts)
        }
        Some(Class::Batch) => {
            utf8(frame)?;
            media.map_or(Ok(()), |media| media.only_utf8())?;
            structured::batch(frame.body, &received, drafts)
        }
        Some(Class::OtherEvents) => Err(Problem::new(
            Kind::UnknownContentType,
            format!("{} is not supported", frame.content_type.as_deref().unwrap_or_default()),
        )
        .mend(
            "Send CloudEvents in the JSON format: application/cloudevents+json or application/cloudevents-batch+json.",
        )),
        _ if !frame.attributes.is_empty() => {
            drafts.push(binary::event(frame, media.as_ref(), &received)?);
            Ok(())
        }
        Some(Class::Json) => {
            media.map_or(Ok(()), |media| media.only_utf8())?;
            utf8(frame)?;
            drafts.push(raw::event(frame, &received)?);
            Ok(())
        }
        Some(_) => Err(Problem::new(
            Kind::UnknownContentType,
            format!(
                "{} without ce- headers can't be read as an event",
                frame.content_type.as_deref().unwrap_or_default()
            ),
        )
        .mend(ACCEPTED)),
        None => Err(Problem::new(Kind::UnknownContentType, "the request has no Content-Type header").mend(ACCEPTED)),
    }
}

/// A body that must be text is text.
fn utf8(frame: &Frame<'_>) -> Result<(), Problem> {
    use base64::Engine;
    if !frame.base64 {
        return Ok(());
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(frame.body).unwrap_or_default();
    let good = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let (line, column) = place(&bytes, good);
    Err(Problem::new(Kind::InvalidUtf8, format!("line {line}, column {column}: byte {good} of the body is not UTF-8"))
        .at(line, column)
        .mend("Send the body in UTF-8."))
}

/// An event that is over the limit, said in one way for all modes.
fn event_size(bytes: usize) -> Result<(), Problem> {
    if bytes <= EVENT_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::new(Kind::EventTooLarge, format!("the event has {bytes} bytes, over {EVENT_BYTES_MAX}"))
        .mend("Send a reference to large data in place of the data."))
}

/// The time of arrival, written out when the first event without a time needs it.
struct Received {
    us: u64,
    text: OnceCell<String>,
}

impl Received {
    fn new(us: u64) -> Self {
        Received { us, text: OnceCell::new() }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| rfc3339_us(i64::try_from(self.us).unwrap_or(i64::MAX)))
    }
}

// === impl Admission ===

impl Admission {
    /// The answer of `admission.admit`: `[{"ids":["…"]},{"problem":{…}}]`, one element a request, in order.
    pub fn answers_json(&self) -> String {
        let mut out = String::with_capacity(48 * self.answers.len() + 2);
        out.push('[');
        for (index, answer) in self.answers.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            match answer {
                Answer::Ids(ids) => {
                    out.push_str("{\"ids\":[");
                    for (index, id) in ids.iter().enumerate() {
                        if index > 0 {
                            out.push(',');
                        }
                        write_string(&mut out, id);
                    }
                    out.push_str("]}");
                }
                Answer::Problem(problem) => {
                    out.push_str("{\"problem\":");
                    out.push_str(&problem.to_json());
                    out.push('}');
                }
            }
        }
        out.push(']');
        out
    }
}
