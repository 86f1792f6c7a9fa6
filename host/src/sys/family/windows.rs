//! A job object: it kills what is in it when its last handle is closed, also by the death of this process.

use std::io;
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use std::ptr;
use windows_sys::Win32::Foundation::{HANDLE, WAIT_FAILED};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_SUSPENDED, GetProcessId, INFINITE, WaitForSingleObject,
};

#[derive(Debug)]
pub(super) struct Group {
    job: OwnedHandle,
    /// A second handle to the first process: the child's own is behind a lock.
    first: OwnedHandle,
}

// The toolhelp functions do the same with a list of all threads of the system.
#[link(name = "ntdll")]
unsafe extern "system" {
    fn NtResumeProcess(process: HANDLE) -> i32;
}

/// It begins when it is in its job.
pub(super) fn prepare(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED);
}

impl Group {
    /// The child has not begun, so that nothing that it starts escapes the job.
    pub fn of(child: &Child) -> io::Result<Self> {
        use std::os::windows::io::AsHandle;
        let first = child.as_handle().try_clone_to_owned()?;
        // SAFETY: no attributes and no name.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new handle that nobody else owns.
        let job = unsafe { OwnedHandle::from_raw_handle(job) };
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: valid handles; the limits are borrowed for the call, with their own size.
        let done = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32,
            ) != 0
                && AssignProcessToJobObject(job.as_raw_handle(), first.as_raw_handle()) != 0
                && NtResumeProcess(first.as_raw_handle()) >= 0
        };
        if done {
            Ok(Self { job, first })
        } else {
            Err(io::Error::last_os_error())
        }
    }

    pub fn wait(&self) -> io::Result<()> {
        // SAFETY: a valid handle.
        match unsafe { WaitForSingleObject(self.first.as_raw_handle(), INFINITE) } {
            WAIT_FAILED => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// A process without a window cannot be asked.
    pub fn ask_to_end(&self) {
        self.kill();
    }

    /// Ctrl-Break, for programs that share this process's console: the group's number is that of its first process.
    pub fn ask_only(&self) {
        // SAFETY: a valid handle.
        let id = unsafe { GetProcessId(self.first.as_raw_handle()) };
        // SAFETY: takes any number. Where there is no console nobody is asked.
        unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, id) };
    }

    pub fn kill(&self) {
        // SAFETY: a valid handle. The only failure is that nothing is left to end.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
    }
}
