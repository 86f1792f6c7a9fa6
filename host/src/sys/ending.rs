//! How a process ended, in words, and ending one's own without a trace.
//!
//! Absent: what a caller makes of it.

use std::process::ExitStatus;

/// The name of the crash that ended a process, such as `SIGSEGV` or `access violation, 0xC0000005`; `None` when it
/// ended by itself.
#[cfg(unix)]
pub fn crash(status: ExitStatus) -> Option<String> {
    use rustix::process::Signal;
    use std::os::unix::process::ExitStatusExt;
    const NAMES: [(Signal, &str); 13] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ];
    let number = status.signal()?;
    let name = NAMES.iter().find(|(signal, _)| signal.as_raw() == number);
    Some(name.map_or_else(|| format!("signal {number}"), |(_, name)| (*name).into()))
}

/// As on Unix: exit codes from 0xC0000000 on are the system's own.
#[cfg(windows)]
pub fn crash(status: ExitStatus) -> Option<String> {
    const NAMES: [(u32, &str); 9] = [
        (0xC000_0005, "access violation"),
        (0xC000_001D, "illegal instruction"),
        (0xC000_0094, "division by zero"),
        (0xC000_00FD, "stack overflow"),
        (0xC000_0135, "a DLL was not found"),
        (0xC000_0139, "a DLL lacks a function"),
        (0xC000_0142, "a DLL could not be initialised"),
        (0xC000_0374, "heap corruption"),
        (0xC000_0409, "abort"),
    ];
    let code = status.code()?.cast_unsigned();
    if code < 0xC000_0000 {
        return None;
    }
    let name = NAMES.iter().find(|(known, _)| *known == code);
    let name = name.map_or("crash", |(_, name)| name);
    Some(format!("{name}, 0x{code:08X}"))
}

/// Ends this process at once, running nothing more of it: no destructor, no exit function.
#[cfg(unix)]
pub fn vanish() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    // A process may always signal itself; should it not, the abort ends it all the same.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

/// As on Unix.
#[cfg(windows)]
pub fn vanish() -> ! {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    // SAFETY: the pseudo handle of this process is always valid.
    unsafe { TerminateProcess(GetCurrentProcess(), 1) };
    std::process::abort()
}

#[cfg(all(test, unix))]
mod tests {
    use super::crash;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn crashes_have_names_and_exits_have_none() {
        for (raw, expected) in [
            (0, None),
            (3 << 8, None),
            (11, Some("SIGSEGV")),
            (6 | 0x80, Some("SIGABRT")),
            (50, Some("signal 50")),
        ] {
            let found = crash(ExitStatus::from_raw(raw));
            assert_eq!(found.as_deref(), expected, "{raw}");
        }
    }
}
