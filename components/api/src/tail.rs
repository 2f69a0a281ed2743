//! A tenant's events as they come, as server-sent events.
//!
//! Every event has a position: where its page began and how many of the page came before it, or, for the last of a page,
//! where the next page begins. A page read again from where it began begins with the same events, so that a client that
//! lost the connection goes on after the last event it saw. The host bounds the time of one call, so a stream ends by
//! itself after a while and the client, which remembers the position, comes back.

use er_event::event::{split, EventRef};
use er_event::Problem;
use er_tenant::Principal;

use crate::auth::Permission;
use crate::backend::{Backend, TailPage};
use crate::events::type_filter;
use crate::fault::OrProblem;
use crate::http::Request;
use crate::query::{invalid, Query};

/// Well below the 30 s that the host gives a call.
const STREAM_MS_MAX: i64 = 20_000;
/// Silence between two signs of life, and how long a client that is gone goes unnoticed.
const WAIT_MS_MAX: i64 = 5_000;
const TYPES_MAX: usize = 32;

/// Where the stream's text goes. Returns when it is on its way.
pub trait Sink {
    fn send(&mut self, text: &str) -> Result<(), Gone>;
}

/// The client is no longer there.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone;

/// A stream that was granted, with its first page.
pub struct Tail {
    tenant: String,
    types: Vec<String>,
    first: TailPage,
    /// Where the first page begins.
    from: u64,
    /// Events of it that the client has seen.
    seen: usize,
    /// How long it lasts at most.
    for_ms: i64,
}

impl Tail {
    /// Reads once, without waiting: a refusal can still be told with a status, and the client gets a position at once.
    pub fn open(backend: &dyn Backend, caller: &Principal, request: &Request<'_>) -> Result<Self, Problem> {
        let query = Query::parse(request.query, &["tenant", "types", "after", "for_s"])?;
        let tenant = caller.tenant(&query)?;
        let types = types(&query)?;
        // A browser that reconnects repeats the URL, `after` included; its header knows better.
        let (after, seen) = match request.header("last-event-id").map(str::trim) {
            Some(id) => {
                let (after, seen) = position(id)
                    .ok_or_else(|| invalid("Last-Event-ID", "(a header) is not a position of this stream"))?;
                (Some(after), seen)
            }
            None => (query.number("after")?, 0),
        };
        let for_ms = match query.number("for_s")? {
            None => STREAM_MS_MAX,
            Some(seconds @ 0..=20) => seconds * 1000,
            Some(_) => return Err(invalid("for_s", "must be 0 to 20")),
        };
        let first = backend.tail(&tenant, after, &types, 0).or_problem()?;
        let from = after.unwrap_or(first.next);
        Ok(Tail { tenant, types, first, from, seen, for_ms })
    }

    /// Streams until the time is over, the source fails, or nobody listens.
    pub fn run(self, backend: &dyn Backend, sink: &mut dyn Sink) -> Result<(), Gone> {
        let end_us = backend.now_us() + self.for_ms * 1000;
        sink.send(&format!(": events of {}\nretry: 500\n\n", self.tenant))?;
        let (mut page, mut from, mut seen) = (self.first, self.from, self.seen);
        loop {
            let Some(text) = page_text(&page, from, &mut seen) else {
                return sink.send(": a page could not be read\n\n");
            };
            sink.send(&text)?;
            let left_ms = (end_us - backend.now_us()) / 1000;
            if left_ms <= 0 {
                return sink.send(": time is up, come back\n\n");
            }
            let wait_ms = u32::try_from(left_ms.min(WAIT_MS_MAX)).unwrap_or(0);
            from = page.next;
            page = match backend.tail(&self.tenant, Some(from), &self.types, wait_ms).or_problem() {
                Ok(page) => page,
                Err(problem) => {
                    let retry_ms = problem.retry_after_ms.unwrap_or(2000);
                    return sink.send(&format!(": {}\nretry: {retry_ms}\n\n", problem.kind.slug()));
                }
            };
        }
    }
}

fn types(query: &Query) -> Result<Vec<String>, Problem> {
    let named = query.get("types").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let types = named.map(type_filter).collect::<Result<Vec<_>, _>>()?;
    match types.len() {
        0..=TYPES_MAX => Ok(types),
        _ => Err(invalid("types", format!("names more than {TYPES_MAX} types"))),
    }
}

/// `<page>` or `<page>-<events seen of it>`.
fn position(id: &str) -> Option<(u64, usize)> {
    match id.split_once('-') {
        Some((page, seen)) => Some((page.parse().ok()?, seen.parse().ok()?)),
        None => Some((id.parse().ok()?, 0)),
    }
}

/// The page that begins at `from`, without the first `seen` events, which are counted down. None when the page is no
/// batch, which only a defect can bring about.
fn page_text(page: &TailPage, from: u64, seen: &mut usize) -> Option<String> {
    let events = split(&page.events).ok()?;
    let skip = events.len().min(*seen);
    *seen -= skip;
    if skip == events.len() {
        // A block without data moves the client's position and raises no event.
        return Some(format!("id: {}\n: keep-alive\n\n", page.next));
    }
    let mut text = String::with_capacity(page.events.len() + 64 * events.len());
    for (index, event) in events.iter().enumerate().skip(skip) {
        match index + 1 {
            count if count == events.len() => text.push_str(&format!("id: {}\n", page.next)),
            count => text.push_str(&format!("id: {from}-{count}\n")),
        }
        push_event(&mut text, event);
    }
    Some(text)
}

fn push_event(text: &mut String, event: &str) {
    if let Ok(view) = EventRef::parse(event) {
        if !view.event_type.chars().any(char::is_control) {
            text.push_str("event: ");
            text.push_str(&view.event_type);
            text.push('\n');
        }
    }
    text.push_str("data: ");
    // Line ends in JSON stand between its tokens only.
    text.extend(event.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
    text.push_str("\n\n");
}
