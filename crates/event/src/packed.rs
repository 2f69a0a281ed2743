//! Batches as they stand in the streams: large ones packed with LZ4.
//!
//! Events of one batch resemble one another, so that a batch shrinks to a fraction; every byte that is not written,
//! synced, cached and sent again by JetStream is worth more than the packing costs.

use std::borrow::Cow;

/// Header of a packed message, with [`LZ4`] as its value.
pub const CONTENT_ENCODING: &str = "Content-Encoding";
/// An LZ4 block behind its plain size (four bytes, little endian).
pub const LZ4: &str = "lz4";

/// Below this a batch is not worth packing.
const PACK_BYTES_MIN: usize = 4 * 1024;
/// No message of ours is larger when it is unpacked; what claims to be is damaged.
const PLAIN_BYTES_MAX: usize = 4 << 20;
const SIZE_BYTES: usize = 4;

/// A packed message that can't be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    #[error("the packed message is cut off: it has {0} bytes")]
    Short(usize),
    #[error("the packed message claims {0} bytes, more than the {PLAIN_BYTES_MAX} that a message may have")]
    TooLarge(usize),
    #[error("the packed message is damaged: {0}")]
    Damaged(#[from] lz4_flex::block::DecompressError),
}

/// The packed form, or nothing where it would not be smaller.
pub fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    if plain.len() < PACK_BYTES_MIN || plain.len() > PLAIN_BYTES_MAX {
        return None;
    }
    let packed = lz4_flex::block::compress_prepend_size(plain);
    (packed.len() < plain.len()).then_some(packed)
}

/// How many bytes a packed message has when it is unpacked.
pub fn plain_len(packed: &[u8]) -> Result<usize, PackedError> {
    let size = packed.first_chunk::<SIZE_BYTES>().ok_or(PackedError::Short(packed.len()))?;
    let claimed = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
    if claimed > PLAIN_BYTES_MAX {
        return Err(PackedError::TooLarge(claimed));
    }
    Ok(claimed)
}

/// The plain form of what [`pack`] gave.
pub fn unpack(packed: &[u8]) -> Result<Vec<u8>, PackedError> {
    let size = plain_len(packed)?;
    Ok(lz4_flex::block::decompress(&packed[SIZE_BYTES..], size)?)
}

/// The payload of a message with this [`CONTENT_ENCODING`].
pub fn plain<'a>(encoding: Option<&str>, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, PackedError> {
    if encoding == Some(LZ4) {
        unpack(payload).map(Cow::from)
    } else {
        Ok(payload.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_of_one_batch_shrink_and_come_back() {
        let event = |n| format!(r#"{{"specversion":"1.0","id":"{n}","source":"/s","type":"t","data":{{"n":{n}}}}}"#);
        let batch = format!("[{}]", (0..256).map(event).collect::<Vec<_>>().join(","));
        let packed = pack(batch.as_bytes()).unwrap();
        assert!(packed.len() * 3 < batch.len(), "{} of {} bytes", packed.len(), batch.len());
        assert_eq!(plain_len(&packed).unwrap(), batch.len());
        assert_eq!(unpack(&packed).unwrap(), batch.as_bytes());
    }

    #[test]
    fn small_or_dense_messages_stay_as_they_are() {
        assert!(pack(&[b'a'; PACK_BYTES_MIN - 1]).is_none());
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(2 * PACK_BYTES_MIN)
        .collect();
        assert!(pack(&noise).is_none());
    }

    #[test]
    fn a_message_that_claims_too_much_is_refused_before_memory_is_taken() {
        assert!(matches!(unpack(&[0xff; 64]), Err(PackedError::TooLarge(_))));
        assert!(matches!(unpack(&[1, 0]), Err(PackedError::Short(2))));
    }

    proptest! {
        #[test]
        fn damaged_messages_are_refused_or_differ_but_never_panic(
            at in 0_usize..1000, byte in any::<u8>(), cut in 0_usize..1000,
        ) {
            let mut packed = pack("an event that repeats itself; ".repeat(400).as_bytes()).unwrap();
            let at = at % packed.len();
            packed[at] = byte;
            packed.truncate(packed.len() - cut % packed.len());
            if let Ok(plain) = unpack(&packed) {
                prop_assert!(plain.len() <= PLAIN_BYTES_MAX);
            }
        }
    }
}
