//! The clock that all processes of this machine share.
//!
//! Invariant: stamps of two processes may be compared. Absent: `std`'s monotonic clock, which does not tell where it begins,
//! so that two processes cannot compare their times on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970. A clock that is set while something is measured spoils that.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as u64
}
