//! JSON of other systems to CloudEvents, by mappings that are data.

mod mapping;
mod raw;
mod template;

use crate::event::{elements, whole, BatchWriter, RAW_TYPE};
use crate::Reject;
use raw::Envelope;

pub use mapping::Mappings;

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normalized {
    /// The events that could be normalized, in order.
    pub events: String,
    /// Position in the input, and why that one could not be.
    pub rejected: Vec<(u32, String)>,
}

/// Turns the envelopes ([`RAW_TYPE`]) of a batch into CloudEvents. Every other event passes as it is: admission has
/// seen to it that nothing else can have that type. An error says that the batch itself is broken.
pub fn normalize(maps: &Mappings, tenant: &str, raw_batch: &str) -> Result<Normalized, Reject> {
    // Most batches hold no envelope at all, which one look over the bytes tells.
    if memchr::memmem::find(raw_batch.as_bytes(), RAW_TYPE.as_bytes()).is_none() {
        return Ok(Normalized { events: raw_batch.to_owned(), rejected: Vec::new() });
    }
    let mut out = BatchWriter::with_capacity(raw_batch.len());
    let mut rejected = Vec::new();
    let mut elements = elements(raw_batch)?;
    let mut index = 0;
    while let Some(start) = elements.start() {
        let broken = Reject::Batch { offset: start, what: "broken JSON" };
        let (envelope, end) = Envelope::read(raw_batch, start).ok_or(broken)?;
        let Some(raw) = elements.past(end) else { break };
        match envelope {
            None => out.push(raw),
            Some(envelope) => match raw::event(maps.list()?, tenant, &envelope) {
                Ok(text) => out.push(&text),
                Err(reason) => rejected.push((index, reason)),
            },
        }
        index += 1;
    }
    whole(&elements)?;
    Ok(Normalized { events: out.finish(), rejected })
}
