//! bincode as bytes: fixed-width integers, little-endian; `u64` before texts, bytes and lists; `u32` before variants.
//!
//! Invariant: counts are checked against what is left, so that a lying one reserves nothing. Absent: types.

use crate::process::dora::words::Malformed;
use uuid::Uuid;

/// What is left of a frame.
pub(in crate::process::dora) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(frame: &'a [u8]) -> Self {
        Self(frame)
    }

    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk().ok_or_else(early)?;
        self.0 = rest;
        Ok(head)
    }

    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(*byte)
    }

    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(*self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_le_bytes(*self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(*self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, Malformed> {
        Ok(i64::from_le_bytes(*self.array()?))
    }

    pub fn f64(&mut self) -> Result<f64, Malformed> {
        Ok(f64::from_le_bytes(*self.array()?))
    }

    pub fn size(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u64()?).map_err(|_| Malformed::new("a size that is no size"))
    }

    /// A `bool`, or whether an `Option` holds something.
    pub fn option(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed(format!("{other} for yes or no"))),
        }
    }

    /// Number of items that take at least `least` bytes each.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let count = self.size()?;
        if count > self.0.len() / least {
            return Err(early());
        }
        Ok(count)
    }

    pub fn list<T>(
        &mut self,
        least: usize,
        item: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count(least)?;
        (0..count).map(|_| item(self)).collect()
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.size()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or_else(early)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::new("text that is not UTF-8"))
    }

    pub fn uuid(&mut self) -> Result<Uuid, Malformed> {
        Uuid::from_slice(self.bytes()?).map_err(|_| Malformed::new("an id that is no UUID"))
    }

    /// Nothing may follow.
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Malformed(format!("{} bytes too many", self.0.len())))
    }
}

fn early() -> Malformed {
    Malformed::new("it ends early")
}
