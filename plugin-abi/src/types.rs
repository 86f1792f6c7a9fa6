//! Names of Arrow types as text, for declaring ports and for messages to people.
//!
//! The words are Arrow's own, without nullability and field order left as it is: `UInt8`, `Utf8`, `Float32`,
//! `Timestamp(ns, UTC)`, `List<Float32>`, `FixedSizeList<Float32, 3>`, `Struct<cpu: Float64, memory: UInt64>`,
//! `Dictionary<Int32, Utf8>`. A declaration without its brackets (`List`, `Struct`, `Timestamp`) stands for all.
//! Absent: the arrow crates. Both sides name types without them.

use crate::ffi::ArrowSchema;
use std::ffi::CStr;

/// Types nested deeper than this are refused: a schema comes from outside.
pub const MAX_DEPTH: usize = 64;

/// A type that cannot be understood: the format string at fault, or what is wrong with the schema around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownType(pub String);

impl std::fmt::Display for UnknownType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no Arrow type: {}", self.0)
    }
}

impl std::error::Error for UnknownType {}

/// Format strings without parameters, and the names of their types.
const PLAIN: [(&str, &str); 43] = [
    ("n", "Null"),
    ("b", "Boolean"),
    ("c", "Int8"),
    ("C", "UInt8"),
    ("s", "Int16"),
    ("S", "UInt16"),
    ("i", "Int32"),
    ("I", "UInt32"),
    ("l", "Int64"),
    ("L", "UInt64"),
    ("e", "Float16"),
    ("f", "Float32"),
    ("g", "Float64"),
    ("z", "Binary"),
    ("Z", "LargeBinary"),
    ("vz", "BinaryView"),
    ("u", "Utf8"),
    ("U", "LargeUtf8"),
    ("vu", "Utf8View"),
    ("tdD", "Date32"),
    ("tdm", "Date64"),
    ("tts", "Time32(s)"),
    ("ttm", "Time32(ms)"),
    ("ttu", "Time64(us)"),
    ("ttn", "Time64(ns)"),
    ("tss:", "Timestamp(s)"),
    ("tsm:", "Timestamp(ms)"),
    ("tsu:", "Timestamp(us)"),
    ("tsn:", "Timestamp(ns)"),
    ("tDs", "Duration(s)"),
    ("tDm", "Duration(ms)"),
    ("tDu", "Duration(us)"),
    ("tDn", "Duration(ns)"),
    ("tiM", "Interval(YearMonth)"),
    ("tiD", "Interval(DayTime)"),
    ("tin", "Interval(MonthDayNano)"),
    ("+l", "List"),
    ("+L", "LargeList"),
    ("+vl", "ListView"),
    ("+vL", "LargeListView"),
    ("+s", "Struct"),
    ("+m", "Map"),
    ("+r", "RunEndEncoded"),
];

/// Names of the types whose format strings have parameters.
const WITH_PARAMETERS: [&str; 9] = [
    "Decimal32",
    "Decimal64",
    "Decimal128",
    "Decimal256",
    "FixedSizeBinary",
    "FixedSizeList",
    "Union",
    "Dictionary",
    "Timestamp",
];

/// The text of a type.
///
/// # Errors
/// A format string that Arrow does not have, text that is not UTF-8, children that do not fit the format, too deep a
/// nesting.
///
/// # Safety
/// `schema` and everything it points to are valid as the Arrow C Data Interface demands.
pub unsafe fn text(schema: &ArrowSchema) -> Result<String, UnknownType> {
    // SAFETY: passed on to the caller.
    unsafe { nested_text(schema, 0) }
}

unsafe fn nested_text(schema: &ArrowSchema, depth: usize) -> Result<String, UnknownType> {
    if depth > MAX_DEPTH {
        return Err(UnknownType(format!("nested deeper than {MAX_DEPTH}")));
    }
    // SAFETY: the caller vouches for the schema.
    let format = unsafe { c_text(schema.format) }?;
    let own = format_text(format)?;
    if !schema.name.is_null() {
        // SAFETY: as above. Readers in other languages expect text.
        unsafe { c_text(schema.name) }?;
    }
    // SAFETY: as above.
    let family = unsafe { children_of(schema) }?;
    // SAFETY: as above.
    unsafe { check_family(format, schema, &family) }?;
    // SAFETY: as above; a null dictionary is `None`.
    if let Some(values) = unsafe { schema.dictionary.as_ref() } {
        // SAFETY: as above.
        let values = unsafe { nested_text(values, depth + 1) }?;
        return Ok(format!("Dictionary<{own}, {values}>"));
    }
    let mut children = Vec::new();
    for child in family {
        // SAFETY: as above.
        let child_text = unsafe { nested_text(child, depth + 1) }?;
        children.push(match format {
            "+s" | "+m" | "+r" => {
                let name = if child.name.is_null() {
                    ""
                } else {
                    // SAFETY: as above.
                    unsafe { c_text(child.name) }?
                };
                format!("{name}: {child_text}")
            }
            _ => child_text,
        });
    }
    if let Some(size) = format.strip_prefix("+w:") {
        children.push(size.to_owned());
    }
    Ok(if children.is_empty() {
        own
    } else {
        format!("{own}<{}>", children.join(", "))
    })
}

/// Refuses a type whose children or dictionary are not those of its format: readers count on them.
///
/// # Safety
/// As for [`text`]; `children` are those of `schema`.
unsafe fn check_family(
    format: &str,
    schema: &ArrowSchema,
    children: &[&ArrowSchema],
) -> Result<(), UnknownType> {
    let refused = |what: &str| Err(UnknownType(format!("format \"{format}\" {what}")));
    // SAFETY: the caller vouches for the schema.
    let format_of = |child: &ArrowSchema| unsafe { c_text(child.format) };
    let is_index = matches!(format, "c" | "C" | "s" | "S" | "i" | "I" | "l" | "L");
    if !schema.dictionary.is_null() && !is_index {
        return refused("as the index of a dictionary");
    }
    let expected = match format.as_bytes() {
        b"+s" => children.len(),
        [b'+', b'u', ..] => union_ids(format).count(),
        b"+r" => 2,
        [b'+', ..] => 1,
        _ => 0,
    };
    if children.len() != expected {
        return refused(&format!("with {} children", children.len()));
    }
    match (format, children) {
        ("+m", [entries]) if format_of(entries)? != "+s" || entries.n_children != 2 => {
            refused("without a struct of keys and values")
        }
        ("+r", [ends, _]) if !matches!(format_of(ends)?, "s" | "i" | "l") => {
            refused("with run ends that are not Int16, Int32 or Int64")
        }
        _ => Ok(()),
    }
}

/// The type ids in the format of a union.
fn union_ids(format: &str) -> impl Iterator<Item = &str> {
    let ids = format.split_once(':').map_or("", |(_, ids)| ids);
    ids.split(',').filter(|id| !id.is_empty())
}

/// The children of a schema.
///
/// # Errors
/// A negative number of them, or a null pointer among them.
///
/// # Safety
/// `schema` is valid as the Arrow C Data Interface demands.
pub(crate) unsafe fn children_of(schema: &ArrowSchema) -> Result<Vec<&ArrowSchema>, UnknownType> {
    let count = usize::try_from(schema.n_children)
        .map_err(|_| UnknownType("negative number of children".into()))?;
    if count > 0 && schema.children.is_null() {
        return Err(UnknownType("children are missing".into()));
    }
    (0..count)
        .map(|i| {
            // SAFETY: the caller vouches for `n_children` pointers, each null or valid.
            let child = unsafe { (*schema.children.add(i)).as_ref() };
            child.ok_or_else(|| UnknownType("a child is missing".into()))
        })
        .collect()
}

unsafe fn c_text<'a>(text: *const std::ffi::c_char) -> Result<&'a str, UnknownType> {
    if text.is_null() {
        return Err(UnknownType("format string is missing".into()));
    }
    // SAFETY: the caller vouches for a zero-terminated text that outlives the schema.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| UnknownType("text is not UTF-8".into()))
}

fn format_text(format: &str) -> Result<String, UnknownType> {
    if let Some((_, name)) = PLAIN.iter().find(|(plain, _)| *plain == format) {
        return Ok((*name).to_owned());
    }
    let unknown = || UnknownType(format!("format \"{}\"", format.escape_debug()));
    let (kind, parameters) = format.split_once(':').ok_or_else(unknown)?;
    match kind {
        "d" => {
            let mut parts = parameters.splitn(3, ',');
            let (precision, scale) = (
                parts.next().unwrap_or_default(),
                parts.next().ok_or_else(unknown)?,
            );
            Ok(format!(
                "Decimal{}({precision}, {scale})",
                parts.next().unwrap_or("128")
            ))
        }
        "w" if size(format, "w:").is_some() => Ok(format!("FixedSizeBinary({parameters})")),
        "tss" => Ok(format!("Timestamp(s, {parameters})")),
        "tsm" => Ok(format!("Timestamp(ms, {parameters})")),
        "tsu" => Ok(format!("Timestamp(us, {parameters})")),
        "tsn" => Ok(format!("Timestamp(ns, {parameters})")),
        "+w" if size(format, "+w:").is_some() => Ok("FixedSizeList".to_owned()),
        "+ud" | "+us" => Ok("Union".to_owned()),
        _ => Err(unknown()),
    }
}

/// The size behind `prefix` in the format of a type with a fixed size.
pub(crate) fn size(format: &str, prefix: &str) -> Option<i32> {
    let size = format.strip_prefix(prefix)?.parse().ok()?;
    (size >= 0).then_some(size)
}

/// Whether data of the type `actual` may go where `declared` stands.
pub fn accepts(declared: &str, actual: &str) -> bool {
    declared.is_empty()
        || actual == declared
        || actual
            .strip_prefix(declared)
            .is_some_and(|rest| rest.starts_with(['<', '(']))
}

/// Whether a declaration starts with the name of an Arrow type.
pub fn is_known(declared: &str) -> bool {
    let name = declared.split(['<', '(']).next().unwrap_or_default();
    let known = |full: &str| full.split('(').next() == Some(name);
    PLAIN.iter().any(|(_, full)| known(full)) || WITH_PARAMETERS.iter().any(|full| known(full))
}

/// Number of buffers that an array of a format has, or `None` for the views, which have three or more.
pub(crate) fn buffer_count(format: &str) -> Option<i64> {
    Some(match format.as_bytes() {
        [b'n', ..] | [b'+', b'r', ..] => 0,
        [b'+', b's', ..] | [b'+', b'w', ..] | [b'+', b'u', b's', ..] => 1,
        [b'z' | b'Z' | b'u' | b'U'] | [b'+', b'v', ..] => 3,
        [b'v', ..] => return None,
        _ => 2,
    })
}

/// Bytes of one value of a primitive format; `None` for every other.
pub(crate) fn primitive_width(format: &str) -> Option<usize> {
    Some(match format.as_bytes() {
        b"c" | b"C" => 1,
        b"s" | b"S" | b"e" => 2,
        b"i" | b"I" | b"f" | b"tdD" | b"tts" | b"ttm" | b"tiM" => 4,
        b"l" | b"L" | b"g" | b"tdm" | b"ttu" | b"ttn" | b"tiD" | [b't', b's' | b'D', ..] => 8,
        b"tin" => 16,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_without_brackets_stands_for_all() {
        for (declared, actual, fits) in [
            ("", "UInt8", true),
            ("UInt8", "UInt8", true),
            ("UInt8", "UInt64", false),
            ("List", "List<UInt8>", true),
            ("List", "ListView<UInt8>", false),
            ("Timestamp", "Timestamp(ns, UTC)", true),
            ("Int", "Int8", false),
        ] {
            assert_eq!(accepts(declared, actual), fits, "{declared} {actual}");
        }
    }

    #[test]
    fn misspelt_types_are_known_as_such() {
        assert!(
            is_known("UInt64")
                && is_known("Struct<a: UInt8>")
                && is_known("FixedSizeList<Float32, 3>")
        );
        assert!(!is_known("Uint64") && !is_known("") && !is_known("Strut<a: UInt8>"));
    }

    #[test]
    fn formats_with_parameters() {
        assert_eq!(format_text("d:10,2").as_deref(), Ok("Decimal128(10, 2)"));
        assert_eq!(
            format_text("d:10,2,256").as_deref(),
            Ok("Decimal256(10, 2)")
        );
        assert_eq!(format_text("tsn:UTC").as_deref(), Ok("Timestamp(ns, UTC)"));
        assert_eq!(format_text("tsn:").as_deref(), Ok("Timestamp(ns)"));
        assert_eq!(format_text("w:3").as_deref(), Ok("FixedSizeBinary(3)"));
        assert!(
            format_text("x").is_err() && format_text("").is_err() && format_text("d:1").is_err()
        );
    }
}
