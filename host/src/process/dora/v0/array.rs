//! Arrays of dora 0.x: one run of bytes with the buffers of an array and all that is in it, and a description of where.
//!
//! Invariant: what is described is checked before it is an array: places within the bytes, buffers as the type demands.
//! Bytes without any are an empty array whatever the description says, as dora's own nodes read it. Absent: the wire.

use super::reader::Reader;
use super::types::{self, MAX_DEPTH};
use crate::process::dora::words::Malformed;
use arrow_array::make_array;
use arrow_buffer::{BooleanBufferBuilder, Buffer};
use arrow_data::ArrayData;
use arrow_schema::{DataType, Field};
use dora_message_v0::metadata::{ArrowTypeInfo, BufferOffset};
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where each buffer starts: what every type's reader accepts.
const ALIGN: usize = 64;

/// An array that is described, not yet checked.
#[derive(Debug)]
pub(super) struct Described {
    data_type: DataType,
    length: usize,
    validity: Option<Vec<u8>>,
    offset: usize,
    buffers: Vec<(usize, usize)>,
    children: Vec<Described>,
}

impl Described {
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::read_at(reader, 0)
    }

    fn read_at(reader: &mut Reader<'_>, depth: usize) -> Result<Self, Malformed> {
        if depth > MAX_DEPTH {
            return Err(Malformed::new("an array that is nested too deep"));
        }
        let data_type = types::read(reader, depth)?;
        let length = reader.size()?;
        let _null_count = reader.size()?;
        let validity = reader.option()?.then(|| reader.bytes()).transpose()?;
        Ok(Self {
            data_type,
            length,
            validity: validity.map(<[u8]>::to_vec),
            offset: reader.size()?,
            buffers: reader.list(16, |reader| Ok((reader.size()?, reader.size()?)))?,
            children: reader.list(45, |reader| Self::read_at(reader, depth + 1))?,
        })
    }

    /// The message of the described array in `bytes`.
    ///
    /// # Errors
    /// It is no array; says why.
    pub fn message(
        self,
        bytes: &Buffer,
        stamp: Timestamp,
        parameters: &[u8],
    ) -> Result<Message, String> {
        // Arrow's crates check what they are given, yet some checks are assertions.
        let made = catch_unwind(AssertUnwindSafe(|| {
            let array = make_array(self.array(bytes)?);
            let field = Field::new("", array.data_type().clone(), true);
            Message::from_arrow(stamp, &field, &array, parameters)
                .map_err(|error| error.to_string())
        }));
        made.unwrap_or_else(|_| Err("its buffers contradict its type".to_owned()))
    }

    fn array(self, bytes: &Buffer) -> Result<ArrayData, String> {
        if bytes.is_empty() {
            return Ok(ArrayData::new_empty(&self.data_type));
        }
        let mut buffers = Vec::with_capacity(self.buffers.len());
        for (start, length) in self.buffers {
            let end = start.checked_add(length);
            if end.is_none_or(|end| end > bytes.len()) {
                let all = bytes.len();
                return Err(format!("a buffer of {length} bytes at {start} of {all}"));
            }
            buffers.push(bytes.slice_with_length(start, length));
        }
        let children = self.children.into_iter().map(|child| child.array(bytes));
        ArrayData::builder(self.data_type)
            .len(self.length)
            .null_bit_buffer(self.validity.map(Buffer::from))
            .offset(self.offset)
            .buffers(buffers)
            .child_data(children.collect::<Result<_, _>>()?)
            .align_buffers(true)
            .build()
            .map_err(|error| error.to_string())
    }
}

/// A message's array as its description and bytes. None for a tick: without bytes, however few, a node finds the type
/// `Null`.
///
/// # Errors
/// It is no array, or of a type that dora 0.x does not have.
pub(super) fn describe(message: &Message) -> Result<(ArrowTypeInfo, Option<Vec<u8>>), String> {
    let array = message.array().map_err(|error| error.to_string())?;
    let data = array.to_data();
    let mut bytes = Vec::with_capacity(room(&data));
    let info = append(&data, &mut bytes)?;
    let null = matches!(data.data_type(), DataType::Null);
    Ok((info, (!null).then_some(bytes)))
}

fn room(data: &ArrayData) -> usize {
    let own = data.buffers().iter().map(|it| it.len() + ALIGN);
    own.sum::<usize>() + data.child_data().iter().map(room).sum::<usize>()
}

fn append(data: &ArrayData, bytes: &mut Vec<u8>) -> Result<ArrowTypeInfo, String> {
    let mut places = Vec::with_capacity(data.buffers().len());
    for buffer in data.buffers() {
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        places.push(BufferOffset {
            offset: bytes.len(),
            len: buffer.len(),
        });
        bytes.extend_from_slice(buffer);
    }
    let children = data.child_data().iter().map(|child| append(child, bytes));
    let child_data = children.collect::<Result<_, _>>()?;
    Ok(ArrowTypeInfo {
        data_type: types::to_old(data.data_type())?,
        len: data.len(),
        null_count: data.null_count(),
        validity: validity(data),
        offset: data.offset(),
        buffer_offsets: places,
        child_data,
    })
}

/// The bits of nulls, which the description counts from the array's offset; the crate keeps an offset of its own.
fn validity(data: &ArrayData) -> Option<Vec<u8>> {
    let nulls = data.nulls()?;
    let mut bits = BooleanBufferBuilder::new(data.offset() + nulls.len());
    bits.append_n(data.offset(), true);
    bits.append_buffer(nulls.inner());
    Some(bits.finish().into_inner().to_vec())
}
