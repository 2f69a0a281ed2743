//! Makes the bytes of a compiled set, and the sums over them.

use std::borrow::Cow;

use super::{RuleSet, Section, HEADER_BYTES, MAGIC, SECTIONS};
use crate::error::Error;
use crate::value::Value;

/// Collects the sections.
#[derive(Default)]
pub(crate) struct Writer {
    sections: [Vec<u8>; SECTIONS],
}

// === impl Writer ===

impl Writer {
    pub(crate) fn word(&mut self, section: Section, word: u32) {
        self.bytes(section, &word.to_le_bytes());
    }

    pub(crate) fn words(&mut self, section: Section, words: &[u32]) {
        for word in words {
            self.word(section, *word);
        }
    }

    pub(crate) fn bytes(&mut self, section: Section, bytes: &[u8]) {
        if let Some(buffer) = self.sections.get_mut(section as usize) {
            buffer.extend_from_slice(bytes);
        }
    }

    pub(crate) fn len(&self, section: Section) -> usize {
        self.sections.get(section as usize).map_or(0, Vec::len)
    }

    pub(crate) fn finish(self) -> Result<RuleSet<'static>, Error> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[0; HEADER_BYTES - 8]);
        let mut at = HEADER_BYTES + SECTIONS * 8;
        for section in &self.sections {
            let word = |n: usize| u32::try_from(n).map_err(|_| Error::Damaged("it would be larger than 4 GiB"));
            bytes.extend_from_slice(&word(at)?.to_le_bytes());
            bytes.extend_from_slice(&word(section.len())?.to_le_bytes());
            at += section.len();
        }
        for section in &self.sections {
            bytes.extend_from_slice(section);
        }
        seal(&mut bytes);
        RuleSet::from_cow(Cow::Owned(bytes))
    }
}

/// Writes length and checksum into the header.
pub(crate) fn seal(bytes: &mut [u8]) {
    let length = (bytes.len() as u64).to_le_bytes();
    let sum = checksum(bytes.get(HEADER_BYTES..).unwrap_or(&[])).to_le_bytes();
    if let Some(header) = bytes.get_mut(8..HEADER_BYTES) {
        for (to, from) in header.iter_mut().zip(length.iter().chain(&sum)) {
            *to = *from;
        }
    }
}

/// Four lanes of multiplied words. It finds damage; it does not stand against forgery.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const PRIMES: [u64; 4] =
        [0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63];
    let mut lanes = PRIMES;
    let (chunks, tail) = bytes.as_chunks::<32>();
    for chunk in chunks {
        for (lane, (word, prime)) in lanes.iter_mut().zip(chunk.as_chunks::<8>().0.iter().zip(PRIMES)) {
            *lane = (*lane ^ u64::from_le_bytes(*word)).wrapping_mul(prime).rotate_left(29);
        }
    }
    let mut sum =
        lanes.iter().fold(bytes.len() as u64, |sum, lane| (sum ^ lane).wrapping_mul(PRIMES[0]).rotate_left(31));
    for byte in tail {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(PRIMES[1]).rotate_left(23);
    }
    sum ^ sum >> 32
}

/// Of a value, so that numbers that are equal have the same.
#[inline]
pub(crate) fn hash_of(value: &Value<'_>) -> u32 {
    const PRIME: u64 = 0x9E37_79B1_85EB_CA87;
    let mix = |hash: u64, word: u64| (hash ^ word).wrapping_mul(PRIME).rotate_left(29);
    let hash = match value {
        Value::Null => 1,
        Value::Bool(value) => 2 + u64::from(*value),
        Value::Int(value) => mix(5, *value as u64),
        Value::Uint(value) => mix(6, *value),
        Value::Float(value) => match value.fract() == 0.0 && value.abs() < 9.2e18 {
            true => mix(5, *value as i64 as u64),
            false => mix(7, value.to_bits()),
        },
        Value::Str(text) => {
            let (chunks, tail) = text.as_str().as_bytes().as_chunks::<8>();
            let hash = chunks.iter().fold(8, |hash, chunk| mix(hash, u64::from_le_bytes(*chunk)));
            mix(tail.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte))), text.as_str().len() as u64)
        }
        _ => 4,
    };
    (hash.wrapping_mul(PRIME) >> 32) as u32
}
