//! Nodes as processes: what is started, the life of a process, and the wires that nodes speak.
//!
//! Absent: what a dataflow is.

pub mod child;
pub mod dora;
pub mod lines;
pub mod processes;
pub mod program;
