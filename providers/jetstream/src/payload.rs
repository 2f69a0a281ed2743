//! A message's payload as it stands in a stream: unpacked only where somebody looks inside.

use async_nats::HeaderMap;
use bytes::Bytes;
use er_event::packed::{self, PackedError};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Bytes,
    packed: bool,
}

// === impl Payload ===

impl Payload {
    /// Packs what is worth it.
    pub fn pack(plain: impl Into<Bytes>) -> Self {
        let plain = plain.into();
        match packed::pack(&plain) {
            Some(packed) => Self { bytes: packed.into(), packed: true },
            None => Self { bytes: plain, packed: false },
        }
    }

    /// Of a message that was received.
    pub fn of(message: &async_nats::Message) -> Self {
        let encoding = message.headers.as_ref().and_then(|headers| headers.get(packed::CONTENT_ENCODING));
        Self {
            bytes: message.payload.clone(),
            packed: encoding.is_some_and(|encoding| encoding.as_str() == packed::LZ4),
        }
    }

    /// Bytes when unpacked, as far as the message can be believed.
    pub fn len(&self) -> usize {
        if self.packed {
            packed::plain_len(&self.bytes).unwrap_or(self.bytes.len())
        } else {
            self.bytes.len()
        }
    }

    pub fn unpack(&self) -> Result<Bytes, PackedError> {
        if self.packed {
            packed::unpack(&self.bytes).map(Bytes::from)
        } else {
            Ok(self.bytes.clone())
        }
    }

    /// As it stands in its stream, as far as that is text.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// What to publish, with the header that says how to read it.
    pub fn into_message(self, headers: &mut HeaderMap) -> Bytes {
        if self.packed {
            headers.insert(packed::CONTENT_ENCODING, packed::LZ4);
        }
        self.bytes
    }
}
