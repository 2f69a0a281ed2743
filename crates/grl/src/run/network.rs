//! The indexes: which conditions the value of a path makes true, and what an assignment wakes.

use super::cycle::Engine;
use crate::form::{alpha, hash_of, node, rule, test, RuleSet, Section, NONE};
use crate::limits::WAKES_PER_STEP;
use crate::value::{equal, number_order, Value};
use std::cmp::Ordering;

// === impl RuleSet ===

impl RuleSet<'_> {
    /// Every indexed condition of a path that `value` makes true.
    #[inline]
    fn each_cond(&self, alpha: u32, value: &Value<'_>, mut found: impl FnMut(u32)) {
        let present = self.alpha(alpha, alpha::PRESENT);
        if present != NONE {
            found(present);
        }
        let slots = self.alpha(alpha, alpha::EQ_LEN);
        if slots > 0 {
            self.each_equal(self.alpha(alpha, alpha::EQ), slots, value, &mut found);
        }
        if !matches!(value, Value::Int(_) | Value::Uint(_) | Value::Float(_)) {
            return;
        }
        let order = |at: u32| {
            let constant = self.word(Section::Thresholds, at as usize * 3);
            let inclusive = self.word(Section::Thresholds, at as usize * 3 + 2) != 0;
            (number_order(&self.constant(constant), value), inclusive)
        };
        let (from, count) = (self.alpha(alpha, alpha::ABOVE), self.alpha(alpha, alpha::ABOVE_LEN));
        let end = partition(count, |at| match order(from.saturating_add(at)) {
            (Some(Ordering::Less), _) => true,
            (Some(Ordering::Equal), inclusive) => inclusive,
            _ => false,
        });
        self.each_threshold(from, end, &mut found);
        let (from, count) = (self.alpha(alpha, alpha::BELOW), self.alpha(alpha, alpha::BELOW_LEN));
        let start = partition(count, |at| match order(from.saturating_add(at)) {
            (Some(Ordering::Greater), _) => false,
            (Some(Ordering::Equal), inclusive) => !inclusive,
            // Nothing is true of what is no number.
            _ => true,
        });
        self.each_threshold(from.saturating_add(start), count - start, &mut found);
    }

    fn each_threshold(&self, from: u32, count: u32, found: &mut impl FnMut(u32)) {
        let mut words =
            self.list(Section::Thresholds, (from as usize).saturating_mul(3), (count as usize).saturating_mul(3));
        while let (Some(_), Some(cond), Some(_)) = (words.next(), words.next(), words.next()) {
            found(cond);
        }
    }

    #[inline]
    fn each_equal(&self, first: u32, slots: u32, value: &Value<'_>, found: &mut impl FnMut(u32)) {
        let mut at = hash_of(value);
        for _ in 0..slots {
            let slot = (first as usize).saturating_add((at & (slots - 1)) as usize).saturating_mul(3);
            let Some(constant) = self.word(Section::EqSlots, slot).checked_sub(1) else { return };
            if equal(&self.constant(constant), value) == Ok(true) {
                let (from, count) = (self.word(Section::EqSlots, slot + 1), self.word(Section::EqSlots, slot + 2));
                self.list(Section::Pool, from as usize, count as usize).for_each(found);
                return;
            }
            at = at.wrapping_add(1);
        }
    }
}

/// The first place from which on `before` does not hold.
fn partition(count: u32, before: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

// === impl Engine ===

impl<'a> Engine<'a, '_> {
    /// The value of a node is there now: counts the conditions that it makes true.
    pub(super) fn enter(&mut self, node: u32) {
        let set = self.set;
        let Some((alpha, value)) = self.watched(node) else { return };
        let (counts, agenda) = (&mut self.scratch.counts, &mut self.scratch.agenda);
        let mut wakes = 0;
        set.each_cond(alpha, &value, |cond| {
            for rank in rules_of(set, cond) {
                wakes += 1;
                let Some(count) = counts.get_mut(rank as usize) else { continue };
                *count = count.wrapping_add(1);
                if *count == set.rule(rank, rule::NEEDED) {
                    put_bit(agenda, rank);
                }
            }
        });
        self.spend(wakes / WAKES_PER_STEP);
    }

    /// The value of a node goes: takes back what [`Engine::enter`] counted for it.
    pub(super) fn leave(&mut self, node: u32) {
        let set = self.set;
        let Some((alpha, value)) = self.watched(node) else { return };
        let (counts, agenda) = (&mut self.scratch.counts, &mut self.scratch.agenda);
        let mut wakes = 0;
        set.each_cond(alpha, &value, |cond| {
            for rank in rules_of(set, cond) {
                wakes += 1;
                let Some(count) = counts.get_mut(rank as usize) else { continue };
                *count = count.wrapping_sub(1);
                clear_bit(agenda, rank);
            }
        });
        self.spend(wakes / WAKES_PER_STEP);
    }

    fn watched(&self, node: u32) -> Option<(u32, Value<'a>)> {
        let alpha = Some(self.set.node(node, node::ALPHA)).filter(|alpha| *alpha != NONE)?;
        Some((alpha, self.read(node)?))
    }

    /// What reads a node must be evaluated anew.
    pub(super) fn wake_readers(&mut self, node: u32) {
        let field = if self.strict { node::READERS_ALL } else { node::READERS_LEN };
        let (from, count) = (self.set.node(node, node::READERS), self.set.node(node, field));
        let set = self.set;
        let mut wakes = 0;
        for reader in set.list(Section::Pool, from as usize, count as usize) {
            wakes += 1;
            let id = reader >> 1;
            if reader & 1 == 1 {
                if let Some(memo) = self.memos.get_mut(id as usize) {
                    *memo = None;
                }
                continue;
            }
            if let Some(state) = self.scratch.states.get_mut(id as usize) {
                *state = 0;
            }
            let (from, count) = (self.set.test(id, test::RULES), self.set.test(id, test::RULES_LEN));
            for rank in set.list(Section::Pool, from as usize, count as usize) {
                wakes += 1;
                let count = self.scratch.counts.get(rank as usize).copied();
                if count == Some(self.set.rule(rank, rule::NEEDED)) {
                    put_bit(&mut self.scratch.agenda, rank);
                }
            }
        }
        self.spend(wakes / WAKES_PER_STEP);
    }
}

fn rules_of<'s>(set: &'s RuleSet<'_>, cond: u32) -> impl Iterator<Item = u32> + 's {
    let at = cond as usize * 2;
    set.list(Section::Pool, set.word(Section::Conds, at) as usize, set.word(Section::Conds, at + 1) as usize)
}

#[inline]
pub(super) fn put_bit(bits: &mut [u64], at: u32) {
    if let Some(word) = bits.get_mut(at as usize / 64) {
        *word |= 1 << (at % 64);
    }
}

#[inline]
pub(super) fn clear_bit(bits: &mut [u64], at: u32) {
    if let Some(word) = bits.get_mut(at as usize / 64) {
        *word &= !(1 << (at % 64));
    }
}

#[inline]
pub(super) fn has_bit(bits: &[u64], at: u32) -> bool {
    bits.get(at as usize / 64).is_some_and(|word| word & 1 << (at % 64) != 0)
}
