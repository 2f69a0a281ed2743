//! One put, parsed and ready for the writer: done on the caller's thread, so that the writer only writes.

use er_event::stored::{no_tenant, read_put, Incoming};
use er_event::Runs;
use fjall::Slice;

use super::error::Error;
use super::layout::{Hash, Prefix};

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
        let incoming = read_put(claims, events).map_err(invalid)?;
        if keep_h == Some(0) {
            return Err(invalid("`keep-h` is 0; keep events for an hour at least".into()));
        }
        let row = |Incoming { event, time_us, claim, place }: Incoming<'_>| Row {
            hash: prefix.hash(&event.source, &event.id),
            time_us: time_us.unwrap_or(now_us),
            text: event.raw.into(),
            claim,
            place,
        };
        let mut rows: Vec<Row> = incoming.into_iter().map(row).collect();
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
    Prefix::new(tenant).ok_or_else(|| invalid(no_tenant(tenant)))
}

pub fn invalid(detail: String) -> Error {
    Error::Invalid(detail)
}
