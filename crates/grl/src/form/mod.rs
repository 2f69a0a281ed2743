//! A compiled rule set as bytes: tables of 32-bit words behind a checksum, read where they lie.
//!
//! Opening checks the header, the checksum and the bounds of the sections; nothing is decoded. Every later read is
//! bounded too, so that bytes made by malice end in an error and not in a panic.

#[cfg(test)]
mod forged;
mod writer;

use std::borrow::Cow;

use crate::error::Error;
use crate::value::{Str, Value};

use writer::checksum;
pub(crate) use writer::{hash_of, Writer};

/// Changes with everything that gives old bytes another meaning.
const MAGIC: [u8; 8] = *b"GRLset01";
const HEADER_BYTES: usize = 24;

/// The sections, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Section {
    Texts,
    TextRefs,
    Consts,
    Nodes,
    Alphas,
    EqSlots,
    Thresholds,
    Conds,
    Rules,
    Tests,
    Memos,
    Names,
    Pool,
    Code,
    Always,
    Meta,
}
const SECTIONS: usize = 16;

pub(crate) const NONE: u32 = u32::MAX;

/// Fields of a record, each one word.
pub(crate) mod node {
    pub(crate) const WORDS: usize = 10;
    pub(crate) const PARENT: usize = 0;
    /// 0: the place of all facts, 1: a name, 2: an index.
    pub(crate) const KIND: usize = 1;
    pub(crate) const KEY: usize = 2;
    pub(crate) const CHILDREN: usize = 3;
    /// Those by name come first, sorted by name; then those by index, sorted.
    pub(crate) const NAMED: usize = 4;
    pub(crate) const INDEXED: usize = 5;
    pub(crate) const ALPHA: usize = 6;
    /// Tests and memos that read it: `id << 1`, plus 1 for a memo. Those of indexed tests come last.
    pub(crate) const READERS: usize = 7;
    pub(crate) const READERS_LEN: usize = 8;
    pub(crate) const READERS_ALL: usize = 9;
}
pub(crate) mod alpha {
    pub(crate) const WORDS: usize = 7;
    pub(crate) const EQ: usize = 0;
    pub(crate) const EQ_LEN: usize = 1;
    pub(crate) const ABOVE: usize = 2;
    pub(crate) const ABOVE_LEN: usize = 3;
    pub(crate) const BELOW: usize = 4;
    pub(crate) const BELOW_LEN: usize = 5;
    pub(crate) const PRESENT: usize = 6;
}
pub(crate) mod rule {
    pub(crate) const WORDS: usize = 13;
    pub(crate) const NAME: usize = 0;
    pub(crate) const DESCRIPTION: usize = 1;
    pub(crate) const SALIENCE: usize = 2;
    pub(crate) const ORDER: usize = 3;
    pub(crate) const NEEDED: usize = 4;
    pub(crate) const TESTS: usize = 5;
    pub(crate) const TESTS_LEN: usize = 6;
    /// Of triples: test, line, column.
    pub(crate) const ALL: usize = 7;
    pub(crate) const ALL_LEN: usize = 8;
    pub(crate) const THEN: usize = 9;
    pub(crate) const THEN_LEN: usize = 10;
    pub(crate) const LINE: usize = 11;
    pub(crate) const COLUMN: usize = 12;
}
pub(crate) mod test {
    pub(crate) const WORDS: usize = 5;
    pub(crate) const CODE: usize = 0;
    pub(crate) const CODE_LEN: usize = 1;
    pub(crate) const TEXT: usize = 2;
    /// Rules for which it is not indexed.
    pub(crate) const RULES: usize = 3;
    pub(crate) const RULES_LEN: usize = 4;
}

/// A compiled rule set, owned or borrowed from the bytes it was opened from.
#[derive(Debug, Clone)]
pub struct RuleSet<'b> {
    bytes: Cow<'b, [u8]>,
    /// Offset and length in bytes.
    sections: [(usize, usize); SECTIONS],
}

// === impl RuleSet ===

impl<'b> RuleSet<'b> {
    /// A rule set over bytes that [`RuleSet::to_bytes`] gave. Costs a pass over the bytes for their checksum.
    pub fn open(bytes: &'b [u8]) -> Result<Self, Error> {
        RuleSet::from_cow(Cow::Borrowed(bytes))
    }

    fn from_cow(bytes: Cow<'b, [u8]>) -> Result<Self, Error> {
        let word = |at: usize| -> Option<u64> {
            bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|chunk| u64::from_le_bytes(*chunk))
        };
        if bytes.get(..8) != Some(&MAGIC[..]) {
            return Err(Error::Damaged("it does not start as one"));
        }
        if word(8) != Some(bytes.len() as u64) {
            return Err(Error::Damaged("its length is not the one it was made with"));
        }
        if word(16) != Some(checksum(bytes.get(HEADER_BYTES..).unwrap_or(&[]))) {
            return Err(Error::Damaged("its checksum does not agree"));
        }
        let mut sections = [(0, 0); SECTIONS];
        for (index, section) in sections.iter_mut().enumerate() {
            let entry = word(HEADER_BYTES + index * 8).unwrap_or(u64::MAX);
            let (offset, length) = ((entry & 0xFFFF_FFFF) as usize, (entry >> 32) as usize);
            if bytes.get(offset..offset.saturating_add(length)).is_none() {
                return Err(Error::Damaged("a section is out of bounds"));
            }
            *section = (offset, length);
        }
        let set = RuleSet { bytes, sections };
        // Everything that a run sizes its memory by is bounded by the bytes themselves.
        Ok(set)
    }

    /// The bytes to keep, for [`RuleSet::open`].
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    pub(crate) fn section(&self, section: Section) -> &[u8] {
        let (offset, length) = self.sections[section as usize];
        self.bytes.get(offset..offset + length).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn word(&self, section: Section, index: usize) -> u32 {
        let (offset, length) = self.sections[section as usize];
        let at = index.wrapping_mul(4);
        if at >= length {
            return 0;
        }
        self.bytes
            .get(offset + at..)
            .and_then(|rest| rest.first_chunk::<4>())
            .map_or(0, |chunk| u32::from_le_bytes(*chunk))
    }

    /// Words of a section; fewer where the section ends.
    #[inline]
    pub(crate) fn list(&self, section: Section, from: usize, count: usize) -> impl Iterator<Item = u32> + '_ {
        let bytes = self.section(section);
        let end = from.saturating_add(count).saturating_mul(4).min(bytes.len());
        let (words, _) = bytes.get(from.saturating_mul(4)..end).unwrap_or(&[]).as_chunks::<4>();
        words.iter().map(|word| u32::from_le_bytes(*word))
    }

    #[inline]
    pub(crate) fn node(&self, node: u32, field: usize) -> u32 {
        self.word(Section::Nodes, node as usize * node::WORDS + field)
    }

    #[inline]
    pub(crate) fn rule(&self, rank: u32, field: usize) -> u32 {
        self.word(Section::Rules, rank as usize * rule::WORDS + field)
    }

    #[inline]
    pub(crate) fn test(&self, test: u32, field: usize) -> u32 {
        self.word(Section::Tests, test as usize * test::WORDS + field)
    }

    #[inline]
    pub(crate) fn alpha(&self, alpha: u32, field: usize) -> u32 {
        self.word(Section::Alphas, alpha as usize * alpha::WORDS + field)
    }

    pub(crate) fn nodes_len(&self) -> usize {
        self.section(Section::Nodes).len() / (node::WORDS * 4)
    }

    pub(crate) fn tests_len(&self) -> usize {
        self.section(Section::Tests).len() / (test::WORDS * 4)
    }

    pub(crate) fn memos_len(&self) -> usize {
        self.section(Section::Memos).len() / 8
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.section(Section::Rules).len() / (rule::WORDS * 4)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the host functions that it was compiled with, in their order; the host must have the same.
    pub fn functions(&self) -> impl Iterator<Item = &str> + '_ {
        self.list(Section::Meta, 0, usize::MAX / 8).map(|name| self.text(name))
    }

    #[inline]
    fn text_bytes(&self, id: u32) -> &[u8] {
        let at = id as usize * 2;
        let (start, length) =
            (self.word(Section::TextRefs, at) as usize, self.word(Section::TextRefs, at + 1) as usize);
        self.section(Section::Texts).get(start..start.saturating_add(length)).unwrap_or(&[])
    }

    #[inline]
    pub(crate) fn text(&self, id: u32) -> &str {
        std::str::from_utf8(self.text_bytes(id)).unwrap_or("")
    }

    pub(crate) fn rule_name(&self, rank: u32) -> &str {
        self.text(self.rule(rank, rule::NAME))
    }

    /// The names of the rules, highest salience first, then as they were defined.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        (0..self.len() as u32).map(|rank| self.rule_name(rank))
    }

    /// Kind, text id, and a payload of 64 bits.
    #[inline]
    pub(crate) fn constant(&self, id: u32) -> Value<'_> {
        let at = id as usize * 4;
        let payload =
            u64::from(self.word(Section::Consts, at + 2)) | u64::from(self.word(Section::Consts, at + 3)) << 32;
        match self.word(Section::Consts, at) {
            1 => Value::Bool(payload != 0),
            2 => Value::Int(payload as i64),
            3 => Value::Float(f64::from_bits(payload)),
            4 => Value::Str(Str::Borrowed(self.text(self.word(Section::Consts, at + 1)))),
            _ => Value::Null,
        }
    }

    /// The rank of a rule by its name.
    pub(crate) fn rank_of(&self, name: &str) -> Option<u32> {
        let slots = self.section(Section::Names).len() / 4;
        let mask = slots.checked_sub(1)?;
        let hash = hash_of(&Value::Str(Str::Borrowed(name))) as usize;
        for distance in 0..slots {
            let slot = self.word(Section::Names, hash.wrapping_add(distance) & mask);
            let rank = slot.checked_sub(1)?;
            if self.rule_name(rank) == name {
                return Some(rank);
            }
        }
        None
    }

    /// The child of a node by name.
    #[inline]
    pub(crate) fn child_named(&self, node: u32, name: &str) -> Option<u32> {
        let first = self.node(node, node::CHILDREN);
        let (mut low, mut high) = (0, self.node(node, node::NAMED));
        while low < high {
            let middle = low + (high - low) / 2;
            let child = first.checked_add(middle)?;
            match self.text_bytes(self.node(child, node::KEY)).cmp(name.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(child),
            }
        }
        None
    }

    /// The child of a node by index.
    pub(crate) fn child_at(&self, node: u32, index: usize) -> Option<u32> {
        let first = self.node(node, node::CHILDREN).checked_add(self.node(node, node::NAMED))?;
        let (mut low, mut high) = (0, self.node(node, node::INDEXED));
        while low < high {
            let middle = low + (high - low) / 2;
            let child = first.checked_add(middle)?;
            match (self.node(child, node::KEY) as usize).cmp(&index) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(child),
            }
        }
        None
    }

    /// A node's path as it would be written.
    pub(crate) fn path_of(&self, node: u32) -> String {
        let mut steps = Vec::new();
        let mut at = node;
        while self.node(at, node::KIND) != 0 && steps.len() < 256 {
            steps.push(at);
            at = self.node(at, node::PARENT);
        }
        let mut path = String::new();
        for step in steps.into_iter().rev() {
            let key = self.node(step, node::KEY);
            match self.node(step, node::KIND) {
                1 if path.is_empty() => path.push_str(self.text(key)),
                1 => crate::syntax_path(&mut path, self.text(key)),
                _ => path.push_str(&format!("[{key}]")),
            }
        }
        path
    }
}
