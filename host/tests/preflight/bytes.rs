//! Edits of a file's bytes: numbers at places, and the record inside a file.

use plugin_abi::handshake::{MAGIC, Record};

/// The bytes of a file that is being written or changed. Numbers are little-endian unless `big` is set.
#[derive(Clone, Default)]
pub struct File {
    pub bytes: Vec<u8>,
    pub big: bool,
}

impl File {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            big: false,
        }
    }

    /// Appends the low `size` bytes of a number.
    pub fn number(&mut self, size: usize, value: u64) -> &mut Self {
        let bytes = self.encode(size, value);
        self.raw(&bytes)
    }

    /// Appends numbers of two bytes.
    pub fn n16(&mut self, values: &[u64]) -> &mut Self {
        values.iter().for_each(|value| {
            self.number(2, *value);
        });
        self
    }

    /// Appends numbers of four bytes.
    pub fn n32(&mut self, values: &[u64]) -> &mut Self {
        values.iter().for_each(|value| {
            self.number(4, *value);
        });
        self
    }

    /// Appends numbers of eight bytes.
    pub fn n64(&mut self, values: &[u64]) -> &mut Self {
        values.iter().for_each(|value| {
            self.number(8, *value);
        });
        self
    }

    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a text filled up with zeros to `size`.
    pub fn text(&mut self, text: &str, size: usize) -> &mut Self {
        let end = self.bytes.len() + size;
        self.raw(text.as_bytes()).pad_to(end)
    }

    /// Zeros up to `end`.
    pub fn pad_to(&mut self, end: usize) -> &mut Self {
        assert!(self.bytes.len() <= end, "{} > {end}", self.bytes.len());
        self.bytes.resize(end, 0);
        self
    }

    /// Overwrites the low `size` bytes of a number at `offset`.
    pub fn put(&mut self, offset: usize, size: usize, value: u64) -> &mut Self {
        let bytes = self.encode(size, value);
        self.put_raw(offset, &bytes)
    }

    pub fn put_raw(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn encode(&self, size: usize, value: u64) -> Vec<u8> {
        if self.big {
            value.to_be_bytes()[8 - size..].to_vec()
        } else {
            value.to_le_bytes()[..size].to_vec()
        }
    }
}

/// Where the record is in a file of this system: its mark with the right size behind it. The mark alone may also be
/// in the code that knows it.
pub fn record_offset(bytes: &[u8]) -> usize {
    let size = (size_of::<Record>() as u32).to_ne_bytes();
    let found = bytes
        .windows(20)
        .position(|window| window[..16] == MAGIC && window[16..] == size);
    match found {
        Some(offset) => offset,
        None => panic!("the fixture has no record"),
    }
}

/// The record of the good plugin.
pub fn record() -> File {
    let bytes = crate::good();
    let offset = record_offset(bytes);
    File::new(&bytes[offset..offset + size_of::<Record>()])
}
