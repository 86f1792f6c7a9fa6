//! Messages: counted, immutable data and metadata that nodes hand to each other by pointer.
//!
//! Invariant: a [`Message`] holds one reference; its data stay where they are until the last reference is gone.
//! Absent: queues and routes. A plugin reads messages with this module and makes none: the host does, and the test
//! harness in the host's place.

mod blocks;
mod cell;
mod check;
mod read;
mod schema;
mod view;

#[cfg(feature = "arrow")]
pub(crate) mod arrow;

pub use cell::Memory;
pub(crate) use check::bytes;
pub use read::{DataError, Number};
pub(crate) use schema::OwnedSchema;
pub use schema::Schema;

use crate::ffi::{ArrowArray, Leaf, Msg};
use crate::meta::{self, MetaError, Parameters, Timestamp};
use std::ptr::NonNull;

/// An array that is released when it goes out of scope.
pub(crate) struct OwnedArray(pub(crate) ArrowArray);

impl OwnedArray {
    pub(crate) fn into_inner(self) -> ArrowArray {
        let this = std::mem::ManuallyDrop::new(self);
        // SAFETY: moved out once; the wrapper's drop does not run.
        unsafe { std::ptr::read(&this.0) }
    }
}

impl Drop for OwnedArray {
    fn drop(&mut self) {
        cell::release_array(&mut self.0);
    }
}

/// One reference to a message. Clones share the data. Any thread.
pub struct Message(NonNull<Msg>);

// SAFETY: a message is immutable, its count atomic, and its producer's release may run on any thread.
unsafe impl Send for Message {}
// SAFETY: as above.
unsafe impl Sync for Message {}

/// Why data cannot become a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MakeError {
    /// They break the Arrow C Data Interface, or do not fit their type; says how.
    Invalid(String),
    /// There is no memory for them.
    NoMemory,
}

impl std::fmt::Display for MakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(what) => write!(f, "invalid Arrow data: {what}"),
            Self::NoMemory => f.write_str("no memory for the message"),
        }
    }
}

impl std::error::Error for MakeError {}

/// Making messages: the host's side.
impl Message {
    /// Copies a leaf into one allocation.
    ///
    /// # Errors
    /// The buffers do not fit the type, or there is no memory.
    ///
    /// # Safety
    /// The leaf's pointers are valid for their lengths. `schema` is interned.
    pub unsafe fn copy(
        stamp: Timestamp,
        schema: &Schema,
        leaf: &Leaf,
        parameters: &[u8],
    ) -> Result<Self, MakeError> {
        // SAFETY: passed on to the caller.
        let buffers = unsafe { check::leaf(leaf, &schema.as_ref().schema) }?;
        let buffers = buffers.get(..leaf.n_buffers).unwrap_or_default();
        let (length, null_count) = (leaf.length, leaf.null_count);
        let source = cell::Source::Copy {
            length,
            null_count,
            buffers,
        };
        Self::make(stamp, schema, parameters, source)
    }

    /// A message without data, such as a tick: of the type `Null`, or an empty array of a primitive type.
    ///
    /// # Errors
    /// The type is neither, or there is no memory.
    pub fn empty(stamp: Timestamp, schema: &Schema) -> Result<Self, MakeError> {
        let format = check::format(&schema.as_ref().schema);
        let none: [Option<&[u8]>; 2] = [None; 2];
        let buffers = match crate::types::primitive_width(format) {
            Some(_) => none.as_slice(),
            None if format == "n" => &[],
            None => {
                return Err(MakeError::Invalid(format!(
                    "format \"{format}\" is not empty without buffers"
                )));
            }
        };
        Self::make(
            stamp,
            schema,
            &[],
            cell::Source::Copy {
                length: 0,
                null_count: 0,
                buffers,
            },
        )
    }

    /// A message with one text (`Utf8`).
    ///
    /// # Errors
    /// The text is longer than 2 GiB, or there is no memory.
    pub fn from_text(stamp: Timestamp, text: &str, parameters: &[u8]) -> Result<Self, MakeError> {
        let schema = Schema::leaf(c"u").map_err(|error| MakeError::Invalid(error.to_string()))?;
        let end = i32::try_from(text.len()).map_err(|_| MakeError::NoMemory)?;
        let offsets = [0_i32.to_ne_bytes(), end.to_ne_bytes()];
        let buffers = [None, Some(offsets.as_flattened()), Some(text.as_bytes())];
        let source = cell::Source::Copy {
            length: 1,
            null_count: 0,
            buffers: &buffers,
        };
        Self::make(stamp, &schema, parameters, source)
    }

    /// Copies values of a primitive type, given as they lie in memory, into one allocation. Bytes of an incomplete last
    /// value are refused.
    ///
    /// # Errors
    /// The type is no primitive, the bytes are no whole number of values, or there is no memory.
    pub fn from_plain(
        stamp: Timestamp,
        schema: &Schema,
        values: &[u8],
        parameters: &[u8],
    ) -> Result<Self, MakeError> {
        let format = check::format(&schema.as_ref().schema);
        let length = crate::types::primitive_width(format)
            .filter(|width| schema.as_ref().n_nodes == 0 && values.len().is_multiple_of(*width))
            .and_then(|width| i64::try_from(values.len() / width).ok())
            .ok_or_else(|| {
                let what = format!("{} bytes for format \"{format}\"", values.len());
                MakeError::Invalid(what)
            })?;
        let source = cell::Source::Copy {
            length,
            null_count: 0,
            buffers: &[None, Some(values)],
        };
        Self::make(stamp, schema, parameters, source)
    }

    /// Wraps memory that holds `length` values of a primitive type, without copying it.
    ///
    /// # Errors
    /// The type is no primitive, the memory too short or misaligned for it, or there is no memory for the message.
    pub fn in_memory(
        stamp: Timestamp,
        schema: &Schema,
        length: i64,
        memory: Box<dyn Memory>,
        parameters: &[u8],
    ) -> Result<Self, MakeError> {
        let format = check::format(&schema.as_ref().schema);
        let width = crate::types::primitive_width(format)
            .filter(|_| schema.as_ref().n_nodes == 0)
            .ok_or_else(|| MakeError::Invalid(format!("format \"{format}\" is no primitive")))?;
        let needed = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_mul(width));
        let aligned = memory.as_ptr().addr().is_multiple_of(width);
        if !aligned || needed.is_none_or(|needed| memory.len() < needed) {
            let what = format!(
                "{} bytes for {length} values of format \"{format}\"",
                memory.len()
            );
            return Err(MakeError::Invalid(what));
        }
        Self::make(
            stamp,
            schema,
            parameters,
            cell::Source::Memory { length, memory },
        )
    }

    /// Takes an array over by pointer. It is released when it is refused.
    ///
    /// # Errors
    /// The array does not fit its type, or there is no memory for the message.
    ///
    /// # Safety
    /// The array is valid as the Arrow C Data Interface demands, and the caller's to give away. `schema` is interned.
    pub unsafe fn from_array(
        stamp: Timestamp,
        schema: &Schema,
        mut array: ArrowArray,
        parameters: &[u8],
    ) -> Result<Self, MakeError> {
        // SAFETY: passed on to the caller.
        if let Err(error) = unsafe { check::array(&array, &schema.as_ref().schema) } {
            cell::release_array(&mut array);
            return Err(error);
        }
        Self::make(stamp, schema, parameters, cell::Source::Array(array))
    }

    fn make(
        stamp: Timestamp,
        schema: &Schema,
        parameters: &[u8],
        source: cell::Source<'_>,
    ) -> Result<Self, MakeError> {
        let head = cell::Head {
            schema,
            stamp,
            parameters,
        };
        cell::new(&head, source)
            .map(Self)
            .ok_or(MakeError::NoMemory)
    }

    /// The number of references, if this copy of the crate made the message: for tests and diagnostics.
    pub fn references(&self) -> Option<usize> {
        // SAFETY: `is_own` says that the message came from `cell::new`.
        cell::is_own(self.raw()).then(|| unsafe { cell::references(self.as_ptr()) })
    }
}

/// Crossing the boundary.
impl Message {
    /// Takes one reference over.
    ///
    /// # Safety
    /// `pointer` is valid and its reference the caller's to give.
    pub unsafe fn from_raw(pointer: NonNull<Msg>) -> Self {
        Self(pointer)
    }

    /// A reference of its own to a borrowed message.
    ///
    /// # Safety
    /// `pointer` is valid.
    pub unsafe fn retained(pointer: NonNull<Msg>) -> Self {
        // SAFETY: valid by the caller's promise.
        unsafe { ((*pointer.as_ref().vt).retain)(pointer.as_ptr()) };
        Self(pointer)
    }

    /// The pointer, borrowed.
    pub fn as_ptr(&self) -> *const Msg {
        self.0.as_ptr()
    }

    pub(crate) fn raw(&self) -> &Msg {
        // SAFETY: alive while this reference is.
        unsafe { self.0.as_ref() }
    }
}

/// Metadata.
impl Message {
    fn meta(&self) -> &[u8] {
        let msg = self.raw();
        // SAFETY: the host vouches for `meta_len` bytes that live as long as the message.
        unsafe { std::slice::from_raw_parts(msg.meta, msg.meta_len) }
    }

    /// When the message was sent.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_bytes(self.meta())
    }

    /// The parameters that its sender set.
    ///
    /// # Errors
    /// The bytes are no parameters.
    pub fn parameters(&self) -> Result<Parameters, MetaError> {
        Parameters::decode(self.parameter_bytes())
    }

    /// The parameters as they are encoded; see [`crate::meta`].
    pub fn parameter_bytes(&self) -> &[u8] {
        self.meta().get(meta::HEADER..).unwrap_or_default()
    }
}

impl Clone for Message {
    fn clone(&self) -> Self {
        // SAFETY: alive while this reference is.
        unsafe { Self::retained(self.0) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: gives back the one reference that this value holds.
        unsafe { ((*self.raw().vt).release)(self.as_ptr()) }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("type", &self.data_type())
            .field("len", &self.len())
            .finish()
    }
}
