//! A job for this process and all that it will start: when this process ends, in whatever way, all of it does.
//!
//! Absent: processes that were started before.

use super::job::Job;
use std::io;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Puts this process into a job that ends with its last handle. The only one is this process's own, for good.
///
/// # Errors
/// The system's.
pub fn end_together() -> io::Result<()> {
    let job = Job::new()?;
    // SAFETY: asks for nothing.
    job.take(unsafe { GetCurrentProcess() })?;
    // Closing it would end this process.
    std::mem::forget(job);
    Ok(())
}
