//! Whether data fit their type, as far as the C structs tell: what the host asks before it takes data over.
//!
//! Invariant: an array that passes can be copied by `view` and read by `Message` without a null or dangling
//! structure, if its producer keeps to the Arrow C Data Interface. Absent: the values (offsets within a moved array,
//! UTF-8), whose buffers have no length there.

use super::MakeError;
use crate::ffi::{ArrowArray, ArrowSchema, Leaf, Str};
use crate::types;
use std::ffi::CStr;

fn invalid(what: impl Into<String>) -> MakeError {
    MakeError::Invalid(what.into())
}

/// The format string of an interned schema, which was checked when it was interned.
pub(super) fn format(schema: &ArrowSchema) -> &str {
    // SAFETY: interned schemas have a zero-terminated format.
    unsafe { CStr::from_ptr(schema.format) }
        .to_str()
        .unwrap_or_default()
}

/// Whether an interned schema has a format; quicker than to make a text of it.
pub(super) fn has_format(schema: &ArrowSchema, format: &CStr) -> bool {
    // SAFETY: as above.
    unsafe { CStr::from_ptr(schema.format) == format }
}

/// Checks a moved array against its type.
///
/// # Safety
/// Both are valid as the Arrow C Data Interface demands; the schema is interned.
pub(super) unsafe fn array(array: &ArrowArray, schema: &ArrowSchema) -> Result<(), MakeError> {
    if array.release.is_none() {
        return Err(invalid("the array has been moved away or released"));
    }
    if array.length < 0 || array.offset < 0 {
        return Err(invalid("negative length or offset"));
    }
    if array.null_count < -1 || array.null_count > array.length {
        return Err(invalid("null count out of range"));
    }
    let format = format(schema);
    let end = end(array, format)?;
    let expected = types::buffer_count(format);
    if expected.map_or(array.n_buffers < 3, |count| count != array.n_buffers) {
        return Err(invalid(format!(
            "{} buffers for format \"{format}\"",
            array.n_buffers
        )));
    }
    if array.n_buffers > 0 && array.buffers.is_null() {
        return Err(invalid("the list of buffers is missing"));
    }
    if let Some(width) = types::primitive_width(format).filter(|_| array.length > 0) {
        // SAFETY: a primitive has two buffers, and the list is there.
        let data = unsafe { *array.buffers.add(1) };
        if data.is_null() || !data.addr().is_multiple_of(width.min(8)) {
            return Err(invalid(format!(
                "missing or misaligned values for format \"{format}\""
            )));
        }
    }
    if expected.is_none() {
        // SAFETY: as above: more than three buffers, the last with the lengths of the data buffers.
        unsafe { variadic(array) }?;
    }
    if array.n_children != schema.n_children
        || array.dictionary.is_null() != schema.dictionary.is_null()
    {
        return Err(invalid("other children or dictionary than its type"));
    }
    // SAFETY: passed on to the caller.
    unsafe {
        descendants(array, schema)?;
        child_lengths(array, format, end)
    }
}

/// Where the values end, `offset + length`, if their bits can be counted without overflow: readers do that.
fn end(array: &ArrowArray, format: &str) -> Result<i64, MakeError> {
    // 32 bytes is the widest value without a parameter, a 256-bit decimal.
    let width = types::primitive_width(format)
        .or_else(|| usize::try_from(types::size(format, "w:")?).ok())
        .unwrap_or(32);
    let end = array.offset.checked_add(array.length);
    let fits = |end: i64| {
        let bits = isize::try_from(end).ok()?.checked_mul(8)?;
        bits.checked_mul(width.try_into().ok()?)
    };
    end.filter(|end| fits(*end).is_some())
        .ok_or_else(|| invalid("length and offset overflow"))
}

/// The data buffers of an array of views have the lengths that its last buffer says.
unsafe fn variadic(array: &ArrowArray) -> Result<(), MakeError> {
    let buffers = array.n_buffers as usize;
    // SAFETY: the caller found at least three buffers.
    let lengths = unsafe { *array.buffers.add(buffers - 1) }.cast::<i64>();
    if buffers > 3 && (lengths.is_null() || !lengths.is_aligned()) {
        return Err(invalid("missing or misaligned lengths of the data buffers"));
    }
    for i in 0..buffers - 3 {
        // SAFETY: one length for each buffer between the views and the lengths.
        let (length, data) = unsafe { (*lengths.add(i), *array.buffers.add(2 + i)) };
        if length < 0 || isize::try_from(length).is_err() || (length > 0 && data.is_null()) {
            return Err(invalid(format!("data buffer {i} is missing")));
        }
    }
    Ok(())
}

/// Children whose length follows from their parent's, not from values, are long enough.
unsafe fn child_lengths(parent: &ArrowArray, format: &str, end: i64) -> Result<(), MakeError> {
    // SAFETY: `descendants` has found every child.
    let length = |i: usize| unsafe { (**parent.children.add(i)).length };
    let needed = if format == "+r" {
        // Each run has a value, and values need a run.
        if parent.length > 0 && length(0) == 0 {
            return Err(invalid("values without a run"));
        }
        return enough_values(1, length(1), length(0));
    } else if format == "+s" || format.starts_with("+us") {
        end
    } else if let Some(size) = types::size(format, "+w:") {
        end.saturating_mul(size.into())
    } else {
        return Ok(());
    };
    (0..parent.n_children as usize).try_for_each(|i| enough_values(i, length(i), needed))
}

fn enough_values(child: usize, has: i64, needed: i64) -> Result<(), MakeError> {
    if has >= needed {
        return Ok(());
    }
    Err(invalid(format!(
        "child {child} has {has} values, too few for the {needed} that its parent needs"
    )))
}

unsafe fn descendants(parent: &ArrowArray, schema: &ArrowSchema) -> Result<(), MakeError> {
    if parent.n_children > 0 && parent.children.is_null() {
        return Err(invalid("the list of children is missing"));
    }
    for i in 0..parent.n_children.max(0) as usize {
        // SAFETY: both lists have that many entries; a missing child is null.
        let (child, kind) = unsafe {
            (
                (*parent.children.add(i)).as_ref(),
                (*schema.children.add(i)).as_ref(),
            )
        };
        let (Some(child), Some(kind)) = (child, kind) else {
            return Err(invalid("a child is missing"));
        };
        // SAFETY: valid by the caller's promise.
        unsafe { array(child, kind) }?;
    }
    // SAFETY: null or valid, in both or neither.
    let dictionary = unsafe { (parent.dictionary.as_ref(), schema.dictionary.as_ref()) };
    if let (Some(values), Some(kind)) = dictionary {
        // SAFETY: valid by the caller's promise.
        unsafe { array(values, kind) }?;
    }
    Ok(())
}

/// Checks a leaf whose buffers have lengths, and hands them out.
///
/// # Safety
/// The leaf's pointers are valid for their lengths.
pub(super) unsafe fn leaf<'a>(
    leaf: &'a Leaf,
    schema: &ArrowSchema,
) -> Result<[Option<&'a [u8]>; 3], MakeError> {
    // SAFETY: passed on to the caller.
    if let Some(values) = unsafe { numbers(leaf, schema) } {
        return Ok([None, Some(values), None]);
    }
    let format = format(schema);
    if schema.n_children != 0 || !schema.dictionary.is_null() {
        return Err(invalid(format!("format \"{format}\" is not a leaf")));
    }
    let length = usize::try_from(leaf.length).map_err(|_| invalid("negative length"))?;
    if leaf.null_count < -1 || leaf.null_count > leaf.length {
        return Err(invalid("null count out of range"));
    }
    if types::buffer_count(format) != i64::try_from(leaf.n_buffers).ok() || leaf.n_buffers > 3 {
        return Err(invalid(format!(
            "{} buffers for format \"{format}\"",
            leaf.n_buffers
        )));
    }
    if leaf.n_buffers > 0 && leaf.buffers.is_null() {
        return Err(invalid("the list of buffers is missing"));
    }
    let mut buffers = [None; 3];
    for (i, slot) in buffers.iter_mut().enumerate().take(leaf.n_buffers) {
        // SAFETY: `n_buffers` entries, each valid for its length.
        *slot = unsafe { bytes(&*leaf.buffers.add(i)) };
    }
    let enough = |i: usize, needed: Option<usize>| {
        let has = buffers.get(i).copied().flatten().map_or(0, <[u8]>::len);
        if needed.is_some_and(|needed| has >= needed) {
            return Ok(());
        }
        Err(invalid(format!(
            "buffer {i} has {has} bytes, too few for {length} values of format \"{format}\""
        )))
    };
    if buffers.first().copied().flatten().is_some() {
        enough(0, Some(length.div_ceil(8)))?;
    } else if leaf.null_count > 0 {
        return Err(invalid("null values without a validity bitmap"));
    }
    if let Some(width) = types::primitive_width(format) {
        enough(1, length.checked_mul(width))?;
    } else if format == "b" {
        enough(1, Some(length.div_ceil(8)))?;
    } else if matches!(format, "u" | "z") {
        enough(1, length.checked_add(1).and_then(|n| n.checked_mul(4)))?;
        enough(2, last_offset(buffers.get(1).copied().flatten(), length))?;
    } else if format != "n" {
        return Err(invalid(format!(
            "format \"{format}\" cannot be sent as a leaf; send an array"
        )));
    }
    Ok(buffers)
}

/// The values of a leaf that is what most messages are, numbers without nulls, and right: a short way to what [`leaf`] says
/// of every other.
///
/// # Safety
/// As [`leaf`].
unsafe fn numbers<'a>(leaf: &'a Leaf, schema: &ArrowSchema) -> Option<&'a [u8]> {
    // SAFETY: interned schemas have a zero-terminated format, so there is a second byte unless the first ends it.
    let letter = unsafe {
        let format = schema.format.cast::<u8>();
        (*format != 0 && *format.add(1) == 0).then(|| *format)
    };
    let width = match letter? {
        b'c' | b'C' => 1,
        b's' | b'S' | b'e' => 2,
        b'i' | b'I' | b'f' => 4,
        b'l' | b'L' | b'g' => 8,
        _ => return None,
    };
    let plain = schema.n_children == 0 && schema.dictionary.is_null();
    if !plain || leaf.n_buffers != 2 || leaf.null_count != 0 || leaf.buffers.is_null() {
        return None;
    }
    // SAFETY: two entries, each valid for its length.
    let (validity, values) = unsafe { (bytes(&*leaf.buffers), bytes(&*leaf.buffers.add(1))) };
    let needed = usize::try_from(leaf.length).ok()?.checked_mul(width)?;
    values.filter(|values| validity.is_none() && values.len() >= needed)
}

/// Where the last value ends, if offsets never fall and start at zero or later.
fn last_offset(offsets: Option<&[u8]>, length: usize) -> Option<usize> {
    let mut last = 0;
    for chunk in offsets?.chunks_exact(4).take(length + 1) {
        let next = i32::from_ne_bytes(chunk.try_into().ok()?);
        if next < last {
            return None;
        }
        last = next;
    }
    usize::try_from(last).ok()
}

/// The bytes behind a [`Str`], or `None` for a null pointer.
///
/// # Safety
/// A pointer that is not null is valid for the length.
pub(crate) unsafe fn bytes(text: &Str) -> Option<&[u8]> {
    // SAFETY: passed on to the caller.
    (!text.ptr.is_null()).then(|| unsafe { std::slice::from_raw_parts(text.ptr, text.len) })
}
