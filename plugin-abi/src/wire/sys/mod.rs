//! What the wire asks of the operating system: a connection that a child gets as its standard input, and memory that
//! two processes map.
//!
//! Invariant: neither has a name that stays behind, whatever ends the processes; mapped memory stays as long as it was
//! when it was mapped. Absent: frames, and the decision what lies where.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{Handles, Object, Stream};
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::{Handles, Object, Stream};

use std::ptr::NonNull;

/// Memory that another process may have mapped, too. Unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Its maker's: the name by which the other end finds it goes with the last handle, whoever has it mapped.
    #[cfg(windows)]
    _section: Option<::std::os::windows::io::OwnedHandle>,
}

// SAFETY: mapped memory belongs to no thread; whoever writes through the pointer sees to it that nobody else does.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// First byte.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes.
    pub fn size(&self) -> usize {
        self.len
    }
}

/// How long reading or writing may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: `WouldBlock` when nothing can be done at once.
    Not,
    /// A while ([`PATIENCE`]), then `WouldBlock`.
    AWhile,
    /// Until something can be done or the connection ends.
    Long,
}

/// What [`Wait::AWhile`] means: within it a sender that waits for the other end sees that it is to give up.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_millis(50);

#[cfg(test)]
mod tests;
