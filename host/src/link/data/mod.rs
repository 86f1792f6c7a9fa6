//! Messages from one process to others: an output is published once, whoever reads it.
//!
//! Invariant: messages of one sender have numbers that rise by one, so whatever is lost on the way is counted where it is
//! missed; nothing here waits for a reader but `backpressure`, which waits for credits, and sends what is missed again; a reader
//! is never called with a message out of order. Absent: routes and queues of nodes.

mod attachment;
mod credits;
mod granter;
mod in_place;
mod intake;
mod lane;
mod output;
mod reader;
mod room;
mod sender;
mod shared_memory;

pub use credits::{Credit, Credits};
pub(super) use granter::Granter;
pub use intake::{Arrived, Intake, ReaderCount};
pub use lane::Pushed;
pub use output::{Output, OutputSpec};
pub use reader::{Reader, ReaderSpec};
pub(super) use room::Room;
pub use sender::{Sender, SentCount};
pub(super) use shared_memory::SharedMemory;
pub use shared_memory::{has_shared_memory, remove_orphaned_memory};
