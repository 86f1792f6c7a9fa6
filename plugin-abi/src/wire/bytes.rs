//! Fields of frames as bytes: little-endian numbers, texts and lists behind their lengths.
//!
//! Invariant: reading any bytes ends with a value or [`WireError::Malformed`]; nothing is allocated for a length that
//! the bytes do not have. Absent: which fields a frame has.

use super::WireError;

/// Adds fields to the end of a buffer.
pub(super) trait Put {
    /// Adds bytes as they are.
    fn raw(&mut self, bytes: &[u8]);

    /// Adds a number.
    fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    /// Adds a number.
    fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    /// Adds a number.
    fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// Adds bytes behind their `u32` length. What is longer than a frame may be is refused when the frame is closed.
    fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.raw(bytes);
    }

    /// Adds a text.
    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Adds texts behind their `u32` number.
    fn texts(&mut self, texts: &[String]) {
        self.u32(u32::try_from(texts.len()).unwrap_or(u32::MAX));
        for text in texts {
            self.text(text);
        }
    }
}

impl Put for Vec<u8> {
    fn raw(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Takes fields from the start of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Take<'a>(pub(super) &'a [u8]);

impl<'a> Take<'a> {
    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let taken = self.0.split_at_checked(length);
        let (taken, rest) =
            taken.ok_or(WireError::Malformed("a field is longer than its frame"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.raw(N)?);
        Ok(out)
    }

    pub(super) fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, WireError> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u32()?;
        self.raw(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Malformed("a text is not UTF-8"))
    }

    pub(super) fn texts(&mut self) -> Result<Vec<String>, WireError> {
        // Each takes four bytes at least, so this ends.
        (0..self.u32()?)
            .map(|_| self.text().map(str::to_owned))
            .collect()
    }

    pub(super) fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(WireError::Malformed("a frame is longer than its fields"))
    }
}
