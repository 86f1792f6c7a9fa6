//! A family is a job.

use crate::sys::job::Job;
use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use windows_sys::Win32::Foundation::{HANDLE, WAIT_FAILED};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_PROCESS_GROUP, CREATE_SUSPENDED, GetProcessId, INFINITE, WaitForSingleObject,
};

#[derive(Debug)]
pub(super) struct Group {
    job: Job,
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
        let job = Job::new()?;
        job.take(first.as_raw_handle())?;
        // SAFETY: a valid handle.
        match unsafe { NtResumeProcess(first.as_raw_handle()) } {
            0.. => Ok(Self { job, first }),
            status => Err(io::Error::other(format!(
                "it does not begin (NTSTATUS {status:#010x})"
            ))),
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
        self.job.kill();
    }
}
