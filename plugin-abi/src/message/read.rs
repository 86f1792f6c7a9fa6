//! Reading a message's data straight from the C structs: bytes, text and numbers, without the arrow crates.
//!
//! Invariant: what is handed out is borrowed from the message and fits its type. Absent: everything nested; that
//! goes through [`Message::view`] or, with the feature `arrow`, `Message::array`.

use super::{Message, check};
use crate::ffi::{ArrowArray, ArrowSchema, OK};
use crate::types;
use std::ffi::{CStr, c_void};

mod sealed {
    pub trait Sealed {}
}

/// A number that Arrow has a primitive type for.
pub trait Number: Copy + Send + Sync + 'static + sealed::Sealed {
    /// Its format in the Arrow C Data Interface.
    const FORMAT: &'static CStr;
    /// Its Arrow type.
    const NAME: &'static str;
}

macro_rules! numbers {
    ($($number:ty: $format:literal $name:literal),*) => {$(
        impl sealed::Sealed for $number {}
        impl Number for $number {
            const FORMAT: &'static CStr = $format;
            const NAME: &'static str = $name;
        }
    )*};
}
numbers!(u8: c"C" "UInt8", i8: c"c" "Int8", u16: c"S" "UInt16", i16: c"s" "Int16", u32: c"I" "UInt32",
    i32: c"i" "Int32", u64: c"L" "UInt64", i64: c"l" "Int64", f32: c"f" "Float32", f64: c"g" "Float64");

/// Why a message's data cannot be read as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataError {
    /// They are of another type.
    WrongType {
        /// What was asked for.
        expected: &'static str,
        /// What they are.
        actual: String,
    },
    /// One value was asked for.
    NotOne {
        /// How many there are.
        length: usize,
    },
    /// Some values are null.
    Nulls,
    /// The text is not UTF-8.
    NotUtf8,
    /// The data break the Arrow C Data Interface; says how.
    Invalid(String),
}

impl std::fmt::Display for DataError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WrongType { expected, actual } => write!(f, "expected {expected}, got {actual}"),
            Self::NotOne { length } => write!(f, "expected one value, got {length}"),
            Self::Nulls => f.write_str("expected no null values"),
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::Invalid(what) => write!(f, "invalid Arrow data: {what}"),
        }
    }
}

impl std::error::Error for DataError {}

impl Message {
    fn array_struct(&self) -> &ArrowArray {
        &self.raw().array
    }

    pub(super) fn schema_struct(&self) -> &ArrowSchema {
        // SAFETY: the schema lives as long as the message.
        unsafe { &(*self.raw().schema).schema }
    }

    pub(super) fn format(&self) -> &str {
        check::format(self.schema_struct())
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.array_struct().length.max(0) as usize
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The Arrow type in words (see [`crate::types`]).
    pub fn data_type(&self) -> String {
        // SAFETY: interned schemas are valid.
        unsafe { types::text(self.schema_struct()) }.unwrap_or_else(|error| error.to_string())
    }

    /// The numbers, borrowed from the message.
    ///
    /// # Errors
    /// Another type, or null values.
    pub fn values<T: Number>(&self) -> Result<&[T], DataError> {
        if !check::has_format(self.schema_struct(), T::FORMAT) || self.raw().n_nodes != 0 {
            return Err(DataError::WrongType {
                expected: T::NAME,
                actual: self.data_type(),
            });
        }
        self.no_nulls()?;
        if self.is_empty() {
            return Ok(&[]);
        }
        let first = self.buffer(1).cast::<T>();
        if first.is_null() || !first.is_aligned() {
            return Err(DataError::Invalid("missing or misaligned values".into()));
        }
        // SAFETY: the host checked the structure when the message was sent, and the producer vouches for
        // `offset + length` values, immutable while this reference lives.
        Ok(unsafe { std::slice::from_raw_parts(first.add(self.offset()), self.len()) })
    }

    /// The one number.
    ///
    /// # Errors
    /// Another type, a null value, or another count than one.
    pub fn value<T: Number>(&self) -> Result<T, DataError> {
        match self.values::<T>()? {
            [value] => Ok(*value),
            more => Err(DataError::NotOne { length: more.len() }),
        }
    }

    /// The bytes (`UInt8`), borrowed from the message.
    ///
    /// # Errors
    /// Another type, or null values.
    pub fn bytes(&self) -> Result<&[u8], DataError> {
        self.values()
    }

    /// The one text (`Utf8` or `LargeUtf8`), borrowed from the message.
    ///
    /// # Errors
    /// Another type, a null value, another count than one, or bytes that are not UTF-8.
    pub fn text(&self) -> Result<&str, DataError> {
        let large = match self.format() {
            "u" if self.raw().n_nodes == 0 => false,
            "U" => true,
            _ => {
                return Err(DataError::WrongType {
                    expected: "Utf8",
                    actual: self.data_type(),
                });
            }
        };
        if self.len() != 1 {
            return Err(DataError::NotOne { length: self.len() });
        }
        self.no_nulls()?;
        let (offsets, data) = (self.buffer(1), self.buffer(2).cast::<u8>());
        if offsets.is_null() {
            return Err(DataError::Invalid("missing offsets".into()));
        }
        let at = self.offset();
        // SAFETY: two offsets follow position `at` in an array of one value; unaligned reads ask for no more.
        let (start, end) = unsafe {
            if large {
                let first = offsets.cast::<i64>().add(at);
                (first.read_unaligned(), first.add(1).read_unaligned())
            } else {
                let first = offsets.cast::<i32>().add(at);
                (
                    i64::from(first.read_unaligned()),
                    i64::from(first.add(1).read_unaligned()),
                )
            }
        };
        let (Ok(start), Ok(length)) = (
            usize::try_from(start),
            usize::try_from(end.saturating_sub(start)),
        ) else {
            return Err(DataError::Invalid("offsets fall".into()));
        };
        if length == 0 {
            return Ok("");
        }
        if data.is_null() {
            return Err(DataError::Invalid("missing text".into()));
        }
        // SAFETY: the producer vouches for the bytes between its offsets.
        let bytes = unsafe { std::slice::from_raw_parts(data.add(start), length) };
        std::str::from_utf8(bytes).map_err(|_| DataError::NotUtf8)
    }

    /// The data as an array that may be kept and taken apart, sharing the buffers: for other libraries that know the
    /// Arrow C Data Interface. Whoever takes it calls its `release`.
    ///
    /// # Errors
    /// There is no memory for its structs.
    pub fn view(&self) -> Result<ArrowArray, DataError> {
        let mut out = std::mem::MaybeUninit::uninit();
        // SAFETY: the function fills `out` exactly when it returns `OK`.
        unsafe {
            match ((*self.raw().vt).view)(self.as_ptr(), out.as_mut_ptr()) {
                OK => Ok(out.assume_init()),
                _ => Err(DataError::Invalid("no memory for a view".into())),
            }
        }
    }

    /// The type of [`Message::view`], borrowed: never release or move it.
    pub fn schema(&self) -> &ArrowSchema {
        self.schema_struct()
    }

    pub(super) fn offset(&self) -> usize {
        self.array_struct().offset.max(0) as usize
    }

    pub(super) fn buffer(&self, index: usize) -> *const c_void {
        let array = self.array_struct();
        if array.buffers.is_null() || index >= array.n_buffers.max(0) as usize {
            return std::ptr::null();
        }
        // SAFETY: within the list.
        unsafe { *array.buffers.add(index) }
    }

    pub(super) fn no_nulls(&self) -> Result<(), DataError> {
        let uncounted = || !self.buffer(0).is_null() && !self.all_valid();
        match self.array_struct().null_count {
            0 => Ok(()),
            -1 if !uncounted() => Ok(()),
            _ => Err(DataError::Nulls),
        }
    }

    fn all_valid(&self) -> bool {
        let bitmap = self.buffer(0).cast::<u8>();
        (self.offset()..self.offset() + self.len())
            // SAFETY: the bitmap covers `offset + length` bits.
            .all(|bit| unsafe { *bitmap.add(bit / 8) } >> (bit % 8) & 1 == 1)
    }
}
