//! What a process says on standard error when it crashes: how, where, and the frames of the thread that did.
//!
//! ```text
//! crashed: SIGSEGV at address 0x8 in thread camera, which called node `camera`
//!    0: /tmp/x/libcamera.so+0x12f0
//!    1: /usr/bin/dora+0x88a41c
//! ```
//!
//! Invariant: the process ends as it would have ended without this, with the same signal or exception, and at most
//! `DEADLINE_SECONDS` later; a parent that shares the scene finds the same there. What is called in the crashed thread takes no memory, and the only lock is the loader's; the
//! first line is out before that. Absent: names of functions, which need the debug information: `addr2line -e FILE OFFSET`
//! has them.

pub mod stack;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

use plugin_abi::frames::{self, Line};
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// How long the report may take.
#[cfg(unix)]
const DEADLINE_SECONDS: u32 = 2;
/// How the first line of a report begins.
pub const BEGIN: &str = "crashed: ";
/// Lines of a report, at most.
pub const LINES: usize = frames::MOST + 2;
/// What the first line says of a stack that was too small.
pub const OVERFLOW: &str = " (stack overflow)";

/// What the first line says before the id of the node whose callback it was.
pub const CALLED: &str = ", which called node `";

#[cfg(unix)]
pub use unix::Stack;

/// Of a thread whose crash can be told in any case; elsewhere than on Unix there is always room.
#[cfg(windows)]
#[derive(Debug)]
pub struct Stack;

#[cfg(windows)]
impl Stack {
    /// Nothing.
    pub fn of_this_thread() -> Option<Self> {
        Some(Self)
    }
}

/// Reports crashes of this process from now on. Once.
///
/// # Errors
/// The system's; then nothing is reported.
pub fn report() -> io::Result<()> {
    system::report()
}

/// Adds whose callback it was, if that is known: bytes that somebody else may be writing.
fn push_node(line: &mut Line, node: Option<&[AtomicU8]>) {
    let Some(node) = node else {
        return;
    };
    line.push(CALLED.as_bytes());
    for byte in node {
        line.push(&[byte.load(Ordering::Relaxed)]);
    }
    line.push(b"`");
}
