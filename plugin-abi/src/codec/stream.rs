//! The general way: arrow's own writer and reader of streams.
//!
//! Invariant: bytes reach arrow's reader only after their framing was walked: whole, one schema of one column, one record
//! batch, at the end, and no batch whose buffers overlap, which bounds what copies of misaligned buffers can cost.
//! Absent: speed; see `template` for the common case.

use super::{ALIGN, DecodeError, EncodeError, Head, Origin, SMALL};
use crate::message::Message;
use arrow_array::{Array, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_ipc::{MessageHeader, RecordBatch as BatchHeader, root_as_message};
use arrow_schema::{ArrowError, Field, Schema};
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Name of the one column.
const COLUMN: &str = "data";
/// Dictionaries that one stream may hold: each level of a nested type may have its own.
const MAX_DICTIONARIES: usize = 256;

/// The stream of any array.
pub(super) fn encode(message: &Message) -> Result<Vec<Bytes>, EncodeError> {
    let field = message.field()?;
    let array = message.array()?;
    buffers(field, array)
        .map(join)
        .map_err(|error| EncodeError::Unsupported(error.to_string()))
}

/// The stream of an array, by the writer.
pub(super) fn of_array(array: Arc<dyn Array>) -> Result<Vec<Bytes>, ArrowError> {
    let field = Field::new(COLUMN, array.data_type().clone(), true);
    buffers(field, array).map(join)
}

fn buffers(field: Field, array: Arc<dyn Array>) -> Result<Vec<Buffer>, ArrowError> {
    let schema = Arc::new(Schema::new([Arc::new(column(field, array.as_ref()))]));
    let batch = RecordBatch::try_new(schema.clone(), vec![array])?;
    let mut encoder = StreamEncoder::try_new(&schema)?;
    let mut out = encoder.encode(&batch)?;
    out.extend(encoder.finish()?);
    Ok(out)
}

/// The column of an array, with the order and the metadata of its own field.
fn column(field: Field, array: &dyn Array) -> Field {
    // What the C Data Interface says of nulls at the top is not dependable: pyarrow and arrow differ.
    field
        .with_name(COLUMN)
        .with_data_type(array.data_type().clone())
        .with_nullable(true)
}

/// Copies what is small into one piece, and leaves large buffers where they are.
fn join(buffers: Vec<Buffer>) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut small = Vec::new();
    for buffer in buffers {
        if buffer.len() <= SMALL {
            small.extend_from_slice(&buffer);
        } else {
            if !small.is_empty() {
                parts.push(std::mem::take(&mut small).into());
            }
            parts.push(Bytes::from_owner(buffer));
        }
    }
    if !small.is_empty() {
        parts.push(small.into());
    }
    parts
}

/// The message in the bytes of any stream.
pub(super) fn decode(head: &Head<'_>, body: Bytes, origin: Origin) -> Result<Message, DecodeError> {
    let misaligned = !body.as_ptr().addr().is_multiple_of(ALIGN);
    let buffer = if body.len() <= SMALL || misaligned || origin == Origin::Shared {
        Buffer::from(&body[..])
    } else {
        Buffer::from(body)
    };
    // Arrow's crates check lengths, yet some checks are assertions.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        walk(&buffer)?;
        let batch = read(buffer)?;
        make(head, &batch)
    }));
    outcome.unwrap_or(Err(DecodeError::Stream(
        "its lengths contradict each other",
    )))
}

fn read(mut buffer: Buffer) -> Result<RecordBatch, DecodeError> {
    let refused = |error: ArrowError| DecodeError::Arrow(error.to_string());
    let mut decoder = StreamDecoder::new();
    let batch = decoder.decode(&mut buffer).map_err(refused)?;
    batch.ok_or(DecodeError::Stream("it ends early"))
}

fn make(head: &Head<'_>, batch: &RecordBatch) -> Result<Message, DecodeError> {
    let schema = batch.schema_ref();
    let (Some(field), Some(array)) = (schema.fields().first(), batch.columns().first()) else {
        return Err(DecodeError::Stream("it has no column"));
    };
    let field = Field::clone(field).with_name("").with_nullable(true);
    let (stamp, parameters) = (head.stamp, head.parameters);
    Ok(Message::from_arrow(stamp, &field, array, parameters)?)
}

/// Walks from message to message of the stream.
fn walk(bytes: &[u8]) -> Result<(), DecodeError> {
    let wrong = |what| Err(DecodeError::Stream(what));
    let mut rest = bytes;
    let (mut schemas, mut dictionaries, mut batches) = (0, 0, 0);
    while let Some((header, after)) = framed(rest)? {
        let message =
            root_as_message(header).map_err(|error| DecodeError::Arrow(error.to_string()))?;
        let length = usize::try_from(message.bodyLength()).ok();
        let Some((body, after)) = length.and_then(|length| after.split_at_checked(length)) else {
            return wrong("a body is longer than the stream");
        };
        rest = after;
        match message.header_type() {
            MessageHeader::Schema if schemas == 0 && body.is_empty() => {
                let schema = message.header_as_schema();
                if schema
                    .and_then(|schema| schema.fields())
                    .map(|fields| fields.len())
                    != Some(1)
                {
                    return wrong("its schema has not one column");
                }
                schemas = 1;
            }
            MessageHeader::DictionaryBatch if schemas == 1 && batches == 0 => {
                dictionaries += 1;
                let data = message.header_as_dictionary_batch();
                disjoint(data.and_then(|data| data.data()), body.len())?;
            }
            MessageHeader::RecordBatch if schemas == 1 && batches == 0 => {
                batches = 1;
                disjoint(message.header_as_record_batch(), body.len())?;
            }
            _ => return wrong("not one schema, then dictionaries, then one record batch"),
        }
        if dictionaries > MAX_DICTIONARIES {
            return wrong("too many dictionaries");
        }
    }
    if batches == 0 {
        return wrong("it has no record batch");
    }
    Ok(())
}

/// A message's header and what follows it.
type Framed<'a> = (&'a [u8], &'a [u8]);

/// The next message; `None` at the mark of the end, which must be the end.
fn framed(bytes: &[u8]) -> Result<Option<Framed<'_>>, DecodeError> {
    let early = DecodeError::Stream("it ends early");
    let Some((mark, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(early);
    };
    if *mark != [0xFF; 4] {
        return Err(DecodeError::Stream(
            "a message does not start with its mark",
        ));
    }
    let Some((length, rest)) = rest.split_first_chunk::<4>() else {
        return Err(early);
    };
    match u32::from_le_bytes(*length) as usize {
        0 if rest.is_empty() => Ok(None),
        0 => Err(DecodeError::Stream("bytes follow its end")),
        length => rest.split_at_checked(length).map(Some).ok_or(early),
    }
}

/// Refuses a batch whose buffers share bytes of the body.
fn disjoint(batch: Option<BatchHeader<'_>>, body: usize) -> Result<(), DecodeError> {
    let buffers = batch.and_then(|batch| batch.buffers());
    let total = buffers
        .into_iter()
        .flatten()
        .try_fold(0_usize, |sum, buffer| {
            sum.checked_add(usize::try_from(buffer.length()).ok()?)
        });
    if total.is_none_or(|total| total > body) {
        return Err(DecodeError::Stream("buffers longer than their body"));
    }
    Ok(())
}
