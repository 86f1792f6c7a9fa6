//! What the three plugins of this example agree on: names, units and types of what they send each other.
//!
//! A *sample* is an Arrow struct with one column per quantity; each column's field says its unit and whether it is a
//! counter. Invariant: nothing here needs a host or a plugin. Absent: where samples come from and where they go.

mod columns;
mod statistic;

pub use columns::{Column, columns, field};
pub use statistic::{STATISTICS, Statistic, WrongColumns, from_array, to_array};

/// Parameter of a sample's message: its number in the run, from 0 (integer).
pub const SEQUENCE: &str = "sequence";

/// Parameter of a sample's message: name of the machine it is from (text). Left out when the machine has none.
pub const HOST: &str = "host";
