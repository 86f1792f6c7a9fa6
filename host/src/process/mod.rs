//! Nodes as processes: the wires that they speak, and the life of a process.
//!
//! Absent: what a dataflow is.

pub mod child;
pub mod lines;
pub mod program;
