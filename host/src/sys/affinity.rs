//! Which processor cores a thread or a child may run on.

use std::io;
use std::process::Command;

/// Lets the calling thread run on these cores only (numbers from 0; on Windows within the first group of 64).
///
/// # Errors
/// There is no such core, or the platform cannot do it.
#[cfg(target_os = "linux")]
pub fn pin_this_thread(cores: &[usize]) -> io::Result<()> {
    rustix::thread::sched_setaffinity(None, &set_of(cores)?).map_err(io::Error::from)
}

/// Lets what a command starts run on these cores only, from its first instruction on: what it starts itself inherits it.
///
/// # Errors
/// There is no such core number. A core that the machine does not have fails the start.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
pub fn pin_command(command: &mut Command, cores: &[usize]) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    let set = set_of(cores)?;
    let pin = move || rustix::thread::sched_setaffinity(None, &set).map_err(io::Error::from);
    // SAFETY: one system call, and an error of a number: nothing that a fork of many threads forbids.
    unsafe { command.pre_exec(pin) };
    Ok(())
}

/// Where a command cannot be told before its start, its process is told right after. Nothing to do on Linux.
///
/// # Errors
/// Never here.
#[cfg(target_os = "linux")]
pub fn pin_process(_id: u32, _cores: &[usize]) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn set_of(cores: &[usize]) -> io::Result<rustix::thread::CpuSet> {
    use rustix::thread::CpuSet;
    let mut set = CpuSet::new();
    for core in cores {
        if *core >= CpuSet::MAX_CPU {
            return Err(no_core(*core));
        }
        set.set(*core);
    }
    Ok(set)
}

/// As on Linux.
///
/// # Errors
/// As on Linux.
#[cfg(windows)]
#[allow(unsafe_code)]
pub fn pin_this_thread(cores: &[usize]) -> io::Result<()> {
    use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadAffinityMask};
    let mask = mask_of(cores)?;
    // SAFETY: the pseudo handle of this thread is always valid.
    match unsafe { SetThreadAffinityMask(GetCurrentThread(), mask) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Checks the numbers only: the process is pinned once it is there.
///
/// # Errors
/// As on Linux.
#[cfg(windows)]
pub fn pin_command(_command: &mut Command, cores: &[usize]) -> io::Result<()> {
    mask_of(cores).map(drop)
}

/// Lets a process that was just started run on these cores only, with all its threads.
///
/// # Errors
/// There is no such core, or the process has ended.
#[cfg(windows)]
#[allow(unsafe_code)]
pub fn pin_process(id: u32, cores: &[usize]) -> io::Result<()> {
    use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
    use windows_sys::Win32::System::Threading::{
        OpenProcess, PROCESS_SET_INFORMATION, SetProcessAffinityMask,
    };
    let mask = mask_of(cores)?;
    // SAFETY: takes any number.
    let process = unsafe { OpenProcess(PROCESS_SET_INFORMATION, 0, id) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new handle that nobody else owns.
    let process = unsafe { OwnedHandle::from_raw_handle(process) };
    // SAFETY: a valid handle.
    match unsafe { SetProcessAffinityMask(process.as_raw_handle(), mask) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(windows)]
fn mask_of(cores: &[usize]) -> io::Result<usize> {
    let mut mask = 0_usize;
    for core in cores {
        let bit = u32::try_from(*core)
            .ok()
            .and_then(|core| 1_usize.checked_shl(core));
        mask |= bit.ok_or_else(|| no_core(*core))?;
    }
    Ok(mask)
}

/// As on Linux.
///
/// # Errors
/// Always: this system does not let a thread be pinned.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn pin_this_thread(_cores: &[usize]) -> io::Result<()> {
    Err(unsupported())
}

/// As on Linux.
///
/// # Errors
/// Always: this system does not let a process be pinned.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn pin_command(_command: &mut Command, _cores: &[usize]) -> io::Result<()> {
    Err(unsupported())
}

/// As on Linux.
///
/// # Errors
/// Never: the command was refused.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn pin_process(_id: u32, _cores: &[usize]) -> io::Result<()> {
    Ok(())
}

#[cfg(not(any(target_os = "linux", windows)))]
fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "this system does not pin threads and processes to cores",
    )
}

#[cfg(any(target_os = "linux", windows))]
fn no_core(core: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("there is no core {core}"),
    )
}
