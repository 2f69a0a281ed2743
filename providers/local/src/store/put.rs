//! One put, parsed and ready for the writer: done on the caller's thread, so that the writer only writes.

use er_event::event::{parse_batch, time_us};
use er_event::limits::BATCH_EVENTS_MAX;
use er_event::Runs;
use fjall::Slice;

use super::error::Error;
use super::layout::{Hash, Prefix};

/// A batch as it may come: twice what crosses a link, since normalization adds to what admission measured.
pub const PUT_BYTES_MAX: usize = 2 * er_event::limits::BATCH_BYTES_MAX;

/// Rows sorted by hash, each event once: of two with the same source and id the earlier in the batch counts.
#[derive(Debug)]
pub struct Put {
    pub prefix: Prefix,
    /// Hours to keep the events; none is the store's own setting.
    pub keep_h: Option<u32>,
    pub rows: Vec<Row>,
    /// Places of events that stand earlier in the batch too.
    pub repeated: Vec<u32>,
}

#[derive(Debug)]
pub struct Row {
    pub hash: Hash,
    /// Event time.
    pub time_us: i64,
    pub text: Slice,
    pub claim: u64,
    /// In the batch, from 0.
    pub place: u32,
}

// === impl Put ===

impl Put {
    /// `now_us` is the time of events that have none.
    pub fn parse(tenant: &str, keep_h: Option<u32>, claims: &Runs, events: &str, now_us: i64) -> Result<Self, Error> {
        let prefix = prefix(tenant)?;
        if events.len() > PUT_BYTES_MAX {
            return Err(invalid(format!(
                "the batch has {} bytes and {PUT_BYTES_MAX} are let in; split it",
                events.len()
            )));
        }
        let parsed = parse_batch(events).map_err(|e| invalid(format!("{e}; send a CloudEvents JSON batch")))?;
        if parsed.len() > BATCH_EVENTS_MAX {
            return Err(invalid(format!(
                "the batch has {} events and {BATCH_EVENTS_MAX} are let in; split it",
                parsed.len()
            )));
        }
        if claims.len() != parsed.len() {
            return Err(invalid(format!(
                "there are {} claims on {} events; send one for each",
                claims.len(),
                parsed.len()
            )));
        }
        if keep_h == Some(0) {
            return Err(invalid("`keep-h` is 0; keep events for an hour at least".into()));
        }
        let mut rows = Vec::with_capacity(parsed.len());
        for ((event, claim), place) in parsed.into_iter().zip(claims.iter()).zip(0..) {
            let time_us = match &event.time {
                None => now_us,
                Some(text) => time_us(text).ok_or_else(|| {
                    invalid(format!(
                        "event `{}` has the time `{text}`; write it as RFC 3339, like 2024-05-06T07:08:09Z",
                        event.id
                    ))
                })?,
            };
            rows.push(Row {
                hash: prefix.hash(&event.source, &event.id),
                time_us,
                text: event.raw.into(),
                claim,
                place,
            });
        }
        // Stable, so that of equals the earlier stays earlier.
        rows.sort_by_key(|row| row.hash);
        let mut repeated = Vec::new();
        rows.dedup_by(|later, kept| {
            let same = later.hash == kept.hash;
            if same {
                repeated.push(later.place);
            }
            same
        });
        Ok(Self { prefix, keep_h, rows, repeated })
    }
}

pub fn prefix(tenant: &str) -> Result<Prefix, Error> {
    Prefix::new(tenant)
        .ok_or_else(|| invalid(format!("`{tenant}` is no tenant name; use a-z, 0-9 and -, at most 40 characters")))
}

pub fn invalid(detail: String) -> Error {
    Error::Invalid(detail)
}
