//! The wire between a daemon and a node in a process of its own: frames over one connection, and shared memory beside
//! it for large messages.
//!
//! The connection is the process's standard input, made by the daemon before the process: nothing listens, there is no
//! secret, and each end sees at once when the other is gone. The daemon writes the [`frame::Greeting`] before it starts
//! the process, which thereby knows a daemon from a terminal.
//!
//! ```text
//! daemon                                  process
//! Greeting                    ->
//!                             <-  Hello
//! Create                      ->
//!                             <-  Created, or NotCreated and the end
//!                             <-  Ready (how many messages it takes)
//! Go, Level, Wanted           ->
//! Input, Closed, Stop         ->  each Input takes one of what Ready has given
//!                             <-  Output, Log, Ready, Unread, Taken
//! Segment, Release, Forget   <->  shared memory
//!                             <-  Ended, and the end
//! ```
//!
//! A frame is `u32` the length of what follows the header, `u8` its kind, three zero bytes, then its fields; numbers are
//! little-endian. [`frame`] has the fields of each. Invariant: decoding any bytes ends with a frame or an error, in memory
//! proportional to the bytes that have come; nothing that the other end writes, or does not write, makes this end crash.
//! Absent: making and ending processes, and what the daemon does with what a node sends.

mod bytes;
pub mod channel;
pub mod frame;
pub mod memory;
pub mod node;
pub mod page;
pub mod stack;
pub mod sys;
#[cfg(test)]
mod tests;

use crate::codec::{DecodeError, EncodeError};
use std::io;

/// The version of the frames, beside the versions of the handshake record.
pub const VERSION: u16 = 3;

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The other end has closed it, or is gone.
    #[error("the other end of the connection is gone")]
    Ended,
    /// The system's.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The other end does not keep to the wire.
    #[error("the other end does not speak the wire: {0}")]
    Malformed(&'static str),
    /// Shared memory that cannot be used.
    #[error("shared memory from the other end cannot be used: {0}")]
    Memory(io::Error),
    /// A message that cannot be written.
    #[error("a message cannot be sent: {0}")]
    Encode(#[from] EncodeError),
    /// Bytes that are no message.
    #[error("what came is no message: {0}")]
    Decode(#[from] DecodeError),
}
