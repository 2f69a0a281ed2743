//! One put, parsed and checked before anything is asked of the cluster.

use er_event::event::{parse_batch, time_us};
use er_event::limits::{ATTRIBUTE_BYTES_MAX, BATCH_EVENTS_MAX};
use er_event::Runs;

use super::error::{invalid, Error};
use super::layout::{Place, KEEP_H_MAX};

/// A batch as it may come: twice what crosses a link, since normalization adds to what admission measured.
pub const PUT_BYTES_MAX: usize = 2 * er_event::limits::BATCH_BYTES_MAX;
/// A source, id or type. They are parts of keys, which the protocol ends at 64 KiB together; twice what admission lets
/// in, for sources that a mapping made longer.
pub const KEY_BYTES_MAX: usize = 2 * ATTRIBUTE_BYTES_MAX;

/// What is to be written: each event once, in the order of the batch.
#[derive(Debug)]
pub struct Put<'a> {
    pub rows: Vec<Row<'a>>,
    /// Places of events that came earlier in the batch already.
    pub repeated: Vec<u32>,
}

#[derive(Debug)]
pub struct Row<'a> {
    pub place: Place,
    pub event_type: String,
    /// Whether the event says its time; else `place` has the time of the put.
    pub timed: bool,
    pub text: &'a str,
    pub claim: u64,
    /// In the batch, from 0.
    pub index: u32,
}

// === impl Put ===

impl<'a> Put<'a> {
    /// `now_us` is the time of events that have none.
    pub fn parse(claims: &Runs, events: &'a str, now_us: i64) -> Result<Self, Error> {
        if events.len() > PUT_BYTES_MAX {
            let bytes = events.len();
            return Err(invalid(format!("the batch has {bytes} bytes and {PUT_BYTES_MAX} are let in; split it")));
        }
        let parsed = parse_batch(events).map_err(|e| invalid(format!("{e}; send a CloudEvents JSON batch")))?;
        let count = parsed.len();
        if count > BATCH_EVENTS_MAX {
            return Err(invalid(format!("the batch has {count} events and {BATCH_EVENTS_MAX} are let in; split it")));
        }
        if claims.len() != count {
            let claims = claims.len();
            return Err(invalid(format!("there are {claims} claims on {count} events; send one for each")));
        }
        let mut put = Self { rows: Vec::with_capacity(count), repeated: Vec::new() };
        let mut seen = std::collections::HashSet::with_capacity(count);
        for ((event, claim), index) in parsed.into_iter().zip(claims.iter()).zip(0..) {
            for (name, value) in [("source", &event.source), ("id", &event.id), ("type", &event.event_type)] {
                if value.len() > KEY_BYTES_MAX {
                    let bytes = value.len();
                    return Err(invalid(format!(
                        "event {index} of the batch has a `{name}` of {bytes} bytes and {KEY_BYTES_MAX} are let in; shorten it"
                    )));
                }
            }
            let time = event.time.as_deref().map(|text| {
                time_us(text).ok_or_else(|| {
                    invalid(format!(
                        "event `{}` has the time `{text}`; write it as RFC 3339, like 2024-05-06T07:08:09Z",
                        event.id
                    ))
                })
            });
            let time = time.transpose()?;
            let (source, id) = (event.source.into_owned(), event.id.into_owned());
            if !seen.insert((source.clone(), id.clone())) {
                put.repeated.push(index);
                continue;
            }
            put.rows.push(Row {
                place: Place { time_us: time.unwrap_or(now_us), source, id },
                event_type: event.event_type.into_owned(),
                timed: time.is_some(),
                text: event.raw,
                claim,
                index,
            });
        }
        Ok(put)
    }
}

/// The hours that a put's events are kept.
pub fn keep_h(asked: Option<u32>, own: u32) -> Result<u32, Error> {
    match asked {
        None => Ok(own),
        Some(hours) if (1..=KEEP_H_MAX).contains(&hours) => Ok(hours),
        Some(hours) => Err(invalid(format!("`keep-h` is {hours}; use 1 to {KEEP_H_MAX}"))),
    }
}

pub fn check_tenant(tenant: &str) -> Result<(), Error> {
    if er_event::keys::valid_tenant(tenant) {
        return Ok(());
    }
    Err(invalid(format!("`{tenant}` is no tenant name; use a-z, 0-9 and -, at most 40 characters")))
}
