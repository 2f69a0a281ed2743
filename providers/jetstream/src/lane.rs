//! A consumer's two lanes: each has one call under way, and remembers what it needs of its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::ack::Place;
use crate::meter::Deliveries;
use crate::streams;

/// Places that a lane remembers: more than are asked for ahead.
const SETTLED_MAX: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What comes for the first time.
    Fresh,
    /// What is tried again.
    Again,
}

/// Hops of the events that each lane is working on, for what the consumer emits meanwhile.
#[derive(Debug, Default)]
pub struct Hops([AtomicU32; 2]);

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
    pub calls: usize,
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

// === impl Hops ===

impl Hops {
    /// 0 between calls, or one lane's last events would count for the other's.
    pub fn note(&self, lane: Lane, hop: u32) {
        self.0[lane as usize].store(hop, Ordering::Relaxed);
    }

    /// An emitted event does not say which call it is of: it is as far as the furthest.
    pub fn furthest(&self) -> u32 {
        self.0.iter().map(|hop| hop.load(Ordering::Relaxed)).max().unwrap_or_default()
    }
}

// === impl Memory ===

impl Memory {
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

    /// The calls of a message, where some were made.
    pub fn take_partial(&mut self, place: Place) -> Option<Partial> {
        self.partial.take_if(|partial| partial.of == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_does_not_bring_the_others_events_back_to_the_start() {
        let hops = Hops::default();
        hops.note(Lane::Fresh, 7);
        hops.note(Lane::Again, 0);
        assert_eq!(hops.furthest(), 7);
        hops.note(Lane::Again, 8);
        assert_eq!(hops.furthest(), 8);
        hops.note(Lane::Again, 0);
        hops.note(Lane::Fresh, 0);
        assert_eq!(hops.furthest(), 0, "between calls nothing is ahead");
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
        memory.note_partial(Partial { of: (5, 7), calls: 3, metered: Deliveries::of(1) });
        assert!(memory.take_partial((4, 7)).is_none());
        assert_eq!(memory.take_partial((5, 7)).map(|partial| partial.calls), Some(3));
        assert!(memory.take_partial((5, 7)).is_none());
    }
}
