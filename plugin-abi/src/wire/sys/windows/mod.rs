//! Windows: a named pipe with one end each, and memory that is found by a name nobody can guess.
//!
//! A duplex pipe, because it can be a standard input, which a socket cannot be for a child that knows nothing of it. It is
//! opened at once and takes no second client, so nobody else can connect. Reading and writing are overlapped: on a plain
//! handle a thread that reads would keep another one from writing. A section vanishes with its last handle.

mod object;

pub use object::{Handles, Object};

use super::{PATIENCE, Wait};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_IO_PENDING, ERROR_PIPE_NOT_CONNECTED, GENERIC_READ, GENERIC_WRITE,
    GetLastError, HANDLE, HANDLE_FLAG_INHERIT, INVALID_HANDLE_VALUE, SetHandleInformation,
    WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, FILE_TYPE_PIPE, GetFileType,
    OPEN_EXISTING, PIPE_ACCESS_DUPLEX, ReadFile, WriteFile,
};
use windows_sys::Win32::System::Console::{GetStdHandle, STD_INPUT_HANDLE, SetStdHandle};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, DisconnectNamedPipe, PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS,
    PIPE_TYPE_BYTE, PIPE_WAIT, PeekNamedPipe,
};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, SetEvent, WaitForMultipleObjects, WaitForSingleObject,
};

/// Bytes that the pipe holds each way.
const BUFFER: u32 = 64 * 1024;
/// How long what is being written may take when a connection is dropped.
const LAST: u32 = 1000;

/// One end of a connection. One thread reads and one writes at a time.
#[derive(Debug)]
pub struct Stream {
    pipe: OwnedHandle,
    /// The end that made the pipe, which alone can take it from the other.
    is_maker: bool,
    /// Set when reading is to end.
    ended: OwnedHandle,
    read: OwnedHandle,
    written: OwnedHandle,
    writing: Mutex<Option<Box<Writing>>>,
}

/// A write that the system has not finished. It must not be cancelled: how much of it the other end has got by then is not
/// told. So its bytes stay here, and the next write waits for it.
struct Writing {
    overlapped: OVERLAPPED,
    bytes: Vec<u8>,
}

// SAFETY: the structure is the system's until the operation is over, whatever thread looks.
unsafe impl Send for Writing {}

impl std::fmt::Debug for Writing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writing")
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// A number that cannot be guessed.
fn secret() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

fn raw(handle: &OwnedHandle) -> HANDLE {
    handle.as_raw_handle()
}

fn owned(handle: HANDLE) -> io::Result<OwnedHandle> {
    if handle.is_null() || handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn event() -> io::Result<OwnedHandle> {
    // SAFETY: a new event without a name, reset by hand.
    owned(unsafe { CreateEventW(null(), 1, 0, null()) })
}

fn overlapped(event: &OwnedHandle) -> OVERLAPPED {
    OVERLAPPED {
        hEvent: raw(event),
        ..OVERLAPPED::default()
    }
}

impl Stream {
    fn new(pipe: OwnedHandle, is_maker: bool) -> io::Result<Self> {
        Ok(Self {
            pipe,
            is_maker,
            ended: event()?,
            read: event()?,
            written: event()?,
            writing: Mutex::default(),
        })
    }

    fn ends() -> io::Result<(OwnedHandle, OwnedHandle)> {
        let name = wide(&format!(r"\\.\pipe\dora-{:032x}", secret()));
        let open = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE;
        let mode = PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS;
        // SAFETY: the name ends with a zero.
        let here =
            unsafe { CreateNamedPipeW(name.as_ptr(), open, mode, 1, BUFFER, BUFFER, 0, null()) };
        let here = owned(here)?;
        let access = GENERIC_READ | GENERIC_WRITE;
        // SAFETY: as above.
        let there = unsafe {
            CreateFileW(
                name.as_ptr(),
                access,
                0,
                null(),
                OPEN_EXISTING,
                FILE_FLAG_OVERLAPPED,
                null_mut(),
            )
        };
        Ok((here, owned(there)?))
    }

    /// A connection: this end, and one for another process, as its standard input or over a connection that there is
    /// already.
    ///
    /// # Errors
    /// The system's.
    pub fn pair() -> io::Result<(Self, Object)> {
        let (here, there) = Self::ends()?;
        Ok((Self::new(here, true)?, Object::connection(there)))
    }

    /// Both ends in this process.
    ///
    /// # Errors
    /// The system's.
    pub fn local_pair() -> io::Result<(Self, Self)> {
        let (here, there) = Self::ends()?;
        Ok((Self::new(here, true)?, Self::new(there, false)?))
    }

    /// The standard input, if `is_ours` says so of the first bytes that wait in it. The process then reads nothing from
    /// its standard input any more. Waits for nothing, and leaves any other input as it is.
    pub fn take_stdin(is_ours: impl FnOnce(&[u8]) -> bool) -> Option<Self> {
        let mut first = [0_u8; 64];
        let mut length = 0;
        // SAFETY: the buffer has so many bytes; a handle that is no pipe is refused.
        let stdin = unsafe {
            let stdin = GetStdHandle(STD_INPUT_HANDLE);
            let is_pipe = !stdin.is_null() && GetFileType(stdin) == FILE_TYPE_PIPE;
            let room = first.as_mut_ptr().cast();
            if !is_pipe || PeekNamedPipe(stdin, room, 64, &mut length, null_mut(), null_mut()) == 0
            {
                return None;
            }
            stdin
        };
        if !is_ours(first.get(..length as usize)?) {
            return None;
        }
        let nothing = wide("NUL");
        // SAFETY: the name ends with a zero. What the node starts does not inherit the connection; the standard input is
        // replaced before anybody reads it, so its handle is this stream's alone.
        unsafe {
            let nothing = CreateFileW(
                nothing.as_ptr(),
                GENERIC_READ,
                0,
                null(),
                OPEN_EXISTING,
                0,
                null_mut(),
            );
            if nothing == INVALID_HANDLE_VALUE || SetStdHandle(STD_INPUT_HANDLE, nothing) == 0 {
                return None;
            }
            SetHandleInformation(stdin, HANDLE_FLAG_INHERIT, 0);
            Self::new(OwnedHandle::from_raw_handle(stdin), false).ok()
        }
    }

    /// Bytes that can be read at once; `None` at the end.
    fn waiting(&self) -> io::Result<Option<u32>> {
        let mut available = 0;
        // SAFETY: nothing is read; one number is written.
        let peeked = unsafe {
            PeekNamedPipe(
                raw(&self.pipe),
                null_mut(),
                0,
                null_mut(),
                &mut available,
                null_mut(),
            )
        };
        match peeked {
            0 => at_end(io::Error::last_os_error()).map(|_| None),
            _ => Ok(Some(available)),
        }
    }

    /// Nothing: who waits in [`Stream::read`] is woken by what comes, and by nothing else.
    ///
    /// # Errors
    /// None.
    pub fn wait_undisturbed(&self) -> io::Result<()> {
        Ok(())
    }

    /// Reads some bytes; none at all when the connection has ended.
    ///
    /// # Errors
    /// `WouldBlock` as `wait` says; the system's.
    pub fn read(&self, room: &mut [u8], _: &mut Handles, wait: Wait) -> io::Result<usize> {
        // Before the look at what has come: what comes before an interruption is read.
        // SAFETY: an event of this value's.
        let ended = unsafe { WaitForSingleObject(raw(&self.ended), 0) } == WAIT_OBJECT_0;
        let Some(available) = self.waiting()? else {
            return Ok(0);
        };
        if available == 0 {
            match wait {
                _ if ended => return Ok(0),
                Wait::Not => return Err(io::ErrorKind::WouldBlock.into()),
                Wait::AWhile | Wait::Long => {}
            }
        }
        let mut operation = overlapped(&self.read);
        let length = u32::try_from(room.len()).unwrap_or(u32::MAX);
        // SAFETY: room and operation live until the operation is over, which is waited for below.
        let started = unsafe {
            ReadFile(
                raw(&self.pipe),
                room.as_mut_ptr(),
                length,
                null_mut(),
                &mut operation,
            )
        };
        if started == 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(ERROR_IO_PENDING as i32) {
                return at_end(error);
            }
            let events = [raw(&self.read), raw(&self.ended)];
            let patience = match wait {
                Wait::Long => INFINITE,
                _ => PATIENCE.as_millis() as u32,
            };
            // SAFETY: two events; then the operation is over or has been cancelled, which loses nothing: bytes that it
            // got before are told below.
            unsafe {
                if WaitForMultipleObjects(2, events.as_ptr(), 0, patience) != WAIT_OBJECT_0 {
                    CancelIoEx(raw(&self.pipe), &operation);
                }
            }
        }
        match result(&self.pipe, &operation) {
            Ok(length) => Ok(length),
            Err(error) if error.raw_os_error() == Some(ABORTED) => match wait {
                Wait::Long => Ok(0),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            },
            Err(error) => at_end(error),
        }
    }

    /// Takes some bytes to be written.
    ///
    /// # Errors
    /// `WouldBlock` as `wait` says; the system's.
    pub fn write(&self, bytes: &[u8], _: Option<&Object>, wait: Wait) -> io::Result<usize> {
        let mut writing = lock(&self.writing);
        let patience = match wait {
            Wait::Not => 0,
            Wait::AWhile => PATIENCE.as_millis() as u32,
            Wait::Long => INFINITE,
        };
        self.finish(&mut writing, patience)?;
        let length = bytes.len().min(BUFFER as usize);
        let mut next = Box::new(Writing {
            overlapped: overlapped(&self.written),
            bytes: bytes.get(..length).unwrap_or_default().to_vec(),
        });
        // SAFETY: bytes and operation stay in their box until the operation is over: see `finish`.
        let started = unsafe {
            WriteFile(
                raw(&self.pipe),
                next.bytes.as_ptr(),
                length as u32,
                null_mut(),
                &mut next.overlapped,
            )
        };
        // SAFETY: right after the call.
        if started == 0 && unsafe { GetLastError() } != ERROR_IO_PENDING {
            return Err(broken(io::Error::last_os_error()));
        }
        *writing = Some(next);
        match self.finish(&mut writing, patience) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            // The system has the bytes, sooner or later the other end, too.
            _ => Ok(length),
        }
    }

    /// Waits until what is being written has been.
    fn finish(&self, writing: &mut Option<Box<Writing>>, patience: u32) -> io::Result<()> {
        if writing.is_none() {
            return Ok(());
        }
        // SAFETY: an event of this value's.
        if unsafe { WaitForSingleObject(raw(&self.written), patience) } != WAIT_OBJECT_0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match writing.take() {
            Some(done) => result(&self.pipe, &done.overlapped)
                .map(drop)
                .map_err(broken),
            None => Ok(()),
        }
    }

    /// Ends the reading of this end: a thread that waits in [`Stream::read`] returns, at the end of what has come. Writing
    /// goes on.
    pub fn interrupt(&self) {
        // SAFETY: an event of this value's.
        unsafe { SetEvent(raw(&self.ended)) };
    }

    /// Ends the connection for both ends; what waits in it may be lost. The end that has not made it leaves that to its
    /// process's end.
    pub fn close(&self) {
        self.interrupt();
        if self.is_maker {
            // SAFETY: a pipe that this end has made.
            unsafe { DisconnectNamedPipe(raw(&self.pipe)) };
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut writing = lock(&self.writing);
        if self.finish(&mut writing, LAST).is_err()
            && let Some(left) = writing.take()
        {
            // SAFETY: the system must not touch the box any more when it is dropped.
            unsafe { CancelIoEx(raw(&self.pipe), &left.overlapped) };
            let _ = result(&self.pipe, &left.overlapped);
        }
    }
}

/// The code of an operation that was cancelled.
const ABORTED: i32 = windows_sys::Win32::Foundation::ERROR_OPERATION_ABORTED as i32;

/// Waits for an operation that is over or about to be, and says how many bytes it has moved.
fn result(pipe: &OwnedHandle, operation: &OVERLAPPED) -> io::Result<usize> {
    let mut length = 0;
    // SAFETY: the operation was started on this pipe.
    match unsafe { GetOverlappedResult(raw(pipe), operation, &mut length, 1) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(length as usize),
    }
}

fn is_gone(error: &io::Error) -> bool {
    let gone = [ERROR_BROKEN_PIPE, ERROR_PIPE_NOT_CONNECTED].map(|code| Some(code as i32));
    gone.contains(&error.raw_os_error())
}

/// No bytes when the other end is gone.
fn at_end(error: io::Error) -> io::Result<usize> {
    if is_gone(&error) { Ok(0) } else { Err(error) }
}

fn broken(error: io::Error) -> io::Error {
    match is_gone(&error) {
        true => io::ErrorKind::BrokenPipe.into(),
        false => error,
    }
}
