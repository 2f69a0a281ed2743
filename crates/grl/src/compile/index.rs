//! The indexes of a path: by equal values, and by bounds.

use std::collections::HashMap;

use crate::form::{alpha, hash_of, Section, Writer, NONE};
use crate::syntax::ast::Op;
use crate::value::{number_order, Value};

/// What one path's value decides.
#[derive(Default)]
pub(super) struct Alpha {
    /// By constant.
    pub(super) equal: Vec<(u32, Vec<u32>)>,
    pub(super) equal_at: HashMap<u32, usize>,
    pub(super) above: Vec<(Op, u32, u32)>,
    pub(super) below: Vec<(Op, u32, u32)>,
    pub(super) present: Option<u32>,
}

/// Puts an entry into a table of open addressing.
pub(super) fn insert(slots: &mut [u32], hash: u32, entry: u32) {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while slots[at] != 0 {
        at = (at + 1) & mask;
    }
    slots[at] = entry;
}

pub(super) fn write_alphas(alphas: &mut [Alpha], values: &[Value<'static>], writer: &mut Writer) {
    let value = |id: &u32| values.get(*id as usize).cloned().unwrap_or(Value::Null);
    for alpha in alphas {
        let by_number = |a: &(Op, u32, u32), b: &(Op, u32, u32), first: Op| {
            number_order(&value(&a.1), &value(&b.1))
                .unwrap_or(std::cmp::Ordering::Equal)
                .then((a.0 != first).cmp(&(b.0 != first)))
        };
        // What is true of a number is then a beginning of the one list and an end of the other.
        alpha.above.sort_by(|a, b| by_number(a, b, Op::Gte));
        alpha.below.sort_by(|a, b| by_number(a, b, Op::Lt));
        let slots_len = if alpha.equal.is_empty() { 0 } else { (alpha.equal.len() * 2).next_power_of_two() };
        let mut slots = vec![0_u32; slots_len];
        for (entry, (constant, _)) in alpha.equal.iter().enumerate() {
            insert(&mut slots, hash_of(&value(constant)), entry as u32 + 1);
        }
        let mut record = [0; alpha::WORDS];
        record[alpha::EQ] = (writer.len(Section::EqSlots) / 12) as u32;
        record[alpha::EQ_LEN] = slots_len as u32;
        for slot in slots {
            match slot.checked_sub(1).and_then(|entry| alpha.equal.get(entry as usize)) {
                Some((constant, conds)) => {
                    let at = (writer.len(Section::Pool) / 4) as u32;
                    writer.words(Section::Pool, conds);
                    writer.words(Section::EqSlots, &[constant + 1, at, conds.len() as u32]);
                }
                None => writer.words(Section::EqSlots, &[0, 0, 0]),
            }
        }
        for (side, offset) in [(&alpha.above, alpha::ABOVE), (&alpha.below, alpha::BELOW)] {
            record[offset] = (writer.len(Section::Thresholds) / 12) as u32;
            record[offset + 1] = side.len() as u32;
            for (op, constant, cond) in side {
                writer.words(Section::Thresholds, &[*constant, *cond, u32::from(matches!(op, Op::Gte | Op::Lte))]);
            }
        }
        record[alpha::PRESENT] = alpha.present.unwrap_or(NONE);
        writer.words(Section::Alphas, &record);
    }
}
