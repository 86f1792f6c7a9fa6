//! The handshake record: what a plugin says of itself in its file, before any of its code runs.
//!
//! Invariant: the record holds no pointer and needs no relocation, so its bytes in the file are its value. The
//! first [`PREFIX`] bytes keep their meaning for ever; what follows them belongs to the ABI version that they name.
//! Absent: reading files (`host::plugin::preflight`) and the decision what fits (there too).

use crate::ffi;
use std::mem::{align_of, offset_of, size_of};

/// Starts every record.
pub const MAGIC: [u8; 16] = *b"dora-plugin-rec\n";
/// Bytes at the start of the record that every version has in common.
pub const PREFIX: usize = 32;
/// Bytes a record may have, so that a reader need not trust its size.
pub const MAX_SIZE: usize = 64 * 1024;
/// Name of the exported record.
pub const SYMBOL: &str = "DORA_PLUGIN_RECORD";
/// Section of the record in ELF and PE files.
pub const SECTION: &str = ".dora";
/// Segment and section of the record in Mach-O files.
pub const SECTION_MACH_O: (&str, &str) = ("__DATA", "__dora");

/// The plugin ABI that this crate speaks.
pub const ABI: AbiVersion = AbiVersion { major: 0, minor: 7 };
/// The message format that this crate speaks. Not the version of dora's own wires.
pub const MESSAGE_FORMAT: MessageFormat = MessageFormat {
    major: 0,
    minor: 7,
    patch: 0,
};

/// Version of the plugin ABI.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbiVersion {
    /// Equal on both sides.
    pub major: u16,
    /// Below 1.0 equal on both sides, later at most the host's.
    pub minor: u16,
}

/// Version of the message format of plugins.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFormat {
    /// Equal on both sides.
    pub major: u16,
    /// Below 1.0 equal on both sides, later at most the host's.
    pub minor: u16,
    /// Does not matter for what fits.
    pub patch: u16,
}

impl AbiVersion {
    /// Whether a plugin of this version fits a host of version `host`.
    pub const fn fits(self, host: Self) -> bool {
        fits(self.major, self.minor, host.major, host.minor)
    }
}

impl MessageFormat {
    /// Whether a plugin of this version fits a host of version `host`.
    pub const fn fits(self, host: Self) -> bool {
        fits(self.major, self.minor, host.major, host.minor)
    }
}

/// The versions in a record's first bytes, which every version has in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Plugin ABI.
    pub abi: AbiVersion,
    /// Message format.
    pub message_format: MessageFormat,
}

impl Versions {
    /// Reads them from a record in this machine's byte order; `None` when it is none.
    pub fn read(record: &[u8]) -> Option<Self> {
        let prefix = record.first_chunk::<PREFIX>()?;
        let number = |at: usize| {
            let bytes = prefix.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map(|bytes| u16::from_ne_bytes(*bytes))
        };
        if !prefix.starts_with(&MAGIC) {
            return None;
        }
        let (abi, format) = (offset_of!(Record, abi), offset_of!(Record, message_format));
        Some(Self {
            abi: AbiVersion {
                major: number(abi)?,
                minor: number(abi + 2)?,
            },
            message_format: MessageFormat {
                major: number(format)?,
                minor: number(format + 2)?,
                patch: number(format + 4)?,
            },
        })
    }
}

/// Below 1.0 each minor version may break; from 1.0 on a host serves all older minors.
const fn fits(major: u16, minor: u16, host_major: u16, host_minor: u16) -> bool {
    if major == 0 || host_major == 0 {
        major == host_major && minor == host_minor
    } else {
        major == host_major && minor <= host_minor
    }
}

impl std::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::fmt::Display for MessageFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Bit of [`Record::flags`]: a panic unwinds. Always set for a plugin that is not Rust.
pub const FLAG_UNWIND: u16 = 1;
/// Bit of [`Record::flags`]: built without optimisation.
pub const FLAG_DEBUG: u16 = 2;
/// [`Record::language`] of a plugin that uses this crate.
pub const LANGUAGE_RUST: u16 = 1;
/// [`Record::language`] of a plugin that uses the C header.
pub const LANGUAGE_C: u16 = 2;

/// Number of types in [`LAYOUT`].
pub const LAYOUT_TYPES: usize = 18;
/// Most fields that a type of the list may have.
pub const LAYOUT_FIELDS: usize = 16;

/// The record. Texts are UTF-8, filled up with zeros.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// [`MAGIC`].
    pub magic: [u8; 16],
    /// Bytes of this record.
    pub size: u32,
    /// Plugin ABI.
    pub abi: AbiVersion,
    /// Message format.
    pub message_format: MessageFormat,
    /// `FLAG_…` bits. The last field that every version has in common.
    pub flags: u16,
    /// `LANGUAGE_…`.
    pub language: u16,
    /// Bits of a pointer.
    pub pointer_width: u16,
    /// Number of types in `layout`.
    pub layout_types: u32,
    /// Target triple.
    pub target: [u8; 48],
    /// The plugin's name (its crate).
    pub name: [u8; 64],
    /// The plugin's version.
    pub version: [u8; 32],
    /// Name and version of what it was built with: `plugin-abi 0.7.0`.
    pub sdk: [u8; 32],
    /// The compiler and its version.
    pub compiler: [u8; 64],
    /// Version of abi_stable; empty for a plugin without it.
    pub abi_stable: [u8; 16],
    /// Layout of the types of [`crate::ffi`] as the plugin was compiled.
    pub layout: [TypeLayout; LAYOUT_TYPES],
}

/// Size, alignment and field offsets of one type.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeLayout {
    /// The type's name, filled up with zeros.
    pub name: [u8; 16],
    /// Its size in bytes.
    pub size: u16,
    /// Its alignment in bytes.
    pub align: u16,
    /// Number of fields.
    pub fields: u16,
    /// Zero.
    pub reserved: u16,
    /// Offset of each field in bytes, in the order of declaration.
    pub offsets: [u16; LAYOUT_FIELDS],
}

const _: () = assert!(offset_of!(Record, flags) + 2 == PREFIX && size_of::<Record>() <= MAX_SIZE);

/// Declares [`LAYOUT`] and [`FIELDS`] from one list of types and their fields.
macro_rules! layout {
    ($($ty:ident { $($field:ident),* })*) => {
        /// The layout of every type of [`crate::ffi`], as this crate was compiled.
        pub const LAYOUT: [TypeLayout; LAYOUT_TYPES] = [$(TypeLayout {
            name: text(stringify!($ty)),
            size: size_of::<ffi::$ty>() as u16,
            align: align_of::<ffi::$ty>() as u16,
            fields: [$(stringify!($field)),*].len() as u16,
            reserved: 0,
            offsets: offsets(&[$(offset_of!(ffi::$ty, $field)),*]),
        }),*];
        /// The names behind [`LAYOUT`]: each type and its fields, in the same order.
        pub const FIELDS: [(&str, &[&str]); LAYOUT_TYPES] =
            [$((stringify!($ty), &[$(stringify!($field)),*])),*];
    };
}

layout! {
    Str { ptr, len }
    Bytes { ptr, len, owner, release }
    ArrowArray { length, null_count, offset, n_buffers, n_children, buffers, children, dictionary, release, private_data }
    ArrowSchema { format, name, metadata, flags, n_children, children, dictionary, release, private_data }
    MsgSchema { size, n_nodes, id, schema, retain, release }
    MsgVt { size, retain, release, view }
    Msg { size, n_nodes, vt, array, schema, meta, meta_len }
    HostBuf { ptr, len, owner }
    Leaf { length, null_count, buffers, n_buffers }
    LogRecord { size, level, line, reserved, target, message, fields, file, spans }
    ErrorReport { size, kind, text, file, line, reserved }
    Library { size, level, log, folder }
    Host { size, context, library, level, retain, release, intern_schema, alloc_output, free_buf, send_copy, send_buf, send_array, log, report_error, request_stop }
    Event { size, kind, input, reason, msg }
    CreateArgs { size, restart_count, inputs, n_inputs, outputs, n_outputs, config, node_id, dataflow_id }
    Port { size, name, description, data_type }
    Kind { size, name, description, inputs, n_inputs, outputs, n_outputs, config_schema, create, on_event, save_state, restore_state, destroy }
    Plugin { size, abi_major, abi_minor, kinds, n_kinds }
}

impl Record {
    /// The record of a plugin of this name and version: whether a panic in it unwinds, and whether it was built without
    /// optimisation.
    pub const fn new(name: &str, version: &str, unwind: bool, debug: bool) -> Self {
        let mut flags = 0;
        if unwind {
            flags |= FLAG_UNWIND;
        }
        if debug {
            flags |= FLAG_DEBUG;
        }
        Self {
            magic: MAGIC,
            size: size_of::<Self>() as u32,
            abi: ABI,
            message_format: MESSAGE_FORMAT,
            flags,
            language: LANGUAGE_RUST,
            pointer_width: usize::BITS as u16,
            layout_types: LAYOUT_TYPES as u32,
            target: text(TARGET),
            name: text(name),
            version: text(version),
            sdk: text(concat!("plugin-abi ", env!("CARGO_PKG_VERSION"))),
            compiler: text(COMPILER),
            abi_stable: text(ABI_STABLE),
            layout: LAYOUT,
        }
    }
}

const _: () = {
    // Without padding, so that all of its bytes are initialised.
    let fields = 16 + 4 + 4 + 6 + 2 + 2 + 2 + 4 + 48 + 64 + 32 + 32 + 64 + 16;
    let layout = 16 + 4 * 2 + LAYOUT_FIELDS * 2;
    assert!(size_of::<TypeLayout>() == layout);
    assert!(size_of::<Record>() == fields + LAYOUT_TYPES * layout);
};

impl Record {
    /// Its bytes, as they lie in a file.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: plain numbers without padding, as the assertion above says.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
}

/// The target triple that this crate was compiled for.
pub const TARGET: &str = env!("PLUGIN_ABI_TARGET");
/// The compiler that compiled this crate.
pub const COMPILER: &str = env!("PLUGIN_ABI_COMPILER");
/// The version of abi_stable behind `dora_plugin_layout`.
pub const ABI_STABLE: &str = "0.11.3";

/// `text` as a field of the record, cut at a character's boundary when it is too long.
pub const fn text<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut len = if bytes.len() < N { bytes.len() } else { N };
    // A continuation byte at the cut means that the character before it is not whole.
    while len < bytes.len() && len > 0 && bytes[len] & 0xC0 == 0x80 {
        len -= 1;
    }
    let mut out = [0; N];
    let mut i = 0;
    while i < len {
        out[i] = bytes[i];
        i += 1;
    }
    out
}

const fn offsets(list: &[usize]) -> [u16; LAYOUT_FIELDS] {
    let mut out = [0; LAYOUT_FIELDS];
    let mut i = 0;
    while i < list.len() {
        out[i] = list[i] as u16;
        i += 1;
    }
    out
}
