//! The component model's value encoding, for the few shapes that providers send to components.
//!
//! Strings and lists carry a LEB128 length, records are their fields in order, `option` and `result`
//! a leading byte (source: wRPC specification, "value definition encoding").

use bytes::{BufMut as _, Bytes, BytesMut};

/// Writes parameters in order.
#[derive(Debug, Default)]
pub struct Encoder(BytesMut);

// === impl Encoder ===

impl Encoder {
    /// Room for `capacity` bytes before the first growth.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(BytesMut::with_capacity(capacity))
    }

    /// Appends a `string`.
    #[must_use]
    pub fn string(mut self, value: &str) -> Self {
        self.leb128(value.len() as u64);
        self.0.put_slice(value.as_bytes());
        self
    }

    /// Appends a `u64` (or any narrower unsigned integer).
    #[must_use]
    pub fn unsigned(mut self, value: u64) -> Self {
        self.leb128(value);
        self
    }

    /// Appends an `option<u64>` (or of any narrower unsigned integer).
    #[must_use]
    pub fn optional_unsigned(mut self, value: Option<u64>) -> Self {
        self.0.put_u8(value.is_some().into());
        if let Some(value) = value {
            self.leb128(value);
        }
        self
    }

    /// Appends an `option<string>`.
    #[must_use]
    pub fn optional_string(mut self, value: Option<&str>) -> Self {
        self.0.put_u8(value.is_some().into());
        match value {
            Some(value) => self.string(value),
            None => self,
        }
    }

    /// The encoded parameters.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.0.freeze()
    }

    fn leb128(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.put_u8((value as u8 & 0x7f) | 0x80);
            value >>= 7;
        }
        self.0.put_u8(value as u8);
    }
}

/// Reads results in order, borrowing strings from the answer.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a>(&'a [u8]);

/// An answer that does not have the shape its interface promises.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the answer ends or breaks where {0} was expected")]
pub struct Malformed(&'static str);

// === impl Decoder ===

impl<'a> Decoder<'a> {
    #[must_use]
    pub fn new(answer: &'a [u8]) -> Self {
        Self(answer)
    }

    /// A leading byte: `enum` and `variant` discriminants below 128, `bool`.
    ///
    /// # Errors
    /// [`Malformed`] at the end of the answer.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed("a discriminant"))?;
        self.0 = rest;
        Ok(*first)
    }

    /// `true` for `ok`, `false` for `err`.
    ///
    /// # Errors
    /// [`Malformed`] for any other byte.
    pub fn is_ok(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(true),
            1 => Ok(false),
            _ => Err(Malformed("a result")),
        }
    }

    /// An unsigned integer, or the length of a list.
    ///
    /// # Errors
    /// [`Malformed`] when it is longer than 64 bits.
    pub fn unsigned(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("an integer"))
    }

    /// A `string`.
    ///
    /// # Errors
    /// [`Malformed`] when it is cut short or not UTF-8.
    pub fn string(&mut self) -> Result<&'a str, Malformed> {
        let len = usize::try_from(self.unsigned()?).map_err(|_| Malformed("a string"))?;
        if len > self.0.len() {
            return Err(Malformed("a string"));
        }
        let (text, rest) = self.0.split_at(len);
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| Malformed("UTF-8"))
    }

    /// An `option<string>`.
    ///
    /// # Errors
    /// [`Malformed`] when it is cut short or not UTF-8.
    pub fn optional_string(&mut self) -> Result<Option<&'a str>, Malformed> {
        if self.is_some()? {
            self.string().map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether an `option` holds a value, which follows.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn is_some(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed("an option")),
        }
    }

    /// A `list<string>`.
    ///
    /// # Errors
    /// [`Malformed`] when it is cut short or not UTF-8.
    pub fn strings(&mut self) -> Result<Vec<&'a str>, Malformed> {
        // The count is not believed before the strings are there.
        (0..self.unsigned()?).map(|_| self.string()).collect()
    }

    /// An `option<u32>`.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn optional_u32(&mut self) -> Result<Option<u32>, Malformed> {
        if !self.is_some()? {
            return Ok(None);
        }
        u32::try_from(self.unsigned()?).map(Some).map_err(|_| Malformed("a u32"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        let long = "ä".repeat(70_000);
        let bytes = Encoder::default().string("").string(&long).finish();
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.string(), Ok(""));
        assert_eq!(decoder.string(), Ok(long.as_str()));
        assert_eq!(decoder.byte(), Err(Malformed("a discriminant")));
    }

    #[test]
    fn reads_lists_and_options_of_what_it_writes() {
        let bytes = Encoder::default().optional_unsigned(Some(300)).optional_unsigned(None).finish();
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.optional_u32(), Ok(Some(300)));
        assert_eq!(decoder.optional_u32(), Ok(None));
        assert_eq!(Decoder::new(&Encoder::default().unsigned(300).finish()).unsigned(), Ok(300));
        let bytes = Encoder::default().optional_string(Some("a")).optional_string(None).finish();
        assert_eq!(*bytes, [1, 1, b'a', 0]);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!((decoder.optional_string(), decoder.optional_string()), (Ok(Some("a")), Ok(None)));
        assert_eq!(Decoder::new(&[2, 1, b'a', 0]).strings(), Ok(vec!["a", ""]));
        assert_eq!(Decoder::new(&[0xff, 0xff, 0xff, 0x7f, 0]).strings(), Err(Malformed("a discriminant")));
    }

    #[test]
    fn refuses_a_string_longer_than_the_answer() {
        assert_eq!(Decoder::new(&[5, b'a']).string(), Err(Malformed("a string")));
        assert_eq!(Decoder::new(&[0xff; 12]).unsigned(), Err(Malformed("an integer")));
        assert_eq!(Decoder::new(&[1, 0xff]).string(), Err(Malformed("UTF-8")));
    }

    #[test]
    fn reads_options_and_results() {
        assert_eq!(Decoder::new(&[1, 0x80, 0x01]).optional_u32(), Ok(Some(128)));
        assert_eq!(Decoder::new(&[0]).optional_u32(), Ok(None));
        assert_eq!(Decoder::new(&[1]).is_ok(), Ok(false));
        assert_eq!(Decoder::new(&[2]).is_ok(), Err(Malformed("a result")));
    }
}
