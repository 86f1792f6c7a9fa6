//! Descriptor.

mod problem;
mod suggest;
mod yaml;

pub use problem::{MAX_KEPT, Position, Problem, Problems, Severity};
