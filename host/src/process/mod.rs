//! Nodes as processes: the wires that they speak.
//!
//! Absent: starting and ending processes, and what a dataflow is.

pub mod dora;
