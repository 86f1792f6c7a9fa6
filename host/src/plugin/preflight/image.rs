//! What the readers of the three formats have in common: what they look for, and what they hand back.
//!
//! Absent: any format's own knowledge.

use super::machine::{GlibcVersion, Platform};
use super::record::{Handshake, Place, read};
use super::source::{Source, damaged};
use super::{Format, PreflightError};
use object::read::ReadRef;
use plugin_abi::ffi::ENTRY;
use plugin_abi::handshake::{MAX_SIZE, SYMBOL};
use serde::Serialize;

/// What one executable image says of itself.
pub(super) struct Image {
    pub format: Format,
    pub shape: Shape,
    pub platform: Platform,
    pub handshake: Option<Handshake>,
    /// Those of [`REQUIRED`] that it does not export.
    pub not_exported: Vec<String>,
    pub links: Links,
    /// What the file says of its compiler outside the record.
    pub compiler: Option<String>,
}

/// What kind of image it is.
pub(super) enum Shape {
    Library,
    Executable,
    /// Something for a linker or a debugger, in words.
    Object(&'static str),
}

/// What an image is linked with. All texts are printable, in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Links {
    /// The libraries that it needs: names, or paths where it was linked so.
    pub needed: Vec<String>,
    /// The name that others need it by (ELF `SONAME`, Mach-O install name).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// Folders to look in, also for what its libraries need (ELF `RPATH`, Mach-O `@rpath`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rpath: Vec<String>,
    /// Folders to look in for what it needs itself (ELF `RUNPATH`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runpath: Vec<String>,
    /// The newest version of the GNU C library that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glibc: Option<GlibcNeed>,
}

/// A need for a version of the GNU C library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GlibcNeed {
    /// The version.
    pub version: GlibcVersion,
    /// As the file writes it: `GLIBC_2.39`.
    pub name: String,
    /// One symbol that is needed of that version.
    pub symbol: Option<String>,
}

/// Symbols that the loader looks up.
pub(super) const REQUIRED: [&str; 2] = [SYMBOL, ENTRY];
/// Libraries, folders or versions that one file may name.
pub(super) const MOST_NAMES: usize = 4096;

/// Where the record is in the file.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub offset: u64,
    /// Bytes of the section or symbol.
    pub size: u64,
    pub place: Place,
}

impl Spot {
    /// Reads the record there.
    pub fn read(self, source: Source<'_>, little: bool) -> Result<Handshake, PreflightError> {
        let fault = |what: &str| PreflightError::DamagedRecord { what: what.into() };
        // A section may be padded, but to no more than a page or two.
        if matches!(self.place, Place::Section) && self.size > 2 * MAX_SIZE as u64 {
            return Err(fault("its section is too large"));
        }
        let size = self.size.min(2 * MAX_SIZE as u64);
        let bytes = source
            .read_bytes_at(self.offset, size)
            .map_err(|()| fault("it is outside the file"))?;
        read(bytes, little, self.place)
    }
}

/// The one section of the record, or an error when there are two.
pub(super) fn only_section(spots: &[Spot]) -> Result<Option<Spot>, PreflightError> {
    match spots {
        [] => Ok(None),
        [spot] => Ok(Some(*spot)),
        _ => Err(PreflightError::DamagedRecord {
            what: "there are two of them".into(),
        }),
    }
}

/// The zero-terminated texts that a table of symbols points into.
#[derive(Clone, Copy)]
pub(super) struct Names<'a>(pub &'a [u8]);

impl<'a> Names<'a> {
    /// Whether the text at `offset` is `name`. Costs no more than `name` is long, whatever is in the table.
    pub fn is(self, offset: u64, name: &str) -> bool {
        self.rest(offset).is_some_and(|rest| {
            rest.strip_prefix(name.as_bytes())
                .is_some_and(|end| end.first() == Some(&0))
        })
    }

    /// The text at `offset`, as it is.
    pub fn get(self, offset: u64, what: &str) -> Result<&'a [u8], PreflightError> {
        let rest = self.rest(offset).unwrap_or(&[]);
        let near = rest.get(..4096).unwrap_or(rest);
        near.iter()
            .position(|byte| *byte == 0)
            .and_then(|end| near.get(..end))
            .ok_or_else(|| damaged(format!("{what} is no text")))
    }

    fn rest(self, offset: u64) -> Option<&'a [u8]> {
        self.0.get(usize::try_from(offset).ok()?..)
    }
}

/// Which of [`REQUIRED`] are not among those found.
pub(super) fn missing(found: [bool; REQUIRED.len()]) -> Vec<String> {
    let pairs = REQUIRED.iter().zip(found);
    pairs
        .filter(|(_, found)| !found)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}
