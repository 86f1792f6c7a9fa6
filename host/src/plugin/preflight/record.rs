//! The handshake record out of a file: bytes to values.
//!
//! Invariant: the first `PREFIX` bytes are read from every record; what follows them is read only when they name an
//! ABI that this crate knows, and its faults are kept beside the prefix, because a version mismatch is the better
//! answer to them. Nothing here trusts a length.
//! Absent: finding the record (`elf`, `pe`, `mach_o`) and deciding whether it fits (`check`).

use super::PreflightError;
use plugin_abi::handshake::{
    ABI, AbiVersion, FLAG_DEBUG, FLAG_UNWIND, LANGUAGE_C, LANGUAGE_RUST, LAYOUT_FIELDS,
    LAYOUT_TYPES, MAGIC, MAX_SIZE, MessageFormat, PREFIX, Record, TypeLayout,
};
use serde::{Serialize, Serializer};
use std::mem::{offset_of, size_of};

/// What a handshake record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Handshake {
    /// The plugin ABI that it speaks.
    #[serde(serialize_with = "version")]
    pub abi: AbiVersion,
    /// The message format that it speaks.
    #[serde(serialize_with = "version")]
    pub message_format: MessageFormat,
    /// Whether a panic in it unwinds.
    pub unwind: bool,
    /// Whether it was built without optimisation.
    pub debug: bool,
    /// The rest; `None` when the record belongs to another ABI or is damaged.
    #[serde(flatten)]
    pub details: Option<Details>,
    /// What is wrong with the rest of a record of this ABI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// The part of a record that belongs to the ABI 0.7. All texts are printable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Details {
    /// What the plugin is written in.
    pub language: Language,
    /// Bits of a pointer.
    pub pointer_width: u16,
    /// Target triple; empty when it is not known.
    pub target: String,
    /// The plugin's name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// Name and version of the SDK.
    pub sdk: String,
    /// The compiler and its version.
    pub compiler: String,
    /// Version of abi_stable; empty without it.
    pub abi_stable: String,
    /// The contract's types as the plugin was compiled.
    #[serde(skip)]
    pub layout: Vec<TypeLayout>,
}

/// What a plugin is written in, as far as the contract cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// With the crate plugin-abi.
    Rust,
    /// With the C header.
    C,
}

/// Where the bytes of a record were found.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// In its section, which holds nothing else.
    Section,
    /// Behind its symbol, where other data may follow.
    Symbol,
}

/// Reads a record at the start of `bytes`, with numbers in the file's byte order.
pub(super) fn read(
    bytes: &[u8],
    little_endian: bool,
    place: Place,
) -> Result<Handshake, PreflightError> {
    let fault = |what: String| Err(PreflightError::DamagedRecord { what });
    let reader = Reader {
        bytes,
        little_endian,
    };
    if bytes.get(..MAGIC.len()) != Some(&MAGIC[..]) {
        return fault("it does not start with its mark".into());
    }
    let size = reader.u32(offset_of!(Record, size)).unwrap_or(0) as usize;
    if !(PREFIX..=MAX_SIZE).contains(&size) {
        return fault(format!("it cannot have {size} bytes"));
    }
    let Some(record) = bytes.get(..size) else {
        return fault(format!("{} of its {size} bytes are there", bytes.len()));
    };
    if matches!(place, Place::Section) {
        let rest = bytes.get(size..).unwrap_or(&[]);
        if rest.windows(MAGIC.len()).any(|window| window == MAGIC) {
            return fault("there are two of them".into());
        }
        // Zeros are the linker's padding.
        if rest.iter().any(|byte| *byte != 0) {
            return fault(format!("its section has {} bytes more", rest.len()));
        }
    }
    Ok(decode(Reader {
        bytes: record,
        little_endian,
    }))
}

/// Decodes a record whose size has been checked against [`PREFIX`].
fn decode(record: Reader<'_>) -> Handshake {
    // A prefix is there, so that no read of it fails.
    let number = |offset| record.u16(offset).unwrap_or(0);
    let abi = AbiVersion {
        major: number(offset_of!(Record, abi.major)),
        minor: number(offset_of!(Record, abi.minor)),
    };
    let flags = number(offset_of!(Record, flags));
    let mut handshake = Handshake {
        abi,
        message_format: MessageFormat {
            major: number(offset_of!(Record, message_format.major)),
            minor: number(offset_of!(Record, message_format.minor)),
            patch: number(offset_of!(Record, message_format.patch)),
        },
        unwind: flags & FLAG_UNWIND != 0,
        debug: flags & FLAG_DEBUG != 0,
        details: None,
        damage: None,
    };
    if abi.fits(ABI) {
        match details(record) {
            Ok(details) => handshake.details = Some(details),
            Err(what) => handshake.damage = Some(what),
        }
    }
    handshake
}

/// Decodes what follows the prefix in a record of the ABI 0.7; the error is the fault.
fn details(record: Reader<'_>) -> Result<Details, String> {
    let expected = size_of::<Record>();
    if record.bytes.len() != expected {
        return Err(format!(
            "it has {} bytes, a record of ABI {ABI} has {expected}",
            record.bytes.len()
        ));
    }
    let language = match record.u16(offset_of!(Record, language))? {
        LANGUAGE_RUST => Language::Rust,
        LANGUAGE_C => Language::C,
        other => return Err(format!("no language has the number {other}")),
    };
    let types = record.u32(offset_of!(Record, layout_types))? as usize;
    if types > LAYOUT_TYPES {
        return Err(format!("it cannot list {types} types"));
    }
    let layout = (0..types).map(|index| type_layout(record, index));
    Ok(Details {
        language,
        pointer_width: record.u16(offset_of!(Record, pointer_width))?,
        target: record.text::<48>(offset_of!(Record, target), "target")?,
        name: record.text::<64>(offset_of!(Record, name), "name")?,
        version: record.text::<32>(offset_of!(Record, version), "version")?,
        sdk: record.text::<32>(offset_of!(Record, sdk), "SDK")?,
        compiler: record.text::<64>(offset_of!(Record, compiler), "compiler")?,
        abi_stable: record.text::<16>(offset_of!(Record, abi_stable), "abi_stable version")?,
        layout: layout.collect::<Result<_, _>>()?,
    })
}

fn type_layout(record: Reader<'_>, index: usize) -> Result<TypeLayout, String> {
    let start = offset_of!(Record, layout) + index * size_of::<TypeLayout>();
    let number = |offset: usize| record.u16(start + offset);
    let mut layout = TypeLayout {
        name: record.array(start + offset_of!(TypeLayout, name))?,
        size: number(offset_of!(TypeLayout, size))?,
        align: number(offset_of!(TypeLayout, align))?,
        fields: number(offset_of!(TypeLayout, fields))?,
        reserved: number(offset_of!(TypeLayout, reserved))?,
        offsets: [0; LAYOUT_FIELDS],
    };
    text(&layout.name, "name of a type")?;
    if usize::from(layout.fields) > LAYOUT_FIELDS {
        return Err(format!("no type has {} fields", layout.fields));
    }
    for (place, offset) in layout.offsets.iter_mut().enumerate() {
        *offset = number(offset_of!(TypeLayout, offsets) + place * size_of::<u16>())?;
    }
    Ok(layout)
}

/// Numbers and texts at fixed places of a record.
#[derive(Clone, Copy)]
struct Reader<'a> {
    bytes: &'a [u8],
    little_endian: bool,
}

impl Reader<'_> {
    fn array<const N: usize>(self, offset: usize) -> Result<[u8; N], String> {
        let bytes = self.bytes.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| "it is too short".into())
    }

    fn u16(self, offset: usize) -> Result<u16, String> {
        let bytes = self.array(offset)?;
        Ok(if self.little_endian {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn u32(self, offset: usize) -> Result<u32, String> {
        let bytes = self.array(offset)?;
        Ok(if self.little_endian {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    fn text<const N: usize>(self, offset: usize, what: &str) -> Result<String, String> {
        text(&self.array::<N>(offset)?, what)
    }
}

/// The text of a field that is filled up with zeros. Control characters are refused: it will be shown.
pub(super) fn text(field: &[u8], what: &str) -> Result<String, String> {
    let end = field.iter().position(|byte| *byte == 0);
    let (text, rest) = field.split_at(end.unwrap_or(field.len()));
    match std::str::from_utf8(text) {
        Ok(text) if rest.iter().all(|byte| *byte == 0) && !text.contains(char::is_control) => {
            Ok(text.to_owned())
        }
        _ => Err(format!("its {what} is no text")),
    }
}

/// A version without the `v` that a message format has in sentences.
fn version<S: Serializer, V: std::fmt::Display>(value: &V, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(value.to_string().trim_start_matches('v'))
}
