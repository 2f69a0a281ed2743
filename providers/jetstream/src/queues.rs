//! Whose raw messages of a shard are worked on next: tenants side by side, each tenant's in order, and who takes long holds up
//! nobody else.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use er_event::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};

/// Messages of one turn, which is one call of the engine.
const TURN_MESSAGES: usize = 64;
/// Tenants that are worked on at once; those of them that don't take long.
const TURNS_MAX: usize = 64;
const QUICK_TURNS_MAX: usize = 16;
/// Messages that may wait of those who don't take long: what is not to be worked on soon lies in the stream as well.
const WAITING_MAX: usize = 128;
/// Who is worked on for so long holds others up no more: what is behind it is taken from the stream meanwhile. Longer than a
/// call takes where a store is slow.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// What a message takes beside its payload.
const MESSAGE_BYTES: usize = 1_024;
/// Bytes of one tenant that takes long that may wait here.
const TENANT_BYTES_MAX: usize = 8 << 20;
/// Bytes of all who take long.
const BYTES_MAX: usize = 32 << 20;

/// What there is to know of a message.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub events: usize,
    pub bytes: usize,
}

/// What was taken from the stream and not begun.
#[derive(Debug)]
pub struct Queues<T> {
    of: HashMap<String, Queue<T>>,
    /// Those that have something waiting and are not worked on.
    ready: VecDeque<String>,
    bytes: usize,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<(T, Size)>,
    bytes: usize,
    /// Since when its turn lasts.
    turn: Option<Instant>,
    /// Its last turn took long: its next may.
    slow: bool,
    /// More waits from when it took long than a turn takes.
    gathered: bool,
}

// === impl Queues ===

impl<T> Default for Queues<T> {
    fn default() -> Self {
        Self { of: HashMap::new(), ready: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Queues<T> {
    /// Takes a tenant's next message. Given back where its tenant takes long and too much is here already.
    pub fn put(&mut self, tenant: &str, message: T, size: Size, now: Instant) -> Result<(), T> {
        let bytes = size.bytes + MESSAGE_BYTES;
        if let Some(queue) = self.of.get(tenant) {
            let full = queue.bytes + bytes > TENANT_BYTES_MAX || self.bytes + bytes > BYTES_MAX;
            if full && queue.is_slow(now) {
                return Err(message);
            }
        }
        let queue = self.of.entry(tenant.to_owned()).or_default();
        if queue.turn.is_none() && queue.waiting.is_empty() {
            self.ready.push_back(tenant.to_owned());
        }
        queue.waiting.push_back((message, size));
        queue.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }

    /// Whose turn it is, and what is to be worked on: at least one message, and no more than one call takes.
    pub fn begin(&mut self, now: Instant) -> Option<(String, Vec<T>)> {
        let turns = || self.of.values().filter(|queue| queue.turn.is_some());
        if turns().count() >= TURNS_MAX || turns().filter(|queue| !queue.lasts(now)).count() >= QUICK_TURNS_MAX {
            return None;
        }
        let tenant = self.ready.pop_front()?;
        let queue = self.of.get_mut(&tenant)?;
        let mut taken = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        while let Some((_, size)) = queue.waiting.front() {
            events += size.events;
            bytes += size.bytes;
            let fits = taken.len() < TURN_MESSAGES && events <= BATCH_EVENTS_MAX && bytes <= BATCH_BYTES_MAX;
            if !fits && !taken.is_empty() {
                break;
            }
            queue.bytes -= size.bytes + MESSAGE_BYTES;
            self.bytes -= size.bytes + MESSAGE_BYTES;
            taken.extend(queue.waiting.pop_front().map(|(message, _)| message));
        }
        queue.turn = Some(now);
        Some((tenant, taken))
    }

    /// A turn is over.
    pub fn end(&mut self, tenant: &str, now: Instant) {
        let Some(queue) = self.of.get_mut(tenant) else { return };
        // That would else keep everybody's out until it is worked off.
        let much = queue.waiting.len() > TURN_MESSAGES || queue.bytes > BATCH_BYTES_MAX;
        queue.gathered = much && (queue.slow || queue.gathered);
        queue.slow = queue.lasts(now);
        queue.turn = None;
        if queue.waiting.is_empty() {
            self.of.remove(tenant);
        } else {
            self.ready.push_back(tenant.to_owned());
        }
    }

    /// Whether more is to be taken from the stream: of those who don't take long only what will be worked on soon waits.
    pub fn wants_more(&self, now: Instant) -> bool {
        let quick = || self.of.values().filter(|queue| !queue.is_slow(now));
        let few = || quick().filter(|queue| !queue.gathered);
        few().map(|queue| queue.waiting.len()).sum::<usize>() < WAITING_MAX
            && few().map(|queue| queue.bytes).sum::<usize>() < TENANT_BYTES_MAX
            // What comes of who is quick again is not given back, so it is not taken.
            && quick().all(|queue| queue.bytes < TENANT_BYTES_MAX)
    }

    pub fn waiting(&self) -> impl Iterator<Item = &T> {
        self.of.values().flat_map(|queue| queue.waiting.iter().map(|(message, _)| message))
    }

    /// Gives all that waits, each tenant's in order.
    pub fn take_waiting(&mut self) -> Vec<T> {
        let Self { of, .. } = std::mem::take(self);
        of.into_values().flat_map(|queue| queue.waiting).map(|(message, _)| message).collect()
    }
}

impl<T> Queue<T> {
    /// Whether its turn takes long.
    fn lasts(&self, now: Instant) -> bool {
        self.turn.is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.slow || self.lasts(now)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, turn: None, slow: false, gathered: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { events: 1, bytes: 1_000 };
    const QUARTER: Size = Size { events: 1, bytes: TENANT_BYTES_MAX / 4 - MESSAGE_BYTES };

    fn put(queues: &mut Queues<u64>, tenant: &str, number: u64, now: Instant) -> bool {
        queues.put(tenant, number, SMALL, now).is_ok()
    }

    #[test]
    fn each_tenants_messages_come_in_order_one_turn_at_a_time() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        for number in 0..3 {
            assert!(put(&mut queues, "a", number, now) && put(&mut queues, "b", 10 + number, now));
        }
        assert_eq!(queues.begin(now), Some(("a".into(), vec![0, 1, 2])));
        assert_eq!(queues.begin(now), Some(("b".into(), vec![10, 11, 12])));
        assert!(put(&mut queues, "a", 3, now));
        assert_eq!(queues.begin(now), None, "both have their turn");
        queues.end("a", now);
        assert_eq!(queues.begin(now), Some(("a".into(), vec![3])));
        queues.end("a", now);
        queues.end("b", now);
        assert_eq!((queues.begin(now), queues.of.len(), queues.bytes), (None, 0, 0));
    }

    #[test]
    fn a_turn_is_one_call_and_others_come_between() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        (0..100).for_each(|number| assert!(put(&mut queues, "a", number, now)));
        assert_eq!(queues.begin(now).unwrap().1.len(), TURN_MESSAGES);
        assert!(put(&mut queues, "b", 7, now));
        queues.end("a", now);
        assert_eq!(queues.begin(now).unwrap().0, "b");
        assert_eq!(queues.begin(now).unwrap().1.first(), Some(&64));
        // As many events, or bytes, as a call takes; one message at least.
        for size in [
            Size { events: BATCH_EVENTS_MAX / 2, bytes: 1 },
            Size { events: 1, bytes: BATCH_BYTES_MAX / 2 },
            Size { events: 2 * BATCH_EVENTS_MAX, bytes: 1 },
        ] {
            let mut queues = Queues::default();
            (0..5).for_each(|number| assert!(queues.put("a", number, size, now).is_ok()));
            let wanted = if size.events > BATCH_EVENTS_MAX { 1 } else { 2 };
            assert_eq!(queues.begin(now).unwrap().1.len(), wanted, "{size:?}");
        }
    }

    #[test]
    fn while_all_are_quick_the_rest_waits_in_the_stream() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        assert!(queues.wants_more(now));
        put(&mut queues, "a", 0, now);
        queues.begin(now);
        (0..WAITING_MAX as u64).for_each(|number| assert!(put(&mut queues, "a", number, now)));
        assert!(!queues.wants_more(now));
        assert!(queues.wants_more(now + PATIENCE), "who takes long holds nobody up");
        queues.end("a", now + PATIENCE);
        assert!(queues.wants_more(now + PATIENCE), "nor with its next turn");
        queues.begin(now + PATIENCE);
        queues.end("a", now + PATIENCE);
        assert!(queues.wants_more(now + PATIENCE), "64 wait");
    }

    #[test]
    fn what_was_gathered_meanwhile_holds_nobody_up_either() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        put(&mut queues, "a", 0, now);
        queues.begin(now);
        let late = now + PATIENCE;
        (0..10 * TURN_MESSAGES as u64).for_each(|number| assert!(put(&mut queues, "a", number, late)));
        queues.end("a", late);
        for _ in 0..10 {
            assert!(queues.wants_more(late));
            assert_eq!(queues.begin(late).unwrap().1.len(), TURN_MESSAGES);
            queues.end("a", late);
        }
        (0..WAITING_MAX as u64).for_each(|number| assert!(put(&mut queues, "a", number, late)));
        assert!(!queues.wants_more(late), "it is quick again");
    }

    #[test]
    fn who_takes_long_may_have_so_much_here_and_keeps_nobody_out() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        let late = now + PATIENCE;
        for tenant in ["a", "b", "c", "d"] {
            assert!(put(&mut queues, tenant, 0, now));
            queues.begin(now);
            (0..4).for_each(|number| assert!(queues.put(tenant, number, QUARTER, late).is_ok()));
            assert_eq!(queues.put(tenant, 4, SMALL, late), Err(4));
        }
        // All of them together have what all may; who is quick is taken all the same.
        assert!(put(&mut queues, "e", 0, now));
        queues.begin(now);
        assert_eq!(queues.put("e", 1, SMALL, late), Err(1));
        assert!(put(&mut queues, "f", 5, late) && queues.wants_more(late));
        assert_eq!(queues.begin(late), Some(("f".into(), vec![5])));
        assert_eq!(queues.take_waiting().len(), 16);
    }

    #[test]
    fn those_who_take_long_leave_turns_for_others() {
        let (mut queues, now) = (Queues::default(), Instant::now());
        let begun = |queues: &mut Queues<u64>, now| std::iter::from_fn(|| queues.begin(now)).count();
        (0..100).for_each(|n| assert!(put(&mut queues, &n.to_string(), n, now)));
        assert_eq!(begun(&mut queues, now), QUICK_TURNS_MAX);
        assert_eq!(begun(&mut queues, now + PATIENCE), QUICK_TURNS_MAX);
        assert_eq!(begun(&mut queues, now + 2 * PATIENCE), QUICK_TURNS_MAX);
        assert_eq!(begun(&mut queues, now + 3 * PATIENCE), TURNS_MAX - 3 * QUICK_TURNS_MAX);
        assert_eq!(begun(&mut queues, now + 4 * PATIENCE), 0);
    }
}
