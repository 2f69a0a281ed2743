//! Joining the batches of several messages into one call's batch, without looking inside an event.

use bytes::Bytes;
use er_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use er_event::packed::PackedError;
use er_event::Runs;

use crate::ack::Delivery;
use crate::payload::Payload;
use crate::streams;

/// Messages whose batches are handed over together.
#[derive(Debug, Default)]
pub struct Group {
    pub deliveries: Vec<Delivery>,
    events: usize,
    bytes: usize,
}

// === impl Group ===

impl Group {
    pub fn push(&mut self, delivery: Delivery) {
        self.events += delivery.events();
        self.bytes += delivery.payload().len();
        self.deliveries.push(delivery);
    }

    /// Whether one more batch of this size keeps the group within the limits of one call.
    fn fits(&self, delivery: &Delivery) -> bool {
        self.events + delivery.events() <= BATCH_EVENTS_MAX && self.bytes + delivery.payload().len() <= BATCH_BYTES_MAX
    }

    /// Events of all messages, as whoever published them counted them.
    pub fn count(&self) -> usize {
        self.events
    }

    /// For each event the message that brought it, by its place in the stream: the first that did, where a dead letter was
    /// redriven.
    pub fn claims(&self) -> Runs {
        let mut claims = Runs::default();
        for delivery in &self.deliveries {
            let first = delivery.header(streams::CLAIM).and_then(|claim| claim.parse().ok());
            claims.push_many(delivery.events(), first.unwrap_or_else(|| delivery.position().0));
        }
        claims
    }

    /// The joined batch.
    pub fn batch(&self) -> Result<Bytes, PackedError> {
        joined(&self.deliveries)
    }

    /// What can be told of a batch that can't be unpacked.
    pub fn packed(&self) -> String {
        self.deliveries.iter().map(|delivery| delivery.payload().lossy()).collect()
    }

    /// The batch as it stands in a stream. `batch`: what [`Self::batch`] gave.
    pub fn payload(&self, batch: &Bytes) -> Payload {
        match self.deliveries.as_slice() {
            [only] => only.payload(),
            _ => Payload::pack(batch.clone()),
        }
    }
}

/// Groups messages in order so that each group is one call; what goes `alone` is a group of its own.
pub fn group(deliveries: Vec<Delivery>, alone: impl Fn(&Delivery) -> bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open = false;
    for delivery in deliveries {
        let alone = alone(&delivery);
        match groups.last_mut() {
            Some(last) if open && !alone && last.fits(&delivery) => last.push(delivery),
            _ => {
                let mut group = Group::default();
                group.push(delivery);
                groups.push(group);
            }
        }
        open = !alone;
    }
    groups
}

/// The batch of several messages; the payload itself where there is one.
pub fn joined(deliveries: &[Delivery]) -> Result<Bytes, PackedError> {
    match deliveries {
        [only] => only.payload().unpack(),
        many => {
            let batches =
                many.iter().map(|delivery| delivery.payload().unpack()).collect::<Result<Vec<_>, PackedError>>()?;
            Ok(join(batches.iter().map(Bytes::as_ref)))
        }
    }
}

/// Joins JSON arrays into one, textually.
pub fn join<'a>(arrays: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let bytes: usize = arrays.clone().map(<[u8]>::len).sum();
    let mut out = Vec::with_capacity(bytes + 2);
    out.push(b'[');
    for array in arrays {
        let inner = array.trim_ascii();
        let inner = inner.strip_prefix(b"[").unwrap_or(inner);
        let inner = inner.strip_suffix(b"]").unwrap_or(inner).trim_ascii();
        if inner.is_empty() {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(inner);
    }
    out.push(b']');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn joins_arrays_textually_and_skips_empty_ones() {
        let arrays: [&[u8]; 4] = [b"[{\"a\":1}]", b" [ ] ", b"[2,3]", b"[]"];
        assert_eq!(join(arrays.into_iter()), "[{\"a\":1},2,3]");
        assert_eq!(join(std::iter::empty()), "[]");
    }
}
