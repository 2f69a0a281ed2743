//! Hashes that are the same on every machine and in every version: shards and message ids are made of them.

use super::EventRef;

const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
const FACTOR: u64 = 0xD6E8_FEB8_6659_FD93;

/// A stable hash of texts and of where one ends and the next begins. Not for secrets: collisions can be made on purpose.
pub fn hash64(parts: &[&str]) -> u64 {
    hash_seeded(SEED, parts)
}

/// Another, independent hash a seed.
pub(crate) fn hash_seeded(seed: u64, parts: &[&str]) -> u64 {
    let mut hash = seed;
    for part in parts {
        let (words, rest) = part.as_bytes().as_chunks::<8>();
        for word in words {
            hash = mix(hash ^ u64::from_le_bytes(*word));
        }
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
        // The length keeps ("ab","c") from ("a","bc"), and a zero byte from no byte.
        hash = mix(hash ^ tail);
        hash = mix(hash ^ part.len() as u64);
    }
    mix(hash)
}

#[inline]
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 32).wrapping_mul(FACTOR);
    hash ^ hash >> 29
}

/// Partitions of a tenant's stream. More would mean smaller messages, and each is a synced write.
pub const PARTITIONS: u32 = 16;

/// What keeps an event's order: the hash of the tenant and of `partitionkey`, or of `source` where there is none.
/// Events of one tenant with the same key always get the same number.
pub fn partition_of(tenant: &str, event: &EventRef<'_>) -> u32 {
    partition(tenant, event.partition_key.as_deref().unwrap_or(&event.source))
}

pub(crate) fn partition(tenant: &str, key: &str) -> u32 {
    (hash64(&[tenant, key]) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// If this fails, events of one key change their shard on upgrade: don't mend the numbers.
    #[test]
    fn the_hash_never_changes() {
        let hashes = [hash64(&[]), hash64(&[""]), hash64(&["acme", "/orders"]), hash64(&["0123456789abcdef é"])];
        let want = [1728126538226692784, 15844192060902969518, 13814510753304056051, 6536081556407878510];
        assert_eq!(hashes, want);
    }

    #[test]
    fn borders_between_parts_count() {
        let all: HashSet<u64> =
            [&["ab", "c"][..], &["a", "bc"], &["abc"], &["abc", ""], &["", "abc"], &["abc\0"], &["a", "b", "c"]]
                .into_iter()
                .map(hash64)
                .collect();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            counts[(partition("acme", &format!("/device/{n}")) % 16) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_key_is_partitionkey_else_source() {
        let plain = EventRef::parse(r#"{"id":"1","source":"/s","type":"t"}"#).unwrap();
        let keyed = EventRef::parse(r#"{"id":"1","source":"/other","type":"t","partitionkey":"/s"}"#).unwrap();
        assert_eq!(partition_of("acme", &plain), partition_of("acme", &keyed));
        assert_ne!(partition_of("acme", &plain), partition_of("emca", &plain));
    }
}
