//! A job object: it kills what is in it when its last handle is closed, also by the death of this process.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};

/// A job. Its only handle is here.
#[derive(Debug)]
pub struct Job(OwnedHandle);

impl Job {
    /// A job with nothing in it.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no attributes and no name.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new handle that nobody else owns.
        let job = Self(unsafe { OwnedHandle::from_raw_handle(job) });
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: a valid handle; the limits are borrowed for the call, with their own size.
        let limited = unsafe {
            SetInformationJobObject(
                job.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
            )
        };
        match limited {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(job),
        }
    }

    /// Puts a process in, and with it all that it starts from now on. The handle is valid as long as the call takes.
    ///
    /// # Errors
    /// The system's.
    pub fn take(&self, process: HANDLE) -> io::Result<()> {
        // SAFETY: a valid job; of what is no process the system says so.
        match unsafe { AssignProcessToJobObject(self.0.as_raw_handle(), process) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Ends all that is in it.
    pub fn kill(&self) {
        // SAFETY: a valid handle. The only failure is that nothing is left to end.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) };
    }
}
