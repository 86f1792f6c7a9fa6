//! Memory that nobody uses any more and the allocator keeps.
//!
//! Absent: when to give it back; and systems other than Linux with the GNU C library, whose allocators do it by themselves.

/// Gives it back to the system, as far as it is whole pages. A walk through all that is free, some milliseconds for a hundred
/// megabytes, in which a thread that allocates may wait for a part of it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub fn give_back() {
    // SAFETY: any thread may call it at any time; it touches only what is free.
    unsafe { libc::malloc_trim(0) };
}

/// Nothing, where the allocator does it.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
