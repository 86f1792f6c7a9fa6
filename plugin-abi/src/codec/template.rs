//! The fast way: streams of one number type without nulls differ in a few words only, so their start is made once
//! and patched.
//!
//! Invariant: the bytes are those that arrow's writer makes; what is not such a stream to the last byte is left to the
//! general reader. Absent: every other type, and empty arrays, which the writer lays out differently.

use super::{SMALL, Values, stream};
use crate::message::{Message, Schema};
use arrow_array::{ArrayRef, make_array};
use arrow_buffer::MutableBuffer;
use arrow_data::ArrayDataBuilder;
use arrow_schema::DataType;
use bytes::Bytes;
use std::ffi::CStr;
use std::ops::Range;
use std::sync::LazyLock;

/// Bodies end at multiples of this.
const PAD: usize = 64;
/// The mark of a stream's end.
const END: [u8; 8] = [0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
/// How many values the streams have that templates are made from: no other word of theirs has the value of a length.
const MARKED: usize = 259;

/// The types that have a template: format in the C Data Interface, bytes of a value.
const TYPES: [(&CStr, DataType, usize); 10] = [
    (c"C", DataType::UInt8, 1),
    (c"f", DataType::Float32, 4),
    (c"g", DataType::Float64, 8),
    (c"L", DataType::UInt64, 8),
    (c"l", DataType::Int64, 8),
    (c"i", DataType::Int32, 4),
    (c"I", DataType::UInt32, 4),
    (c"S", DataType::UInt16, 2),
    (c"s", DataType::Int16, 2),
    (c"c", DataType::Int8, 1),
];

static TEMPLATES: LazyLock<Vec<Template>> =
    LazyLock::new(|| TYPES.iter().filter_map(Template::new).collect());

/// A primitive type.
#[derive(Debug)]
pub(super) struct Plain {
    format: &'static CStr,
    /// The same, interned.
    pub(super) schema: Schema,
    /// Bytes of one value.
    pub(super) width: usize,
}

/// The start of a stream, up to its values.
#[derive(Debug)]
struct Template {
    kind: Plain,
    header: Vec<u8>,
    /// Where the length of the body is.
    body: usize,
    /// Where the number of values is: of the batch, and of its column.
    rows: [usize; 2],
    /// Where the length of the values in bytes is.
    values: usize,
    /// What is the same in all streams.
    fixed: Vec<Range<usize>>,
}

/// The stream of a message of numbers, or `None` for the writer to make it.
pub(super) fn encode(message: &Message) -> Option<Vec<Bytes>> {
    let (format, values) = message.plain().filter(|(_, values)| !values.is_empty())?;
    let template = TEMPLATES
        .iter()
        .find(|template| template.kind.format.to_bytes() == format.as_bytes())?;
    let length = values.len();
    let padding = length.next_multiple_of(PAD) - length;
    let tail = padding + END.len();
    if length <= SMALL {
        let mut all = Vec::with_capacity(template.header.len() + length + tail);
        template.write_header(length, &mut all);
        all.extend_from_slice(values);
        write_tail(padding, &mut all);
        return Some(vec![all.into()]);
    }
    let mut header = Vec::with_capacity(template.header.len());
    template.write_header(length, &mut header);
    let mut end = Vec::with_capacity(tail);
    write_tail(padding, &mut end);
    let values = Bytes::from_owner(Values(message.clone()));
    Some(vec![header.into(), values, end.into()])
}

fn write_tail(padding: usize, out: &mut Vec<u8>) {
    out.resize(out.len() + padding, 0);
    out.extend_from_slice(&END);
}

/// The type and the values of a stream that [`encode`] could have made.
pub(super) fn decode(bytes: &Bytes) -> Option<(&'static Plain, Bytes)> {
    let template = TEMPLATES.iter().find(|template| template.fits(bytes))?;
    let start = template.header.len();
    let length = template.length(bytes)?;
    let end = start.checked_add(length)?;
    let tail = bytes.get(end..)?;
    let values = bytes.slice(start..end);
    is_tail(tail, length).then_some((&template.kind, values))
}

/// The type of `length` bytes of values between what comes before and after them in a stream that [`encode`] could have
/// made.
pub(super) fn around(head: &[u8], length: usize, tail: &[u8]) -> Option<&'static Plain> {
    let template = TEMPLATES.iter().find(|template| template.fits(head))?;
    let whole = head.len() == template.header.len() && template.length(head) == Some(length);
    (whole && is_tail(tail, length)).then_some(&template.kind)
}

/// Whether bytes end a stream after so many bytes of values. What they are padded with is nobody's.
fn is_tail(tail: &[u8], length: usize) -> bool {
    let padding = length.next_multiple_of(PAD) - length;
    tail.get(padding..) == Some(&END[..])
}

impl Template {
    /// `None` if the writer's streams are not as expected; then the writer makes them all.
    fn new((format, data_type, width): &(&'static CStr, DataType, usize)) -> Option<Self> {
        let kind = Plain {
            format,
            schema: Schema::leaf(format).ok()?,
            width: *width,
        };
        let values = MARKED * width;
        let (header, _) = written(data_type, MARKED, values)?;
        let mut rows = words(&header, MARKED);
        let values = match *width {
            1 => rows.pop()?,
            _ => only(words(&header, values))?,
        };
        let rows = <[usize; 2]>::try_from(rows).ok()?;
        let body = only(words(&header, (MARKED * width).next_multiple_of(PAD)))?;
        let mut patched = [rows[0], rows[1], values, body];
        patched.sort_unstable();
        let mut fixed = Vec::new();
        let mut start = 0;
        for at in patched {
            fixed.push(start..at);
            start = at + 8;
        }
        fixed.push(start..header.len());
        let template = Self {
            kind,
            header,
            body,
            rows,
            values,
            fixed,
        };
        template.is_right(data_type).then_some(template)
    }

    /// Whether the patches make what the writer writes.
    fn is_right(&self, data_type: &DataType) -> bool {
        let length = 1000 * self.kind.width;
        let mut patched = Vec::new();
        self.write_header(length, &mut patched);
        let mut tail = Vec::new();
        write_tail(length.next_multiple_of(PAD) - length, &mut tail);
        written(data_type, 1000, length) == Some((patched, tail))
    }

    /// `length` is that of the values in bytes.
    fn write_header(&self, length: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.header);
        let mut patch = |at: usize, value: usize| {
            if let Some(word) = out.get_mut(start + at..start + at + 8) {
                word.copy_from_slice(&(value as u64).to_le_bytes());
            }
        };
        for at in self.rows {
            patch(at, length / self.kind.width);
        }
        patch(self.values, length);
        patch(self.body, length.next_multiple_of(PAD));
    }

    fn fits(&self, bytes: &[u8]) -> bool {
        let same =
            |range: &Range<usize>| bytes.get(range.clone()) == self.header.get(range.clone());
        self.fixed.iter().all(same)
    }

    /// Length of the values in bytes, if all lengths in the header agree.
    fn length(&self, bytes: &[u8]) -> Option<usize> {
        let length = word(bytes, self.values)?;
        let padded = length.checked_next_multiple_of(PAD)?;
        let rows = length / self.kind.width;
        let agree = length > 0
            && length.is_multiple_of(self.kind.width)
            && self.rows.iter().all(|at| word(bytes, *at) == Some(rows))
            && word(bytes, self.body) == Some(padded);
        agree.then_some(length)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*word)).ok()
}

/// Where `value` is in the header.
fn words(header: &[u8], value: usize) -> Vec<usize> {
    let at = (0..header.len()).step_by(4);
    at.filter(|at| word(header, *at) == Some(value)).collect()
}

fn only(found: Vec<usize>) -> Option<usize> {
    <[usize; 1]>::try_from(found).ok().map(|[at]| at)
}

/// What the writer makes of `rows` zeros, before and after the values, which take `length` bytes.
fn written(data_type: &DataType, rows: usize, length: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let zeros = ArrayDataBuilder::new(data_type.clone())
        .len(rows)
        .add_buffer(MutableBuffer::from_len_zeroed(length).into());
    let array: ArrayRef = make_array(zeros.build().ok()?);
    let mut bytes = stream::of_array(array).ok()?.concat();
    let tail = length.next_multiple_of(PAD) - length + END.len();
    let end = bytes.split_off(bytes.len().checked_sub(tail)?);
    bytes.truncate(bytes.len().checked_sub(length)?);
    Some((bytes, end))
}

/// How many types have a template: all, unless the writer's form has changed.
#[cfg(test)]
pub(super) fn count() -> (usize, usize) {
    (TEMPLATES.len(), TYPES.len())
}
