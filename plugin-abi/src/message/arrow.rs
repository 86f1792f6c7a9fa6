//! Between messages and the arrow crates: the feature `arrow`.
//!
//! Invariant: no data are copied in either direction. Numbers without nulls skip the crate's general import, which
//! costs more than the rest of a message's way together. Absent: other arrow versions; those use [`Message::view`].

use super::{DataError, MakeError, Message, Schema};
use crate::ffi::{ArrowArray, ArrowSchema};
use crate::meta::Timestamp;
use arrow_array::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi, to_ffi};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, make_array, types};
use arrow_buffer::{Buffer, ScalarBuffer};
use arrow_data::ArrayData;
use arrow_schema::{ArrowError, Field};
use std::ptr::NonNull;
use std::sync::Arc;

const _: () = assert!(size_of::<FFI_ArrowArray>() == size_of::<ArrowArray>());
const _: () = assert!(size_of::<FFI_ArrowSchema>() == size_of::<ArrowSchema>());

impl Message {
    /// The data as an array of the arrow crates, sharing the buffers.
    ///
    /// # Errors
    /// The crates refuse the data.
    pub fn array(&self) -> Result<ArrayRef, DataError> {
        if self.raw().n_nodes == 0
            && self.no_nulls().is_ok()
            && let Some(array) = self.primitive()
        {
            return Ok(array);
        }
        let view = self.view()?;
        let invalid = |error: ArrowError| DataError::Invalid(error.to_string());
        // SAFETY: both structs are those of the Arrow C Data Interface on either side; the view is moved, the
        // schema borrowed while the message lives.
        let data = unsafe {
            let array = std::mem::transmute::<ArrowArray, FFI_ArrowArray>(view);
            from_ffi(
                array,
                &*std::ptr::from_ref(self.schema_struct()).cast::<FFI_ArrowSchema>(),
            )
        };
        let data = data.and_then(with_empty_parts).map_err(invalid)?;
        Ok(make_array(data))
    }

    /// The type with its name, its metadata and whether values may be null.
    ///
    /// # Errors
    /// The crates refuse the type.
    pub fn field(&self) -> Result<Field, DataError> {
        // SAFETY: the struct is that of the Arrow C Data Interface on either side, borrowed while the message lives.
        let schema =
            unsafe { &*std::ptr::from_ref(self.schema_struct()).cast::<FFI_ArrowSchema>() };
        Field::try_from(schema).map_err(|error| DataError::Invalid(error.to_string()))
    }

    /// A message that shares an array's buffers. Of `field`, name, metadata and order are the message's too; its type
    /// is the array's.
    ///
    /// # Errors
    /// Another type than the field's, one that cannot be exported, or there is no memory for the message.
    pub fn from_arrow(
        stamp: Timestamp,
        field: &Field,
        array: &dyn Array,
        parameters: &[u8],
    ) -> Result<Self, MakeError> {
        if field.data_type() != array.data_type() {
            let (named, is) = (field.data_type(), array.data_type());
            return Err(MakeError::Invalid(format!("{is} in a field of {named}")));
        }
        let invalid = |error: ArrowError| MakeError::Invalid(error.to_string());
        let schema = FFI_ArrowSchema::try_from(field).map_err(invalid)?;
        let (data, _) = to_ffi(&array.to_data()).map_err(invalid)?;
        // SAFETY: both structs are those of the Arrow C Data Interface on either side, valid as the crate made them,
        // and moved.
        unsafe {
            let schema = std::mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema);
            let data = std::mem::transmute::<FFI_ArrowArray, ArrowArray>(data);
            match Schema::intern(schema) {
                Ok(schema) => Self::from_array(stamp, &schema, data, parameters),
                Err(error) => {
                    drop(std::mem::transmute::<ArrowArray, FFI_ArrowArray>(data));
                    Err(MakeError::Invalid(error.to_string()))
                }
            }
        }
    }

    fn primitive(&self) -> Option<ArrayRef> {
        Some(match self.format() {
            "C" => self.typed::<types::UInt8Type>()?,
            "c" => self.typed::<types::Int8Type>()?,
            "S" => self.typed::<types::UInt16Type>()?,
            "s" => self.typed::<types::Int16Type>()?,
            "I" => self.typed::<types::UInt32Type>()?,
            "i" => self.typed::<types::Int32Type>()?,
            "L" => self.typed::<types::UInt64Type>()?,
            "l" => self.typed::<types::Int64Type>()?,
            "f" => self.typed::<types::Float32Type>()?,
            "g" => self.typed::<types::Float64Type>()?,
            _ => return None,
        })
    }

    fn typed<T: ArrowPrimitiveType>(&self) -> Option<ArrayRef> {
        let first = NonNull::new(self.buffer(1).cast_mut().cast::<u8>())?;
        if !first.cast::<T::Native>().is_aligned() {
            return None;
        }
        let values = self.offset().checked_add(self.len())?;
        let bytes = values.checked_mul(size_of::<T::Native>())?;
        // SAFETY: the producer vouches for `offset + length` values; the clone keeps them alive.
        let buffer =
            unsafe { Buffer::from_custom_allocation(first, bytes, Arc::new(self.clone())) };
        let scalars = ScalarBuffer::<T::Native>::new(buffer, self.offset(), self.len());
        Some(Arc::new(PrimitiveArray::<T>::new(scalars, None)))
    }
}

/// An array as the structs of the C Data Interface, sharing its buffers.
pub(crate) fn export(array: &dyn arrow_array::Array) -> Result<(ArrowArray, ArrowSchema), String> {
    let (data, schema) = to_ffi(&array.to_data()).map_err(|error| error.to_string())?;
    // The crate says "not nullable" of every top-level array, also of one with nulls.
    let schema = schema
        .with_flags(arrow_schema::ffi::Flags::NULLABLE)
        .map_err(|error| error.to_string())?;
    // SAFETY: both structs are those of the Arrow C Data Interface on either side, moved.
    Ok(unsafe {
        (
            std::mem::transmute::<FFI_ArrowArray, ArrowArray>(data),
            std::mem::transmute::<FFI_ArrowSchema, ArrowSchema>(schema),
        )
    })
}

/// The crates import an empty part of an array without values, but with the offset at which it begins, which is beyond them:
/// the same data, with empty parts as if they had been made so.
fn with_empty_parts(data: ArrayData) -> Result<ArrayData, ArrowError> {
    if data.is_empty() {
        return Ok(ArrayData::new_empty(data.data_type()));
    }
    if !data.child_data().iter().any(has_empty_part) {
        return Ok(data);
    }
    let parts = data.child_data().iter().cloned().map(with_empty_parts);
    let parts = parts.collect::<Result<_, _>>()?;
    data.into_builder().child_data(parts).build()
}

fn has_empty_part(data: &ArrayData) -> bool {
    data.is_empty() || data.child_data().iter().any(has_empty_part)
}

/// A type in the words of [`crate::types`]; what the C interface cannot say becomes a name that no data have.
pub(crate) fn type_text(data_type: &arrow_schema::DataType) -> String {
    let Ok(schema) = FFI_ArrowSchema::try_from(data_type) else {
        return format!("{data_type}?");
    };
    // SAFETY: the same struct on either side, borrowed while it lives.
    let text = unsafe { crate::types::text(&*std::ptr::from_ref(&schema).cast::<ArrowSchema>()) };
    text.unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::type_text;
    use crate::message::Message;
    use crate::meta::Timestamp;
    use arrow_array::{Array, ListArray, StringArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::{DataType, Field};
    use std::sync::Arc;

    #[test]
    fn the_empty_rest_of_an_array_is_valid_data() {
        let field = Field::new("", DataType::Utf8, true);
        let rest = StringArray::from(vec!["ab"]).slice(1, 0);
        let message = Message::from_arrow(Timestamp::default(), &field, &rest, &[]);
        let array = message.expect("a message").array().expect("an array");
        assert_eq!((array.len(), array.data_type()), (0, &DataType::Utf8));
        let whole = array.to_data().validate_full();
        assert!(whole.is_ok(), "{whole:?}");
        // Also within another: two empty lists of that.
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let offsets = OffsetBuffer::new(vec![0, 0, 0].into());
        let lists = ListArray::new(item, offsets, Arc::new(rest), None);
        let field = Field::new("", lists.data_type().clone(), true);
        let message = Message::from_arrow(Timestamp::default(), &field, &lists, &[]);
        let array = message.expect("a message").array().expect("an array");
        assert!(array.as_ref() == &lists as &dyn Array);
        let whole = array.to_data().validate_full();
        assert!(whole.is_ok(), "{whole:?}");
    }

    #[test]
    fn types_of_the_crates_in_our_words() {
        let list = DataType::List(Field::new("item", DataType::Float32, true).into());
        let fields = vec![
            Field::new("cpu", DataType::Float64, true),
            Field::new("all", list, false),
        ];
        assert_eq!(type_text(&DataType::UInt64), "UInt64");
        assert_eq!(
            type_text(&DataType::Struct(fields.into())),
            "Struct<cpu: Float64, all: List<Float32>>"
        );
    }
}
