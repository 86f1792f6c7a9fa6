//! How much room there is for shared memory that has a name.
//!
//! Absent: memory without a name, which no folder bounds.

/// Bytes that can still be taken; `None` where no folder bounds that, or nobody knows.
#[cfg(target_os = "linux")]
pub fn room() -> Option<u64> {
    let found = rustix::fs::statvfs("/dev/shm").ok()?;
    // A file system in memory that was given no size has no blocks.
    (found.f_blocks > 0).then(|| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that can still be taken; `None` where no folder bounds that, or nobody knows.
#[cfg(not(target_os = "linux"))]
pub fn room() -> Option<u64> {
    None
}
