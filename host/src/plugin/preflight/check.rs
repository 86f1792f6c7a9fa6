//! Decides whether what a file says of itself fits here. Pure: it opens nothing.
//!
//! Invariant: the checks go from what every version has in common to what only one has, so that nothing is compared
//! whose meaning an earlier check has not settled.
//! Absent: libraries that the plugin needs (`dependencies`).

use super::error::LayoutDifference;
use super::machine::{Machine, Platform, Triple};
use super::record::{Details, Handshake, Language, text};
use super::{FileKind, FileReport, ImageReport, PreflightError};
use plugin_abi::handshake::{ABI, ABI_STABLE, FIELDS, LAYOUT, MESSAGE_FORMAT, TypeLayout};

/// What a plugin shares its process with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The daemon, or other nodes: a panic must unwind.
    Shared,
    /// Nothing: an abort ends only its own node.
    Own,
}

/// Decides whether the file can be loaded as a plugin on `machine`. In this order: kind of file, processor and
/// system, pointer width, message format, ABI, the rest of the record, panics, layout, exports, C library.
///
/// # Errors
/// The first thing that does not fit.
pub fn check(
    report: &FileReport,
    machine: &Machine,
    isolation: Isolation,
) -> Result<(), PreflightError> {
    let (handshake, image) = plugin(report)?;
    same_platform(&image.platform, machine)?;
    versions(handshake, image.built_by.as_deref())?;
    let details = details(handshake)?;
    same_target(details, machine)?;
    if !handshake.unwind && isolation == Isolation::Shared {
        return Err(PreflightError::PanicAbort);
    }
    same_abi_stable(details)?;
    same_layout(&details.layout)?;
    if let Some(symbol) = image.not_exported.first() {
        return Err(PreflightError::NotExported {
            symbol: symbol.clone(),
        });
    }
    new_enough_system(image, machine)
}

/// Decides whether an executable with a handshake record can take part in a dataflow here: what it speaks, not how its
/// types are laid out, as it shares no memory with this process. `None`: the file is none.
pub fn check_executable(
    report: &FileReport,
    machine: &Machine,
) -> Option<Result<(), PreflightError>> {
    let FileKind::NodeExecutable { handshake } = &report.kind else {
        return None;
    };
    let image = report.image.as_ref()?;
    let checked = same_platform(&image.platform, machine)
        .and_then(|()| versions(handshake, image.built_by.as_deref()))
        .and_then(|()| details(handshake).map(drop))
        .and_then(|()| new_enough_system(image, machine));
    Some(checked)
}

/// The handshake and the headers of a plugin; any other kind of file is refused by its name.
fn plugin(report: &FileReport) -> Result<(&Handshake, &ImageReport), PreflightError> {
    let handshake = match &report.kind {
        FileKind::Plugin { handshake } => handshake,
        FileKind::Library => return Err(PreflightError::NoRecord),
        FileKind::NodeExecutable { .. } => return Err(PreflightError::NodeExecutable),
        FileKind::Executable => return Err(PreflightError::Executable),
        FileKind::Universal => return Err(PreflightError::Universal),
        FileKind::Object { what } => {
            return Err(PreflightError::ObjectFile { what: what.clone() });
        }
        FileKind::Other { starts } => {
            return Err(PreflightError::NotALibrary {
                starts: starts.clone(),
            });
        }
    };
    match &report.image {
        Some(image) => Ok((handshake, image)),
        None => Err(PreflightError::NoRecord),
    }
}

fn same_platform(built_for: &Platform, machine: &Machine) -> Result<(), PreflightError> {
    let here = &machine.platform;
    if (&built_for.arch, &built_for.os) != (&here.arch, &here.os) {
        return Err(PreflightError::WrongMachine {
            built_for: built_for.to_string(),
            here: here.to_string(),
        });
    }
    same_width(built_for.pointer_width, machine)
}

fn same_width(built_for: u16, machine: &Machine) -> Result<(), PreflightError> {
    let here = machine.platform.pointer_width;
    if built_for != here {
        return Err(PreflightError::WrongPointerWidth { built_for, here });
    }
    Ok(())
}

/// Whether the versions fit. The message format first: it is what a user knows of, and a plugin that is too old has both versions wrong.
///
/// # Errors
/// The version that does not fit.
pub fn versions(handshake: &Handshake, compiler: Option<&str>) -> Result<(), PreflightError> {
    if !handshake.message_format.fits(MESSAGE_FORMAT) {
        return Err(PreflightError::MessageFormat {
            found: handshake.message_format,
            expected: MESSAGE_FORMAT,
        });
    }
    if !handshake.abi.fits(ABI) {
        return Err(PreflightError::Abi {
            found: handshake.abi,
            expected: ABI,
            compiler: compiler.map(str::to_owned),
        });
    }
    Ok(())
}

fn details(handshake: &Handshake) -> Result<&Details, PreflightError> {
    handshake
        .details
        .as_ref()
        .ok_or_else(|| PreflightError::DamagedRecord {
            what: handshake
                .damage
                .clone()
                .unwrap_or_else(|| "it ends behind its versions".into()),
        })
}

/// The record's own words about the target: they tell what the headers cannot, such as the C library.
fn same_target(details: &Details, machine: &Machine) -> Result<(), PreflightError> {
    same_width(details.pointer_width, machine)?;
    // A C plugin need not know its triple.
    if details.target.is_empty() {
        return Ok(());
    }
    let Some(target) = Triple::parse(&details.target) else {
        return Err(PreflightError::DamagedRecord {
            what: format!("`{}` is no target", details.target),
        });
    };
    let here = &machine.platform;
    let same = (target.arch, target.os) == (here.arch.as_str(), here.os.as_str());
    // Libraries for Windows meet at the system's own interfaces, whatever C library each brought along.
    let same_libc = here.os != "Linux" || target.libc == machine.libc;
    if same && same_libc {
        return Ok(());
    }
    let with = |libc: &str| match libc {
        _ if !same || libc.is_empty() => String::new(),
        libc => format!(" ({libc})"),
    };
    Err(PreflightError::WrongMachine {
        built_for: format!("{} {}{}", target.arch, target.os, with(target.libc)),
        here: format!("{here}{}", with(&machine.libc)),
    })
}

/// Only Rust plugins have a layout that abi_stable can compare; below 1.0 it breaks with each minor version.
fn same_abi_stable(details: &Details) -> Result<(), PreflightError> {
    let minor = |version: &str| -> Option<(u32, u32)> {
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    if details.language == Language::Rust && minor(&details.abi_stable) != minor(ABI_STABLE) {
        return Err(PreflightError::AbiStable {
            found: details.abi_stable.clone(),
            expected: ABI_STABLE.into(),
        });
    }
    Ok(())
}

fn same_layout(found: &[TypeLayout]) -> Result<(), PreflightError> {
    for (index, (here, (type_name, fields))) in LAYOUT.iter().zip(FIELDS).enumerate() {
        match found.get(index) {
            Some(found) if found.name == here.name => same_type(found, here, type_name, fields)?,
            _ => {
                return Err(PreflightError::LayoutList {
                    type_name: type_name.into(),
                });
            }
        }
    }
    match found.get(LAYOUT.len()) {
        Some(more) => Err(PreflightError::LayoutList {
            type_name: text(&more.name, "name").unwrap_or_default(),
        }),
        None => Ok(()),
    }
}

/// Fields before size: a field that moved is what made the size differ.
fn same_type(
    found: &TypeLayout,
    here: &TypeLayout,
    type_name: &str,
    fields: &[&str],
) -> Result<(), PreflightError> {
    let offsets = found.offsets.iter().zip(&here.offsets).zip(fields);
    let moved = offsets
        .take(found.fields.min(here.fields).into())
        .find(|((found, here), _)| found != here);
    let difference = if let Some((_, field)) = moved {
        LayoutDifference::Field((*field).into())
    } else if found.fields != here.fields {
        LayoutDifference::Fields {
            found: found.fields,
            here: here.fields,
        }
    } else if found.size != here.size {
        LayoutDifference::Size {
            found: found.size,
            here: here.size,
        }
    } else if found.align != here.align {
        LayoutDifference::Align {
            found: found.align,
            here: here.align,
        }
    } else {
        return Ok(());
    };
    Err(PreflightError::Layout {
        type_name: type_name.into(),
        difference,
    })
}

fn new_enough_system(image: &ImageReport, machine: &Machine) -> Result<(), PreflightError> {
    match (&image.links.glibc, machine.glibc) {
        (Some(need), Some(here)) if need.version > here => Err(PreflightError::NewerSystem {
            needs: need.name.clone(),
            symbol: need.symbol.clone(),
            here: here.to_string(),
        }),
        _ => Ok(()),
    }
}
