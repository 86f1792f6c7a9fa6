//! A process that goes on when this one, its terminal and its console have ended.
//!
//! Absent: what it writes where; the caller gives it files, as nobody reads its standard streams.

use std::io;
use std::process::{Child, Command};

/// Starts the command apart: in a session of its own on Unix, so that neither Ctrl-C nor the closing of the terminal
/// reaches it. The child may be dropped without ending it.
///
/// # Errors
/// It cannot be started.
#[cfg(unix)]
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let leave = || rustix::process::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec only one system call is made, which takes no lock and allocates nothing.
    unsafe { command.pre_exec(leave) };
    command.spawn()
}

/// As on Unix: with a console of its own that has no window, which its own children share instead of opening windows.
#[cfg(windows)]
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    use std::os::windows::io::AsRawHandle;
    use std::os::windows::process::CommandExt;
    use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
    use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};
    let streams = [
        io::stdin().as_raw_handle(),
        io::stdout().as_raw_handle(),
        io::stderr().as_raw_handle(),
    ];
    for stream in streams {
        // Else a pipe that somebody reads from this process would stay open as long as the child lives.
        // SAFETY: the call takes any handle, and refuses one that is none; that one is not inherited either.
        unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
    command.creation_flags(CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP);
    command.spawn()
}

#[cfg(all(test, unix))]
mod tests {
    use super::spawn;
    use rustix::process::{Pid, getsid};
    use std::process::{Command, Stdio};

    #[test]
    fn it_has_a_session_of_its_own() {
        let mut command = Command::new("sleep");
        let mut child = spawn(command.arg("100").stdin(Stdio::null())).expect("it starts");
        let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        assert_eq!(getsid(id).expect("it lives"), id.expect("a process"));
        child.kill().expect("it ends");
        child.wait().expect("it has ended");
    }
}
