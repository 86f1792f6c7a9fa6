//! Where the bytes of an untrusted file come from, and how many of them its headers may ask for.
//!
//! Invariant: all reads of one file together hand out at most [`BUDGET`] bytes, rereads included. That bounds
//! memory as well as time, whatever the headers say.
//! Absent: any knowledge of what the bytes mean.

use super::PreflightError;
use object::read::{ReadCache, ReadCacheOps, ReadRef};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;

/// Bytes that the tables of one file may have together. Those of a plugin with 100,000 symbols take 20 MiB.
pub(super) const BUDGET: u64 = 128 << 20;
/// Bytes that one read counts at least: it costs time also when it is short.
const LEAST: u64 = 64;
/// Longest text that is looked for in a file.
const LONGEST_TEXT: u64 = 4096;

/// A file to read from, in memory or on disk. A cheap copy: all copies share the budget.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    bytes: Bytes<'a>,
    size: u64,
    left: &'a Cell<u64>,
}

#[derive(Clone, Copy)]
enum Bytes<'a> {
    Memory(&'a [u8]),
    Disk(&'a ReadCache<Disk>),
}

/// A file on disk that remembers why reading failed; the `object` crate forgets it.
pub(super) struct Disk {
    file: File,
    size: u64,
    failure: Failure,
}

/// The first failure to read, in the operating system's words.
pub(super) type Failure = Rc<RefCell<Option<String>>>;

impl Disk {
    /// `size` is what the file's metadata say; bytes behind it are never read.
    pub fn new(file: File, size: u64) -> (ReadCache<Self>, Failure) {
        let failure = Failure::default();
        let disk = Self {
            file,
            size,
            failure: failure.clone(),
        };
        (ReadCache::new(disk), failure)
    }

    fn keep<T>(&self, result: std::io::Result<T>) -> Result<T, ()> {
        result.map_err(|error| {
            self.failure
                .borrow_mut()
                .get_or_insert_with(|| error.to_string());
        })
    }
}

impl ReadCacheOps for Disk {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn seek(&mut self, pos: u64) -> Result<u64, ()> {
        let result = Seek::seek(&mut self.file, SeekFrom::Start(pos));
        self.keep(result)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, ()> {
        let result = Read::read(&mut self.file, buf);
        self.keep(result)
    }

    fn read_exact(&mut self, buf: &mut [u8]) -> Result<(), ()> {
        let result = Read::read_exact(&mut self.file, buf);
        self.keep(result)
    }
}

impl<'a> Source<'a> {
    /// `left` holds [`BUDGET`], or less for a test.
    pub fn memory(bytes: &'a [u8], left: &'a Cell<u64>) -> Self {
        Self {
            bytes: Bytes::Memory(bytes),
            size: bytes.len() as u64,
            left,
        }
    }

    /// As [`Source::memory`].
    pub fn disk(cache: &'a ReadCache<Disk>, size: u64, left: &'a Cell<u64>) -> Self {
        Self {
            bytes: Bytes::Disk(cache),
            size,
            left,
        }
    }

    /// Size of the file in bytes.
    pub fn size(self) -> u64 {
        self.size
    }

    /// Whether the headers have asked for more than the budget.
    pub fn is_exhausted(self) -> bool {
        self.left.get() == 0
    }

    /// The first bytes of the file: `count`, or fewer when it is shorter.
    pub fn head(self, count: u64) -> &'a [u8] {
        self.read_bytes_at(0, count.min(self.size)).unwrap_or(&[])
    }

    /// `size` bytes at `offset`; `what` names them in the error.
    pub fn bytes(self, offset: u64, size: u64, what: &str) -> Result<&'a [u8], PreflightError> {
        self.read_bytes_at(offset, size)
            .map_err(|()| damaged(format!("{what} outside the file")))
    }

    /// The zero-terminated text at `offset`, made printable.
    pub fn text(self, offset: u64, what: &str) -> Result<String, PreflightError> {
        self.read_bytes_at_until(offset..self.size, 0)
            .map(printable)
            .map_err(|()| damaged(format!("{what} is no text")))
    }

    /// Refuses a file that is shorter than its headers promise.
    pub fn expect(self, promised: u64) -> Result<(), PreflightError> {
        if promised > self.size {
            return Err(PreflightError::Incomplete {
                size: self.size,
                promised,
            });
        }
        Ok(())
    }

    /// Takes `count` bytes out of the budget.
    fn pay(self, count: u64) -> Result<(), ()> {
        match self.left.get().checked_sub(count.max(LEAST)) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(())
            }
        }
    }
}

impl<'a> ReadRef<'a> for Source<'a> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if offset.checked_add(size).is_none_or(|end| end > self.size) {
            return Err(());
        }
        self.pay(size)?;
        match self.bytes {
            Bytes::Memory(bytes) => bytes.read_bytes_at(offset, size),
            Bytes::Disk(cache) => cache.read_bytes_at(offset, size),
        }
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let end = range
            .end
            .min(range.start.saturating_add(LONGEST_TEXT))
            .min(self.size);
        if range.start > end {
            return Err(());
        }
        self.pay(end - range.start)?;
        match self.bytes {
            Bytes::Memory(bytes) => bytes.read_bytes_at_until(range.start..end, delimiter),
            Bytes::Disk(cache) => cache.read_bytes_at_until(range.start..end, delimiter),
        }
    }
}

/// The error for headers that make no sense.
pub(super) fn damaged(what: impl Into<String>) -> PreflightError {
    PreflightError::Damaged { what: what.into() }
}

/// The error for what the `object` crate cannot read.
pub(super) fn invalid(error: object::read::Error) -> PreflightError {
    let text = error.to_string();
    let mut letters = text.chars();
    damaged(match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    })
}

/// Text from a file as it may be shown: one line, no control characters, no more than 256 characters.
pub(super) fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::new();
    for letter in text.chars().take(256) {
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}
