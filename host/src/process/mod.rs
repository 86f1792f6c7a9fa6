//! Nodes that run in processes of their own: what is started, what is said to it, how it ends.
//!
//! Absent: what a dataflow is.

pub mod child;
pub mod dora;
pub mod host_process;
mod launcher;
pub mod lines;
pub mod native;
pub mod processes;
pub mod program;
mod runs;
pub(crate) mod watch;

pub use launcher::{LaunchOptions, Launcher, OutsideNodes, ReadElsewhere};
pub use runs::{Placed, Runs};
