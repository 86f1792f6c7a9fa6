//! How much memory this process may lock.

/// The limit in bytes; `None` where there is none.
#[cfg(unix)]
pub fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Memlock).current
}

/// The limit in bytes; `None` where there is none.
#[cfg(not(unix))]
pub fn limit() -> Option<u64> {
    // Windows' sections are backed by the paging file and not locked.
    None
}
