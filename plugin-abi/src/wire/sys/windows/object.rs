//! Sections: memory that vanishes with its last handle and view.

use super::{owned, raw, secret, wide};
use crate::wire::sys::Mapping;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::ptr::{NonNull, null};
use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, GetLastError, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
};

/// Nothing: here objects have names.
#[derive(Debug, Default)]
pub struct Handles(());

impl Handles {
    /// Maps the object of this name.
    ///
    /// # Errors
    /// There is none, it is shorter than `len`, or the system's.
    pub fn map(&mut self, name: u128, len: usize, writable: bool) -> io::Result<Mapping> {
        let access = if writable {
            FILE_MAP_READ | FILE_MAP_WRITE
        } else {
            FILE_MAP_READ
        };
        let name = section(name);
        // SAFETY: the name ends with a zero.
        let object = owned(unsafe { OpenFileMappingW(access, 0, name.as_ptr()) })?;
        view(&object, len, access)
    }
}

fn section(name: u128) -> Vec<u16> {
    wide(&format!(r"Local\dora-{name:032x}"))
}

/// Memory to be mapped by several processes. It is there as long as somebody has it open or mapped.
#[derive(Debug)]
pub struct Object {
    name: u128,
    _section: OwnedHandle,
}

impl Object {
    /// An object of zeros, and its memory for writing. Readers map it as they like: the name is the right to do so.
    ///
    /// # Errors
    /// The system's.
    pub fn new(len: usize, _writable: bool) -> io::Result<(Self, Mapping)> {
        let name = secret();
        let text = section(name);
        let (high, low) = ((len as u64 >> 32) as u32, len as u32);
        // SAFETY: the name ends with a zero; the error is read right after the call.
        let (made, exists) = unsafe {
            let file = INVALID_HANDLE_VALUE;
            let made = CreateFileMappingW(file, null(), PAGE_READWRITE, high, low, text.as_ptr());
            (made, GetLastError() == ERROR_ALREADY_EXISTS)
        };
        let section = owned(made)?;
        if exists {
            return Err(io::Error::other("somebody else has this name"));
        }
        let mapping = view(&section, len, FILE_MAP_READ | FILE_MAP_WRITE)?;
        Ok((
            Self {
                name,
                _section: section,
            },
            mapping,
        ))
    }

    /// What a frame calls it by.
    pub fn name(&self) -> u128 {
        self.name
    }
}

fn view(section: &OwnedHandle, len: usize, access: u32) -> io::Result<Mapping> {
    // SAFETY: a new view at a place that the system chooses; it fails when the section is shorter.
    let start = unsafe { MapViewOfFile(raw(section), access, 0, 0, len) };
    match NonNull::new(start.Value.cast()) {
        Some(start) => Ok(Mapping { start, len }),
        None => Err(io::Error::last_os_error()),
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let start = MEMORY_MAPPED_VIEW_ADDRESS {
            Value: self.start.as_ptr().cast::<c_void>(),
        };
        // SAFETY: mapped, and nobody reads it any more.
        unsafe { UnmapViewOfFile(start) };
    }
}
