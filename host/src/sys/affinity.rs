//! Which processor cores a thread may run on.

use std::io;

/// Lets the calling thread run on these cores only (numbers from 0; on Windows within the first group of 64).
///
/// # Errors
/// There is no such core, or the platform cannot do it.
#[cfg(target_os = "linux")]
pub fn pin_this_thread(cores: &[usize]) -> io::Result<()> {
    use rustix::thread::{CpuSet, sched_setaffinity};
    let mut set = CpuSet::new();
    for core in cores {
        if *core >= CpuSet::MAX_CPU {
            return Err(no_core(*core));
        }
        set.set(*core);
    }
    sched_setaffinity(None, &set).map_err(io::Error::from)
}

/// As on Linux.
///
/// # Errors
/// As on Linux.
#[cfg(windows)]
#[allow(unsafe_code)]
pub fn pin_this_thread(cores: &[usize]) -> io::Result<()> {
    use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadAffinityMask};
    let mut mask = 0_usize;
    for core in cores {
        let bit = u32::try_from(*core)
            .ok()
            .and_then(|core| 1_usize.checked_shl(core));
        mask |= bit.ok_or_else(|| no_core(*core))?;
    }
    // SAFETY: the pseudo handle of this thread is always valid.
    match unsafe { SetThreadAffinityMask(GetCurrentThread(), mask) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// As on Linux.
///
/// # Errors
/// Always: this system does not let a thread be pinned.
#[cfg(not(any(target_os = "linux", windows)))]
pub fn pin_this_thread(_cores: &[usize]) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system does not pin threads to cores",
    ))
}

#[cfg(any(target_os = "linux", windows))]
fn no_core(core: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("there is no core {core}"),
    )
}
