//! What a piece of work counts, as usage records.
//!
//! A record is of one message of a stream, since that is what is delivered again, whatever else it was grouped with the
//! first time. Its minute is the message's own. So the record of a repeat has the key of the first.

use std::time::Duration;

use er_event::event::split;
use er_event::Runs;
use er_metering::{Meter, Quantities, Record, Time};

use crate::ack::Delivery;

/// Bytes of the events in an array as it is written here: two brackets and a comma between events are not theirs.
fn event_bytes(array_bytes: usize, events: usize) -> u64 {
    array_bytes.saturating_sub(2 + events.saturating_sub(1)) as u64
}

fn time(us: u64) -> Result<Time, String> {
    Time::from_us(i64::try_from(us).unwrap_or(i64::MAX)).map_err(|e| e.to_string())
}

/// What came in with raw messages. `evaluations`, `repeated`: for each event of all messages, as the engine said; what
/// is repeated counts nothing.
pub fn raw(
    tenant: &str,
    deliveries: &[Delivery],
    evaluations: Option<&Runs>,
    repeated: Option<&Runs>,
) -> Result<Vec<Record>, String> {
    let events: usize = deliveries.iter().map(Delivery::events).sum();
    for numbers in [evaluations, repeated].into_iter().flatten() {
        if numbers.len() != events {
            return Err(format!("the engine gave numbers of {} events instead of {events}", numbers.len()));
        }
    }
    let mut evaluations = evaluations.map(Runs::iter);
    let mut repeated = repeated.map(Runs::iter);
    let mut records = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let count = delivery.events();
        let flags: Option<Vec<u64>> = repeated.as_mut().map(|repeated| repeated.take(count).collect());
        let evaluated = evaluations.as_mut().map_or_else(Vec::new, |evaluations| evaluations.take(count).collect());
        let known = |place: usize| flags.as_ref().and_then(|flags| flags.get(place)).is_some_and(|flag| *flag > 0);
        let payload = delivery.payload();
        let (new, bytes) = if (0..count).any(known) {
            let text = payload.unpack().map_err(|e| e.to_string())?;
            let sizes = sizes(&text)?;
            let of_new = sizes.iter().enumerate().filter(|(place, _)| !known(*place)).map(|(_, bytes)| bytes);
            ((0..count).filter(|place| !known(*place)).count(), of_new.sum())
        } else {
            (count, event_bytes(payload.len(), count))
        };
        let evaluated: u64 = evaluated.iter().enumerate().filter(|(place, _)| !known(*place)).map(|(_, n)| n).sum();
        let used = Quantities::of(Meter::EventsIn, new as u64)
            .and_then(|used| used.with(Meter::BytesIn, bytes))
            .and_then(|used| used.with(Meter::RuleEvaluations, evaluated))
            .map_err(|e| e.to_string())?;
        let id = format!("raw.{}", delivery.position().0);
        records.extend(record(tenant, &id, delivery.received_us(), used)?);
    }
    Ok(records)
}

/// None for what counts nothing.
fn record(tenant: &str, id: &str, us: u64, used: Quantities) -> Result<Option<Record>, String> {
    if used.is_zero() {
        return Ok(None);
    }
    Record::new(tenant, id, time(us)?, used).map(Some).map_err(|e| e.to_string())
}

fn sizes(batch: &[u8]) -> Result<Vec<u64>, String> {
    let text = std::str::from_utf8(batch).map_err(|e| e.to_string())?;
    Ok(split(text).map_err(|e| e.to_string())?.iter().map(|event| event.len() as u64).collect())
}

/// What deliveries of messages to a consumer count, added up call by call.
#[derive(Debug, Default)]
pub struct Deliveries {
    of: Vec<Share>,
}

/// One message's part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Share {
    deliveries: u64,
    taken: u64,
    taken_bytes: u64,
    wall_us: u64,
}

/// A call as it went.
#[derive(Debug)]
pub struct Called {
    pub wall: Duration,
    /// Places of events that the consumer did not take, ascending.
    pub failed: Vec<usize>,
}

// === impl Deliveries ===

impl Deliveries {
    pub fn of(messages: usize) -> Self {
        Self { of: vec![Share::default(); messages] }
    }

    /// A call whose events are of these messages: for each event the message's place in the group. Its wall time is
    /// shared by events, and the shares add up to it.
    pub fn note(&mut self, owners: &Runs, sizes: impl Fn(usize) -> u64, called: &Called) {
        let wall_us = u64::try_from(called.wall.as_micros()).unwrap_or(u64::MAX);
        let events = owners.len() as u128;
        let until = |place: u128| {
            let share = u128::from(wall_us) * place;
            u64::try_from(share.checked_div(events).unwrap_or_default()).unwrap_or(u64::MAX)
        };
        let mut failed = called.failed.iter().copied().peekable();
        for (place, owner) in owners.iter().enumerate() {
            let Some(share) = usize::try_from(owner).ok().and_then(|owner| self.of.get_mut(owner)) else { continue };
            share.deliveries += 1;
            share.wall_us += until(place as u128 + 1) - until(place as u128);
            if failed.next_if_eq(&place).is_none() {
                share.taken += 1;
                share.taken_bytes += sizes(place);
            }
        }
    }

    /// A call that took all of whole messages, of which nobody need look at single events.
    pub fn note_whole(&mut self, group: &[Delivery], wall: Duration) {
        let owners = owners(group);
        self.note(&owners, |_| 0, &Called { wall, failed: Vec::new() });
        for (share, delivery) in self.of.iter_mut().zip(group) {
            share.taken_bytes += event_bytes(delivery.payload().len(), delivery.events());
        }
    }

    /// `what` names the consumer and the kind of delivery; `memory_mib` is the limit that is held for a call.
    pub fn records(
        &self,
        tenant: &str,
        what: &str,
        memory_mib: u64,
        group: &[Delivery],
    ) -> Result<Vec<Record>, String> {
        let mut records = Vec::with_capacity(group.len());
        for (share, delivery) in self.of.iter().zip(group) {
            let used = Quantities::of(Meter::Deliveries, share.deliveries)
                .and_then(|used| used.with(Meter::EventsOut, share.taken))
                .and_then(|used| used.with(Meter::BytesOut, share.taken_bytes))
                .and_then(|used| used.with(Meter::ConsumerUs, share.wall_us))
                .and_then(|used| used.with(Meter::MemoryMibUs, share.wall_us.saturating_mul(memory_mib)))
                .map_err(|e| e.to_string())?;
            let id = format!("{what}.{}", delivery.position().0);
            records.extend(record(tenant, &id, delivery.published_us(), used)?);
        }
        Ok(records)
    }
}

/// For each event of the group its message's place.
pub fn owners(group: &[Delivery]) -> Runs {
    let mut owners = Runs::default();
    for (place, delivery) in group.iter().enumerate() {
        owners.push_many(delivery.events(), place as u64);
    }
    owners
}

/// What went to a client by the live tail. Each read is one of its own.
pub fn tail(tenant: &str, read: &str, now_us: u64, events: usize, bytes: usize) -> Result<Vec<Record>, String> {
    let used = Quantities::of(Meter::EventsOut, events as u64)
        .and_then(|used| used.with(Meter::BytesOut, event_bytes(bytes, events)))
        .map_err(|e| e.to_string())?;
    Ok(record(tenant, &format!("tail.{read}"), now_us, used)?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_call_add_up_to_it() {
        let mut deliveries = Deliveries::of(3);
        let owners: Runs = "2x0 1x2 4x1".parse().unwrap();
        let called = Called { wall: Duration::from_micros(100), failed: vec![1, 6] };
        deliveries.note(&owners, |place| place as u64 * 10, &called);
        let share = |deliveries, taken, taken_bytes, wall_us| Share { deliveries, taken, taken_bytes, wall_us };
        assert_eq!(deliveries.of, [share(2, 1, 0, 28), share(4, 3, 120, 58), share(1, 1, 20, 14)]);
        deliveries.note(&Runs::of(1, 2), |_| 5, &Called { wall: Duration::from_micros(7), failed: vec![] });
        assert_eq!(deliveries.of[2], share(2, 2, 25, 21));
        assert_eq!(deliveries.of.iter().map(|share| share.wall_us).sum::<u64>(), 107);
    }

    #[test]
    fn brackets_and_commas_are_nobodys_bytes() {
        assert_eq!(
            (event_bytes("[]".len(), 0), event_bytes("[12]".len(), 1), event_bytes("[1,23,4]".len(), 3)),
            (0, 2, 4)
        );
        assert_eq!(tail("acme", "x", 0, 0, 2), Ok(vec![]));
    }
}
