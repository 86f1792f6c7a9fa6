//! Nodes that run in processes of their own: what is started, what is said to it, how it ends.

pub mod host_process;
mod processes;
mod runs;

pub use processes::{ProcessOptions, Processes};
pub use runs::{Placed, Runs};
