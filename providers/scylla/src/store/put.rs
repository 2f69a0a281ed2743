//! One put, parsed and checked before anything is asked of the cluster.

use er_event::limits::ATTRIBUTE_BYTES_MAX;
use er_event::stored::{no_tenant, read_put, Incoming};
use er_event::Runs;

use super::error::{invalid, Error};
use super::layout::{Place, KEEP_H_MAX};

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
        let incoming = read_put(claims, events).map_err(invalid)?;
        let count = incoming.len();
        let mut put = Self { rows: Vec::with_capacity(count), repeated: Vec::new() };
        let mut seen = std::collections::HashSet::with_capacity(count);
        for Incoming { event, time_us, claim, place: index } in incoming {
            for (name, value) in [("source", &event.source), ("id", &event.id), ("type", &event.event_type)] {
                if value.len() > KEY_BYTES_MAX {
                    let bytes = value.len();
                    return Err(invalid(format!(
                        "event {index} of the batch has a `{name}` of {bytes} bytes and {KEY_BYTES_MAX} are let in; shorten it"
                    )));
                }
            }
            let (source, id) = (event.source.into_owned(), event.id.into_owned());
            if !seen.insert((source.clone(), id.clone())) {
                put.repeated.push(index);
                continue;
            }
            put.rows.push(Row {
                place: Place { time_us: time_us.unwrap_or(now_us), source, id },
                event_type: event.event_type.into_owned(),
                timed: time_us.is_some(),
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
    Err(invalid(no_tenant(tenant)))
}
