//! Logs: every line of the nodes, their libraries and this runtime, on its way to files, console and readers.
//!
//! [`LogHub`] takes [`Record`]s from any thread and never makes it wait; one thread writes the files of
//! [`files`], another the console. Invariant: what a node says reaches a terminal or a file only escaped. What is
//! dropped is counted and shown. Absent: how lines come out of a plugin or a process, and how they travel between
//! machines.

mod bridge;
mod console;
mod crash;
mod escape;
mod file;
pub mod files;
mod filter;
mod folder;
mod format;
mod hub;
mod level;
mod levels;
mod line;
mod printed;
mod queue;
pub mod read;
mod record;
mod subscribe;
mod time;
mod writer;

pub use bridge::Bridge;
pub use console::Console;
pub use crash::CrashReport;
pub use file::Rotation;
pub use filter::{Filter, FilterError, Limit, Selection};
pub use folder::{OUT_DIR_VARIABLE, OutFolder, OutRequest, choose};
pub use format::{Format, Layout, Times, UnknownFormat};
pub use hub::{Counters, LogHub, Settings, ShutdownReport};
pub use level::{Level, UnknownLevel};
pub use queue::Capacity;
pub use read::Records;
pub use record::{Origin, Record, Stream};
pub use subscribe::Subscription;
