//! Which processor cores a thread or a child may run on.

use std::io;

/// Lets the calling thread run on these cores only (numbers from 0; on Windows within the first group of 64).
///
/// # Errors
/// There is no such core, or the platform cannot do it.
#[cfg(target_os = "linux")]
pub fn pin_this_thread(cores: &[usize]) -> io::Result<()> {
    rustix::thread::sched_setaffinity(None, &set_of(cores)?).map_err(io::Error::from)
}

/// Lets a process that was just started run on these cores only, with all threads that it will start.
///
/// # Errors
/// As above, or it has ended.
#[cfg(target_os = "linux")]
pub fn pin_process(id: u32, cores: &[usize]) -> io::Result<()> {
    let id = i32::try_from(id)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::thread::sched_setaffinity(id, &set_of(cores)?).map_err(io::Error::from)
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

/// As on Linux.
///
/// # Errors
/// As on Linux.
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
pub fn pin_process(_id: u32, _cores: &[usize]) -> io::Result<()> {
    Err(unsupported())
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
