//! What the key-value buckets hold: packed bytes as text, since their values are text.

use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::Engine as _;
use er_event::packed::{self, PackedError};

/// First character of a text: whether the bytes behind it are packed.
const PACKED: char = 'z';
const PLAIN: char = 'p';

#[derive(Debug, thiserror::Error)]
pub enum TextError {
    #[error("the stored text is damaged: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error(transparent)]
    Packed(#[from] PackedError),
    #[error("the stored text begins with neither `{PACKED}` nor `{PLAIN}`")]
    Unknown,
}

/// Bytes as text, packed where that makes them fewer.
pub fn pack(bytes: &[u8]) -> String {
    let packed = packed::pack(bytes);
    let mut text = String::with_capacity(packed.as_deref().unwrap_or(bytes).len() * 4 / 3 + 4);
    text.push(if packed.is_some() { PACKED } else { PLAIN });
    STANDARD_NO_PAD.encode_string(packed.as_deref().unwrap_or(bytes), &mut text);
    text
}

/// The bytes that [`pack`] was given.
pub fn unpack(text: &str) -> Result<Vec<u8>, TextError> {
    match text.split_at_checked(1) {
        Some(("z", rest)) => Ok(packed::unpack(&STANDARD_NO_PAD.decode(rest)?)?),
        Some(("p", rest)) => Ok(STANDARD_NO_PAD.decode(rest)?),
        _ => Err(TextError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_repeats_itself_is_packed() {
        let bytes = "rule A { when true then Complete(); }".repeat(1_000);
        let text = pack(bytes.as_bytes());
        assert!(text.starts_with(PACKED) && text.len() < bytes.len() / 10, "{}", text.len());
        assert_eq!(unpack(&text).unwrap(), bytes.as_bytes());
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..9_000)) {
            prop_assert_eq!(unpack(&pack(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[zp][A-Za-z0-9+/=]{0,200}|\\PC*") {
            let _ = unpack(&text);
        }
    }
}
