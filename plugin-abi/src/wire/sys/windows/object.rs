//! What goes to another process: sections, which are memory that vanishes with its last handle and view, and ends of
//! connections, which the other process takes out of this one.

use super::{Stream, lock, owned, raw, secret, wide};
use crate::wire::sys::Mapping;
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{IntoRawHandle, OwnedHandle};
use std::process::Stdio;
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Mutex, PoisonError};
use windows_sys::Win32::Foundation::{
    DUPLICATE_CLOSE_SOURCE, DUPLICATE_SAME_ACCESS, DuplicateHandle, ERROR_ALREADY_EXISTS,
    GetLastError, HANDLE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile,
    OpenFileMappingW, PAGE_READWRITE, UnmapViewOfFile,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcess, PROCESS_DUP_HANDLE};

/// Nothing: here objects have names.
#[derive(Debug, Default)]
pub struct Handles(());

impl Handles {
    /// The connection of this name: takes it out of the process that sends it.
    ///
    /// # Errors
    /// It is not there, or the system's.
    pub fn stream(&mut self, name: u128) -> io::Result<Stream> {
        let (process, handle) = ((name >> 64) as u32, name as u64);
        // SAFETY: a process that is asked for by its number.
        let process = owned(unsafe { OpenProcess(PROCESS_DUP_HANDLE, 0, process) })?;
        let mut taken = null_mut();
        // SAFETY: the handle is closed there and made here; one that is none is refused.
        let done = unsafe {
            DuplicateHandle(
                raw(&process),
                handle as usize as HANDLE,
                GetCurrentProcess(),
                &mut taken,
                0,
                0,
                DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS,
            )
        };
        match done {
            0 => Err(io::Error::last_os_error()),
            _ => Stream::new(owned(taken)?, false),
        }
    }

    /// Maps the object of this name, which can be given to others then.
    ///
    /// # Errors
    /// There is none, it is shorter than `len`, or the system's.
    pub fn map(&mut self, name: u128, len: usize, writable: bool) -> io::Result<(Object, Mapping)> {
        let access = if writable {
            FILE_MAP_READ | FILE_MAP_WRITE
        } else {
            FILE_MAP_READ
        };
        let text = section(name);
        // SAFETY: the name ends with a zero.
        let section = owned(unsafe { OpenFileMappingW(access, 0, text.as_ptr()) })?;
        let mapping = view(&section, len, access, None)?;
        // The name stays as long as somebody has a handle, also when its maker is gone.
        let object = Object(Kind::Section {
            name,
            _section: section,
        });
        Ok((object, mapping))
    }
}

fn section(name: u128) -> Vec<u16> {
    wide(&format!(r"Local\dora-{name:032x}"))
}

/// Memory to be mapped by several processes, or a connection for another one. Memory is there as long as somebody has it
/// open or mapped.
#[derive(Debug)]
pub struct Object(Kind);

#[derive(Debug)]
enum Kind {
    Section {
        name: u128,
        _section: OwnedHandle,
    },
    /// `None` once it has a name: from then on it is the other process's, which closes it here when it takes it.
    Connection(Mutex<Option<OwnedHandle>>),
}

impl Object {
    pub(super) fn connection(end: OwnedHandle) -> Self {
        Self(Kind::Connection(Mutex::new(Some(end))))
    }

    /// A connection as a child's standard input.
    ///
    /// # Errors
    /// It is memory, or has gone to another process.
    pub fn into_stdin(self) -> io::Result<Stdio> {
        let end = match self.0 {
            Kind::Connection(end) => end.into_inner().unwrap_or_else(PoisonError::into_inner),
            Kind::Section { .. } => None,
        };
        let end = end.ok_or_else(|| io::Error::other("no connection is left to be given away"))?;
        Ok(Stdio::from(end))
    }

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
        let also = section.try_clone()?;
        let mapping = view(&section, len, FILE_MAP_READ | FILE_MAP_WRITE, Some(also))?;
        let object = Kind::Section {
            name,
            _section: section,
        };
        Ok((Self(object), mapping))
    }

    /// Whether only who has made it can write it, as far as the system knows how to see to that: here a reader's view is
    /// for reading, and the name is the right to make another one.
    pub fn is_for_reading(&self) -> bool {
        true
    }

    /// What a frame calls it by. A connection goes away with it: a second time it has none.
    pub fn name(&self) -> u128 {
        match &self.0 {
            Kind::Section { name, .. } => *name,
            Kind::Connection(end) => match lock(end).take() {
                Some(end) => {
                    u128::from(std::process::id()) << 64 | end.into_raw_handle() as usize as u128
                }
                None => 0,
            },
        }
    }
}

fn view(
    section: &OwnedHandle,
    len: usize,
    access: u32,
    kept: Option<OwnedHandle>,
) -> io::Result<Mapping> {
    // SAFETY: a new view at a place that the system chooses; it fails when the section is shorter.
    let start = unsafe { MapViewOfFile(raw(section), access, 0, 0, len) };
    match NonNull::new(start.Value.cast()) {
        Some(start) => Ok(Mapping {
            start,
            len,
            _section: kept,
        }),
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
