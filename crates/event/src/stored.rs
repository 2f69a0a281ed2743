//! What any event store is asked, read and checked alike whatever it stands on. Faults are sentences for whoever asked.

use crate::event::{filter_matches, parse_batch, time_us, EventRef};
use crate::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use crate::Runs;

/// A batch as it may come: twice what crosses a link, since normalization adds to what admission measured.
pub const PUT_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// Events of a page at most.
pub const PAGE_EVENTS_MAX: u32 = 1_000;

/// One event of a put.
#[derive(Debug)]
pub struct Incoming<'a> {
    pub event: EventRef<'a>,
    /// Event time in microseconds since 1970; none where the event does not say.
    pub time_us: Option<i64>,
    pub claim: u64,
    /// In the batch, from 0.
    pub place: u32,
}

/// What a query asks for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Exact, or a prefix ending in `*`.
    pub event_type: Option<String>,
    pub source: Option<String>,
    /// From, inclusive.
    pub since_us: Option<i64>,
    /// To, exclusive.
    pub until_us: Option<i64>,
}

// === impl Filter ===

impl Filter {
    /// As the interface has it: times are RFC 3339.
    pub fn new(
        event_type: Option<String>,
        source: Option<String>,
        since: Option<&str>,
        until: Option<&str>,
    ) -> Result<Self, String> {
        Ok(Self { event_type, source, since_us: time("since", since)?, until_us: time("until", until)? })
    }

    /// Whether the range of times leaves anything to look at inside of events.
    pub fn is_by_time_only(&self) -> bool {
        self.event_type.is_none() && self.source.is_none()
    }

    /// Whether an event of that type and source, within the range of times, is asked for.
    pub fn takes(&self, event_type: &str, source: &str) -> bool {
        self.event_type.as_ref().is_none_or(|filter| filter_matches(filter, event_type))
            && self.source.as_ref().is_none_or(|wanted| wanted == source)
    }
}

/// The events of a put, in order.
pub fn read_put<'a>(claims: &Runs, events: &'a str) -> Result<Vec<Incoming<'a>>, String> {
    if events.len() > PUT_BYTES_MAX {
        return Err(format!("the batch has {} bytes and {PUT_BYTES_MAX} are let in; split it", events.len()));
    }
    let parsed = parse_batch(events).map_err(|e| format!("{e}; send a CloudEvents JSON batch"))?;
    let count = parsed.len();
    if count > BATCH_EVENTS_MAX {
        return Err(format!("the batch has {count} events and {BATCH_EVENTS_MAX} are let in; split it"));
    }
    if claims.len() != count {
        return Err(format!("there are {} claims on {count} events; send one for each", claims.len()));
    }
    let read = |((event, claim), place): ((EventRef<'a>, u64), u32)| {
        let time = event.time.as_deref().map(|text| {
            time_us(text).ok_or_else(|| {
                format!("event `{}` has the time `{text}`; write it as RFC 3339, like 2024-05-06T07:08:09Z", event.id)
            })
        });
        let time_us = time.transpose()?;
        Ok(Incoming { event, time_us, claim, place })
    };
    parsed.into_iter().zip(claims.iter()).zip(0..).map(read).collect()
}

/// How many events a page may have.
pub fn page_limit(limit: u32) -> Result<usize, String> {
    match limit {
        1..=PAGE_EVENTS_MAX => Ok(limit as usize),
        _ => Err(format!("`limit` is {limit}; use 1 to {PAGE_EVENTS_MAX}")),
    }
}

/// Says that what is no tenant's name is none.
pub fn no_tenant(name: &str) -> String {
    format!("`{name}` is no tenant name; use a-z, 0-9 and -, at most 40 characters")
}

/// A time of a filter.
fn time(name: &str, text: Option<&str>) -> Result<Option<i64>, String> {
    text.map(|text| {
        time_us(text).ok_or_else(|| format!("`{name}` is `{text}`; write it as RFC 3339, like 2024-05-06T07:08:09Z"))
    })
    .transpose()
}
