//! The file check: the first thing that sees an untrusted plugin file. Reads bytes, runs nothing, and decides.
//!
//! Invariant: whatever the bytes are, [`read`] and [`read_file`] return in bounded time and memory and never panic;
//! a file that passes [`check`] is whole as far as its headers tell, so that the loader can map it.
//! Absent: opening libraries (that is loading), and the node's name in the messages.
//!
//! ```no_run
//! use host::plugin::preflight::{self, Isolation, Machine};
//!
//! let report = preflight::read_file("target/release/librandom.so".as_ref())?;
//! preflight::check(&report, &Machine::this(), Isolation::Shared)?;
//! # Ok::<(), preflight::PreflightError>(())
//! ```

mod check;
mod dependencies;
mod elf;
mod elf_versions;
mod error;
mod image;
mod loader_error;
mod mach_o;
mod machine;
mod pe;
mod record;
mod source;

pub use check::{Isolation, check, check_executable, versions};
pub use dependencies::{Beside, beside, find_dlls};
pub use error::{LayoutDifference, PreflightError};
pub use image::{GlibcNeed, Links};
pub use loader_error::explain_loader_error;
pub use machine::{GlibcVersion, Machine, Platform};
pub use record::{Details, Handshake, Language};

use image::{Image, Shape};
use serde::Serialize;
use source::{BUDGET, Disk, Source, damaged};
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Bytes that a plugin may have.
pub const MAX_FILE: u64 = 2 << 30;

/// What a file says of itself. Serialised, it is what `dora plugin inspect --json` prints of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// What kind of file it is, and its handshake.
    #[serde(flatten)]
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// The rest; `None` for a file that no loader knows.
    #[serde(flatten)]
    pub image: Option<ImageReport>,
}

/// What kind of file it is. Decided by its content, never by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FileKind {
    /// A shared library with a handshake record.
    Plugin {
        /// What the record says.
        handshake: Handshake,
    },
    /// A shared library without one.
    Library,
    /// An executable with a handshake record: a node as an executable.
    NodeExecutable {
        /// What the record says.
        handshake: Handshake,
    },
    /// Any other executable.
    Executable,
    /// A universal Mach-O file, whatever its parts are.
    Universal,
    /// A file for a linker or a debugger.
    Object {
        /// What it is, in words.
        what: String,
    },
    /// A script, a text, or anything else.
    Other {
        /// Its first characters, escaped.
        starts: String,
    },
}

/// What the headers of a library or executable say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageReport {
    /// The format.
    pub format: Format,
    /// What it was built for.
    #[serde(flatten)]
    pub platform: Platform,
    /// What it is linked with.
    #[serde(flatten)]
    pub links: Links,
    /// The compiler that the file names outside the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub built_by: Option<String>,
    /// Symbols that loading it as a plugin needs and that it does not export.
    #[serde(skip)]
    pub not_exported: Vec<String>,
}

/// Format of an executable image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Format {
    /// Linux and its relatives.
    #[serde(rename = "ELF")]
    Elf,
    /// Windows.
    #[serde(rename = "PE")]
    Pe,
    /// macOS.
    #[serde(rename = "Mach-O")]
    MachO,
}

/// Reads what the file at `path` says of itself, whatever machine it was built for. Reads only the parts that it
/// needs: at most 128 MiB, a few kilobytes in most cases.
///
/// # Errors
/// It cannot be read, is cut short or damaged, or its record cannot be made out. That it is no plugin, or none for
/// this machine, is no error here: see [`check`].
pub fn read_file(path: &Path) -> Result<FileReport, PreflightError> {
    let failed = |error| from_io(path, &error);
    let metadata = fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(PreflightError::Directory);
    }
    if !metadata.is_file() {
        return Err(PreflightError::NotAFile);
    }
    let size = metadata.len();
    if size > MAX_FILE {
        return Err(PreflightError::TooLarge { size });
    }
    let (cache, failure) = Disk::new(File::open(path).map_err(failed)?, size);
    let left = Cell::new(BUDGET);
    let report = read_source(Source::disk(&cache, size, &left));
    match (report, failure.take()) {
        // What the headers seem to say after a failed read is not worth telling.
        (Err(_), Some(reason)) => Err(PreflightError::Unreadable { reason }),
        (report, _) => report,
    }
}

/// As [`read_file`], for bytes that are in memory already.
///
/// # Errors
/// As [`read_file`].
pub fn read(bytes: &[u8]) -> Result<FileReport, PreflightError> {
    let left = Cell::new(BUDGET);
    read_source(Source::memory(bytes, &left))
}

/// Reads a handshake record that a process of this machine has sent of itself.
///
/// # Errors
/// It is none.
pub fn read_record(bytes: &[u8]) -> Result<Handshake, PreflightError> {
    let little_endian = cfg!(target_endian = "little");
    record::read(bytes, little_endian, record::Place::Symbol)
}

fn read_source(source: Source<'_>) -> Result<FileReport, PreflightError> {
    let result = dispatch(source);
    match result {
        Err(PreflightError::Damaged { .. }) if source.is_exhausted() => {
            Err(damaged("its tables are larger than any plugin's"))
        }
        result => result,
    }
}

fn dispatch(source: Source<'_>) -> Result<FileReport, PreflightError> {
    let size = source.size();
    let image = match source.head(8) {
        [] => return Err(PreflightError::Empty),
        [0x7f, b'E', b'L', b'F', ..] => Some(elf::read(source)?),
        [b'M', b'Z', ..] => pe::read(source)?,
        [0xcf, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xcf, ..] => {
            Some(mach_o::read(source, true)?)
        }
        [0xce, 0xfa, 0xed, 0xfe, ..] | [0xfe, 0xed, 0xfa, 0xce, ..] => {
            Some(mach_o::read(source, false)?)
        }
        // Java's class files start alike; there the next number is at least 45, here no more than a few.
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, 0, 0, 0, parts] if *parts < 45 => {
            return Ok(plain(FileKind::Universal, size));
        }
        b"!<arch>\n" | b"!<thin>\n" => {
            return Ok(plain(
                FileKind::Object {
                    what: "a static library".into(),
                },
                size,
            ));
        }
        _ => None,
    };
    Ok(match image {
        Some(image) => report(image, size),
        None => plain(
            FileKind::Other {
                starts: start_of(source.head(64)),
            },
            size,
        ),
    })
}

/// The report on a file that is no image, or holds several.
fn plain(kind: FileKind, size: u64) -> FileReport {
    FileReport {
        kind,
        size,
        image: None,
    }
}

fn report(image: Image, size: u64) -> FileReport {
    FileReport {
        kind: match (image.shape, image.handshake) {
            (Shape::Library, Some(handshake)) => FileKind::Plugin { handshake },
            (Shape::Library, None) => FileKind::Library,
            (Shape::Executable, Some(handshake)) => FileKind::NodeExecutable { handshake },
            (Shape::Executable, None) => FileKind::Executable,
            (Shape::Object(what), _) => FileKind::Object { what: what.into() },
        },
        size,
        image: Some(ImageReport {
            format: image.format,
            platform: image.platform,
            links: image.links,
            built_by: image.compiler,
            not_exported: image.not_exported,
        }),
    }
}

/// The beginning of the first line, escaped: 24 characters of a text, 16 bytes of anything else.
fn start_of(head: &[u8]) -> String {
    let line = head
        .split(|byte| matches!(byte, b'\n' | b'\r'))
        .next()
        .unwrap_or(&[]);
    // A character that the end of the head cuts in two does not make it less of a text.
    let text = match std::str::from_utf8(line) {
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(line.get(..error.valid_up_to()).unwrap_or(&[]))
        }
        text => text,
    };
    let start = match text {
        Ok(text) if !text.contains(|c: char| c.is_control() && c != '\t') => {
            let start: String = text.chars().take(24).collect();
            start.replace('\t', " ")
        }
        _ => {
            let bytes = line.get(..16).unwrap_or(line);
            let end = bytes.iter().rposition(|byte| *byte != 0);
            let bytes = end.and_then(|end| bytes.get(..=end)).unwrap_or(bytes);
            bytes.escape_ascii().to_string()
        }
    };
    start.replace('"', "'")
}

fn from_io(path: &Path, error: &io::Error) -> PreflightError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => PreflightError::NotFound {
            tried: vec![path.to_owned()],
            built: None,
        },
        io::ErrorKind::PermissionDenied => PreflightError::NoPermission,
        _ => PreflightError::Unreadable {
            reason: error.to_string(),
        },
    }
}
