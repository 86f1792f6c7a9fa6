//! Nodes that run in processes of their own: what is started, what is said to it, how it ends.
//!
//! Absent: what a dataflow is.

pub mod child;
pub mod dora;
pub mod host_process;
pub mod lines;
pub mod processes;
mod runs;

pub use runs::{Placed, Runs};
