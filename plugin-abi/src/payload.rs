//! What can be sent: how Rust values become Arrow data.
//!
//! Bytes are `UInt8`, text is one `Utf8` value, a number is one value of its type, numbers are an array, `()` is an
//! empty `Null` array, and [`CArray`] whatever another library made. Invariant: small data are copied once, by the host;
//! a `Vec` and an array move. Absent: the arrow crates, unless the feature `arrow` is on.

use crate::ffi::{ArrowArray, ArrowSchema, Leaf, Str};
use crate::message::{Message, Number, OwnedArray, OwnedSchema, Schema};
use crate::outputs::{Outputs, SendError};
use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};

/// Formats of the leaves whose interned types each handle keeps.
pub(crate) const LEAVES: [&CStr; 12] = [
    c"C", c"c", c"S", c"s", c"I", c"i", c"L", c"l", c"f", c"g", c"u", c"n",
];
const TEXT: usize = 10;
const NULL: usize = 11;

/// Position of a number's type in [`LEAVES`]; the list's end for none, which `leaf_schema` refuses.
pub(crate) const fn leaf_of<T: Number>() -> usize {
    let mut i = 0;
    while i < LEAVES.len() && LEAVES[i].to_bytes()[0] != T::FORMAT.to_bytes()[0] {
        i += 1;
    }
    i
}

/// The type of a leaf, for the host to intern.
pub(crate) fn leaf_schema(leaf: usize) -> ArrowSchema {
    ArrowSchema {
        format: LEAVES.get(leaf).copied().unwrap_or(c"n").as_ptr(),
        name: c"".as_ptr(),
        metadata: null(),
        flags: 2,
        n_children: 0,
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_schema),
        private_data: null_mut(),
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: called with the schema that carries it, which points to static text only.
    unsafe { (*schema).release = None }
}

/// One send: where to, with which parameters.
#[derive(Debug)]
pub struct Target<'a> {
    pub(crate) outputs: &'a Outputs,
    pub(crate) output: &'a str,
    pub(crate) index: u32,
    pub(crate) parameters: &'a [u8],
}

impl Target<'_> {
    fn leaf(&self, leaf: usize, length: usize, buffers: &[Str]) -> Result<(), SendError> {
        let schema = self.outputs.leaf_schema(leaf, self.output)?.as_ptr();
        let length = i64::try_from(length).map_err(|_| SendError::NoMemory)?;
        let data = Leaf {
            length,
            null_count: 0,
            buffers: buffers.as_ptr(),
            n_buffers: buffers.len(),
        };
        let host = self.outputs.host();
        // SAFETY: everything is borrowed for the call and valid for its length.
        let status = unsafe {
            (host.send_copy)(
                self.outputs.host_ptr(),
                self.index,
                schema,
                &raw const data,
                self.parameters.into(),
            )
        };
        self.outputs.explain(status, self.output)
    }

    fn numbers<T: Number>(&self, values: &[T]) -> Result<(), SendError> {
        let bytes = Str {
            ptr: values.as_ptr().cast(),
            len: size_of_val(values),
        };
        self.leaf(leaf_of::<T>(), values.len(), &[NONE, bytes])
    }

    fn array(&self, schema: &Schema, array: OwnedArray) -> Result<(), SendError> {
        let host = self.outputs.host();
        let mut array = array.into_inner();
        // SAFETY: the array is ours to give; the schema is borrowed for the call.
        let status = unsafe {
            (host.send_array)(
                self.outputs.host_ptr(),
                self.index,
                schema.as_ptr(),
                &raw mut array,
                self.parameters.into(),
            )
        };
        self.outputs.explain(status, self.output)
    }
}

const NONE: Str = Str {
    ptr: null(),
    len: 0,
};

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Self {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

mod sealed {
    pub trait Sealed {}
}

/// Data that can be sent; see the module's page for what becomes what.
pub trait Payload: sealed::Sealed {
    /// Sends the data. Called by [`Outputs::send`].
    #[doc(hidden)]
    fn send_to(self, target: &Target<'_>) -> Result<(), SendError>;
}

/// An array in the structs of the Arrow C Data Interface: how data go out that were made by another version of the
/// arrow crates, or by another library that knows the interface. Their type is interned anew with each send. Dropped
/// without being sent, both are released.
///
/// ```text
/// // The structs have the same fields in every version of the crates.
/// let (array, schema) = arrow_array::ffi::to_ffi(&array.to_data())?;
/// outputs.send("out", unsafe { CArray::new(transmute(array), transmute(schema)) })?;
/// ```
pub struct CArray {
    array: OwnedArray,
    schema: OwnedSchema,
}

impl CArray {
    /// Takes both over, and calls their release when nobody reads the data any more, on any thread.
    ///
    /// # Safety
    /// Both are valid as the interface demands, or have no `release`, and they belong together.
    pub unsafe fn new(array: ArrowArray, schema: ArrowSchema) -> Self {
        Self {
            array: OwnedArray(array),
            schema: OwnedSchema(schema),
        }
    }
}

impl std::fmt::Debug for CArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CArray")
            .field("length", &self.array.0.length)
            .finish_non_exhaustive()
    }
}

/// Implements [`Payload`] for one type by an expression.
macro_rules! payload {
    ($([$($generic:tt)*] $type:ty: |$data:ident, $target:ident| $body:expr;)*) => {$(
        impl<$($generic)*> sealed::Sealed for $type {}
        impl<$($generic)*> Payload for $type {
            fn send_to(self, $target: &Target<'_>) -> Result<(), SendError> {
                let $data = self;
                $body
            }
        }
    )*};
}

payload! {
    [T: Number] T: |data, target| target.numbers(&[data]);
    [T: Number] &[T]: |data, target| target.numbers(data);
    [T: Number] &Vec<T>: |data, target| target.numbers(data);
    [T: Number, const N: usize] &[T; N]: |data, target| target.numbers(data);
    [T: Number, const N: usize] [T; N]: |data, target| target.numbers(&data);
    [T: Number] Vec<T>: |data, target| {
        let schema = target.outputs.leaf_schema(leaf_of::<T>(), target.output)?;
        target.array(schema, OwnedArray(moved(data)))
    };
    [] &str: |data, target| text(data, target);
    [] &String: |data, target| text(data, target);
    [] String: |data, target| text(&data, target);
    [] (): |_data, target| target.leaf(NULL, 0, &[]);
    [] &Message: |data, target| forward(data, target);
    [] Message: |data, target| forward(&data, target);
    [] CArray: |data, target| {
        let schema = target.outputs.intern(data.schema.into_inner(), target.output)?;
        target.array(&schema, data.array)
    };
}

#[cfg(feature = "arrow")]
payload! {
    [] &dyn arrow_array::Array: |data, target| arrow(data, target);
    [] &arrow_array::ArrayRef: |data, target| arrow(data, target);
    [] arrow_array::ArrayRef: |data, target| arrow(&data, target);
    [] &arrow_array::StructArray: |data, target| arrow(data, target);
    [] &arrow_array::BooleanArray: |data, target| arrow(data, target);
    [] &arrow_array::FixedSizeListArray: |data, target| arrow(data, target);
    [T: arrow_array::ArrowPrimitiveType] &arrow_array::PrimitiveArray<T>: |data, target| arrow(data, target);
    [T: arrow_array::types::ByteArrayType] &arrow_array::GenericByteArray<T>: |data, target| arrow(data, target);
    [O: arrow_array::OffsetSizeTrait] &arrow_array::GenericListArray<O>: |data, target| arrow(data, target);
}

fn text(text: &str, target: &Target<'_>) -> Result<(), SendError> {
    let end = i32::try_from(text.len()).map_err(|_| SendError::NoMemory)?;
    let offsets = [0_i32.to_ne_bytes(), end.to_ne_bytes()];
    target.leaf(TEXT, 1, &[NONE, offsets.as_flattened().into(), text.into()])
}

fn forward(message: &Message, target: &Target<'_>) -> Result<(), SendError> {
    // SAFETY: the schema lives as long as the message.
    let schema = unsafe { Schema::retained((*message.as_ptr()).schema) };
    let view = message.view().map_err(|_| SendError::NoMemory)?;
    target.array(&schema, OwnedArray(view))
}

#[cfg(feature = "arrow")]
fn arrow(array: &dyn arrow_array::Array, target: &Target<'_>) -> Result<(), SendError> {
    let invalid = |_| SendError::InvalidData {
        output: target.output.to_owned(),
    };
    let (data, schema) = crate::message::arrow::export(array).map_err(invalid)?;
    let data = OwnedArray(data);
    let schema = target
        .outputs
        .array_schema(array.data_type(), schema, target.output)?;
    target.array(&schema, data)
}

/// What keeps a moved `Vec` alive.
struct Moved<T> {
    values: Vec<T>,
    buffers: [*const c_void; 2],
}

fn moved<T: Number>(values: Vec<T>) -> ArrowArray {
    let length = values.len() as i64;
    let buffers = [null(), values.as_ptr().cast()];
    let keeper = Box::into_raw(Box::new(Moved { values, buffers }));
    ArrowArray {
        length,
        null_count: 0,
        offset: 0,
        n_buffers: 2,
        n_children: 0,
        // SAFETY: just made from a box.
        buffers: unsafe { (*keeper).buffers.as_mut_ptr() },
        children: null_mut(),
        dictionary: null_mut(),
        release: Some(release_moved::<T>),
        private_data: keeper.cast(),
    }
}

unsafe extern "C" fn release_moved<T: Number>(array: *mut ArrowArray) {
    // SAFETY: called once, with the array that `moved` made.
    unsafe {
        (*array).release = None;
        let keeper = Box::from_raw((*array).private_data.cast::<Moved<T>>());
        drop(keeper.values);
    }
}
