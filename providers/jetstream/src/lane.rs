//! A consumer's two lanes: each has one call under way, and remembers what it needs of its own.

use std::collections::{BTreeMap, VecDeque};

use er_event::limits::BATCH_EVENTS_MAX;
use parking_lot::Mutex;

use crate::ack::Place;
use crate::meter::Deliveries;
use crate::streams;

/// Places that a lane remembers: more than are asked for ahead.
const SETTLED_MAX: usize = 1_024;
/// Events that a call may emit: so many for each event it was given, and a full batch at least.
const EMITTED_PER_EVENT: usize = 16;
const EMITTED_MIN: usize = BATCH_EVENTS_MAX;
/// What a call of `emit` counts at the least, whatever becomes of it: one that is refused costs the platform as much.
const EMIT_COUNTS: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// What comes for the first time.
    Fresh,
    /// What is tried again.
    Again,
}

/// The calls of one consumer that are under way: one a lane, and for a moment more where a link is put anew.
#[derive(Debug, Default)]
pub struct Calls(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    calls: BTreeMap<u64, Call>,
}

#[derive(Debug)]
struct Call {
    /// Of the furthest event that it works on.
    hop: u32,
    /// Events that it may still emit.
    left: usize,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub struct UnderWay<'c> {
    calls: &'c Calls,
    number: u64,
}

/// Why nothing more is taken of what a consumer emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Spent {
    #[error("no call is under way: a consumer may emit as long as one of its calls is waited for")]
    NoCall,
    #[error(
        "too much is emitted: a call may emit {EMITTED_PER_EVENT} events for each that it was given, {EMITTED_MIN} at least, \
         and every emit counts as {EMIT_COUNTS} at least. Nothing of this batch was taken. Emit fewer events, or more of them at once"
    )]
    TooMuch,
}

/// What a lane knows of messages that were not acknowledged yet, or so late that they come again.
#[derive(Debug, Default)]
pub struct Memory {
    settled: VecDeque<Place>,
    partial: Option<Partial>,
}

/// A message of many calls, of which some were made.
#[derive(Debug)]
pub struct Partial {
    pub of: Place,
    /// When the consumer's place was made: one of the same name that is made later begins anew.
    pub since_us: u64,
    pub calls: usize,
    /// Of its first so many events what was wanted is in those calls.
    pub events: usize,
    /// What they count.
    pub metered: Deliveries,
}

// === impl Lane ===

impl Lane {
    /// As message ids and usage records have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fresh => "deliver",
            Self::Again => "retry",
        }
    }

    /// Where its messages come from.
    pub fn stream(self) -> &'static str {
        match self {
            Self::Fresh => streams::EVENTS,
            Self::Again => streams::RETRY,
        }
    }
}

// === impl Calls ===

impl Calls {
    /// `hop`: of the furthest event of the call, of `events` in all.
    pub fn begin(&self, hop: u32, events: usize) -> UnderWay<'_> {
        let mut table = self.0.lock();
        let number = table.next;
        table.next += 1;
        let left = (events * EMITTED_PER_EVENT).max(EMITTED_MIN);
        table.calls.insert(number, Call { hop, left });
        UnderWay { calls: self, number }
    }

    /// Counts a call of `emit`. What is emitted does not say which call it is of: it is as far as the furthest of them,
    /// which is returned.
    pub fn enter(&self) -> Result<u32, Spent> {
        let mut table = self.0.lock();
        let hop = table.calls.values().map(|call| call.hop).max().ok_or(Spent::NoCall)?;
        table.spend(EMIT_COUNTS)?;
        Ok(hop)
    }

    /// What could not be taken after all.
    pub fn give_back(&self, events: usize) {
        if let Some(mut call) = self.0.lock().calls.last_entry() {
            call.get_mut().left += events.saturating_sub(EMIT_COUNTS);
        }
    }

    /// Counts its events.
    pub fn spend(&self, events: usize) -> Result<(), Spent> {
        self.0.lock().spend(events.saturating_sub(EMIT_COUNTS))
    }
}

impl Table {
    /// All of it, or nothing.
    fn spend(&mut self, mut events: usize) -> Result<(), Spent> {
        if self.calls.values().map(|call| call.left).sum::<usize>() < events {
            return Err(Spent::TooMuch);
        }
        for call in self.calls.values_mut() {
            let part = events.min(call.left);
            call.left -= part;
            events -= part;
        }
        Ok(())
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.calls.0.lock().calls.remove(&self.number);
    }
}

// === impl Memory ===

impl Memory {
    /// Of a lane that goes on where another stopped.
    pub fn after(partial: Option<Partial>) -> Self {
        Self { partial, ..Self::default() }
    }

    pub fn note_settled(&mut self, place: Place) {
        if self.settled.len() == SETTLED_MAX {
            self.settled.pop_front();
        }
        self.settled.push_back(place);
    }

    pub fn is_settled(&self, place: Place) -> bool {
        self.settled.contains(&place)
    }

    pub fn note_partial(&mut self, partial: Partial) {
        self.partial = Some(partial);
    }

    /// Forgets what was begun from a place that is not there any more.
    pub fn forget_others(&mut self, since_us: u64) {
        self.partial.take_if(|partial| partial.since_us != since_us);
    }

    /// The message of which some calls were made.
    pub fn partial_of(&self) -> Option<Place> {
        self.partial.as_ref().map(|partial| partial.of)
    }

    pub fn into_partial(self) -> Option<Partial> {
        self.partial
    }

    /// The calls of a message, where some were made.
    pub fn take_partial(&mut self, place: Place) -> Option<Partial> {
        self.partial.take_if(|partial| partial.of == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_call_does_not_bring_the_others_events_back_to_the_start() {
        let calls = Calls::default();
        let fresh = calls.begin(7, 1);
        let again = calls.begin(0, 1);
        assert_eq!(calls.enter(), Ok(7));
        drop(again);
        let again = calls.begin(8, 1);
        assert_eq!(calls.enter(), Ok(8));
        drop(again);
        assert_eq!(calls.enter(), Ok(7));
        drop(fresh);
        assert_eq!(calls.enter(), Err(Spent::NoCall), "between calls nothing is taken");
    }

    #[test]
    fn a_call_emits_so_many_for_each_event_and_a_full_batch_at_least() {
        let calls = Calls::default();
        let emit = |events: usize| calls.enter().and_then(|_| calls.spend(events));
        let small = calls.begin(0, 1);
        assert_eq!(emit(EMITTED_MIN - EMIT_COUNTS), Ok(()));
        calls.give_back(EMITTED_MIN - EMIT_COUNTS);
        assert_eq!(emit(EMITTED_MIN - EMIT_COUNTS), Ok(()), "it was not taken the first time");
        assert_eq!(emit(1), Err(Spent::TooMuch));
        drop(small);
        let large = calls.begin(0, 256);
        for _ in 0..4 {
            assert_eq!(emit(1_024), Ok(()));
        }
        assert_eq!(emit(1), Err(Spent::TooMuch));
        let other = calls.begin(0, 1);
        assert_eq!(emit(1_000), Ok(()), "what another call may emit is there as well");
        assert_eq!(emit(100), Err(Spent::TooMuch));
        drop((large, other));
    }

    #[test]
    fn what_is_refused_counts_too() {
        let calls = Calls::default();
        let _call = calls.begin(0, 1);
        let taken = (0..1_000).take_while(|_| calls.enter().is_ok()).count();
        assert_eq!(taken, EMITTED_MIN / EMIT_COUNTS);
    }

    #[test]
    fn what_was_settled_lately_is_known_and_no_more_than_that() {
        let mut memory = Memory::default();
        let last = SETTLED_MAX as u64 + 1;
        (1..=last).for_each(|seq| memory.note_settled((seq, 7)));
        assert!(memory.is_settled((last, 7)) && memory.is_settled((2, 7)) && !memory.is_settled((1, 7)));
        assert!(!memory.is_settled((last, 8)), "its stream was made anew");
    }

    #[test]
    fn calls_that_were_made_count_for_their_own_message() {
        let mut memory = Memory::default();
        assert_eq!(memory.partial_of(), None);
        memory.note_partial(Partial { of: (5, 7), since_us: 9, calls: 3, events: 40, metered: Deliveries::of(1) });
        assert!(memory.take_partial((4, 7)).is_none());
        let mut memory = Memory::after(memory.into_partial());
        memory.forget_others(9);
        assert_eq!(memory.partial_of(), Some((5, 7)));
        assert_eq!(memory.take_partial((5, 7)).map(|partial| partial.calls), Some(3));
        assert!(memory.take_partial((5, 7)).is_none());
        memory.note_partial(Partial { of: (5, 7), since_us: 9, calls: 3, events: 40, metered: Deliveries::of(1) });
        memory.forget_others(10);
        assert!(memory.into_partial().is_none(), "its consumer was deleted");
    }
}
