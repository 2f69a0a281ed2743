//! The keys of the objects that are open, to find one that is named twice.
//!
//! Most objects are small: a key is compared with those before it by a word made of its ends, which nearly always
//! differs. Beyond [`COMPARED_MAX`] keys that would cost the square, so a large object is sorted when it closes. Sorting
//! needs no hash that a sender could make collide.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::text;

const COMPARED_MAX: usize = 32;

#[derive(Default)]
pub(super) struct Keys<'a> {
    stack: Vec<Key<'a>>,
}

/// A key as it stands in the text, without its quotes.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    pub(super) raw: &'a str,
    pub(super) offset: usize,
    /// It has no escape.
    pub(super) plain: bool,
    /// Of the decoded key.
    tag: u64,
}

impl<'a> Key<'a> {
    #[inline]
    pub(super) fn new(raw: &'a str, offset: usize, plain: bool) -> Self {
        let mut key = Key { raw, offset, plain, tag: 0 };
        key.tag = if plain { tag(raw.as_bytes()) } else { tag(key.decoded().as_bytes()) };
        key
    }

    #[inline]
    pub(super) fn decoded(&self) -> Cow<'a, str> {
        if self.plain {
            return Cow::Borrowed(self.raw);
        }
        // Checked before it comes here, so it can be decoded.
        text::decode(self.raw, 0).map_or(Cow::Borrowed(self.raw), Cow::Owned)
    }

    #[inline]
    fn same(&self, other: &Self) -> bool {
        self.tag == other.tag
            && if self.plain && other.plain { self.raw == other.raw } else { self.decoded() == other.decoded() }
    }

    fn order(&self, other: &Self) -> Ordering {
        let by_text =
            || if self.plain && other.plain { self.raw.cmp(other.raw) } else { self.decoded().cmp(&other.decoded()) };
        self.tag.cmp(&other.tag).then_with(by_text).then(self.offset.cmp(&other.offset))
    }
}

impl<'a> Keys<'a> {
    pub(super) fn len(&self) -> usize {
        self.stack.len()
    }

    /// Adds a key to the object whose first key is at `from`; false when it is seen to be there already.
    #[inline]
    pub(super) fn push(&mut self, key: Key<'a>, from: usize) -> bool {
        let before = &self.stack[from..];
        if before.len() < COMPARED_MAX && before.iter().any(|other| other.same(&key)) {
            return false;
        }
        self.stack.push(key);
        true
    }

    /// Forgets the keys from `from` on; gives one that is there twice, at its later place.
    #[inline]
    pub(super) fn close(&mut self, from: usize) -> Option<Key<'a>> {
        let twice = if self.stack.len() - from > COMPARED_MAX { self.twice(from) } else { None };
        self.stack.truncate(from);
        twice
    }

    #[cold]
    fn twice(&mut self, from: usize) -> Option<Key<'a>> {
        let keys = &mut self.stack[from..];
        keys.sort_unstable_by(Key::order);
        keys.windows(2).find(|pair| pair[0].same(&pair[1])).map(|pair| pair[1])
    }
}

/// Differs for keys that differ in length, or within eight bytes of either end.
#[inline]
fn tag(key: &[u8]) -> u64 {
    match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(27) ^ (key.len() as u64) << 56
        }
        _ => key.iter().fold(key.len() as u64, |tag, byte| tag << 8 | u64::from(*byte)),
    }
}
