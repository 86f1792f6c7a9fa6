//! Standard output of this process, led into a pipe: what libraries of other people print is printed to the process, not to
//! anything that could be handed to them.
//!
//! Absent: who reads the pipe. Somebody must, or whoever prints waits.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Write};

/// The two ends of the pipe that standard output leads to from now on, and what it was before.
#[derive(Debug)]
pub struct Redirected {
    /// Standard output as it was: a terminal, a file, a pipe.
    pub original: File,
    /// What is printed comes out here.
    pub reader: PipeReader,
    /// Another way in.
    pub writer: PipeWriter,
}

/// Leads standard output into a pipe, for all threads and for as long as the process lives. Children that are started with
/// an inherited standard output have the pipe too.
///
/// # Errors
/// There is no standard output, or no pipe to be had; everything is as before then.
pub fn stdout() -> io::Result<Redirected> {
    let mut before = io::stdout().lock();
    before.flush()?;
    let (reader, writer) = io::pipe()?;
    let original = system::replace(&before, &writer)?;
    Ok(Redirected {
        original,
        reader,
        writer,
    })
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io::{self, PipeWriter, StdoutLock};
    use std::os::fd::AsFd;

    pub fn replace(stdout: &StdoutLock<'_>, writer: &PipeWriter) -> io::Result<File> {
        let original = stdout.as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(writer)?;
        Ok(original.into())
    }
}

#[cfg(windows)]
mod system {
    use std::fs::File;
    use std::io::{self, PipeWriter, StdoutLock};
    use std::os::windows::io::{AsHandle, IntoRawHandle, OwnedHandle};
    use windows_sys::Win32::System::Console::{STD_OUTPUT_HANDLE, SetStdHandle};

    pub fn replace(stdout: &StdoutLock<'_>, writer: &PipeWriter) -> io::Result<File> {
        let original = stdout.as_handle().try_clone_to_owned()?;
        // The process owns it from now on: it is never closed.
        let handle = OwnedHandle::from(writer.try_clone()?).into_raw_handle();
        // SAFETY: an open handle that stays so.
        match unsafe { SetStdHandle(STD_OUTPUT_HANDLE, handle) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(original.into()),
        }
    }
}
