//! What the commands show of dataflows, nodes, outputs and daemons: as tables for people, as JSON for programs.
//!
//! Invariant: the names in the JSON and the words in the tables do not change with the types behind them. Pure: the same
//! values and time give the same text. Absent: where the values come from, and printing.

pub mod data;
pub mod dataflows;
pub mod ended;
pub mod message;
pub mod nodes;
pub mod rate;
pub mod status;
pub mod time;
pub mod topics;

use host::control::Reach;

/// Whether a machine is heard of, in a word.
fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Connected => "connected",
        Reach::Suspect => "suspect",
        Reach::Lost => "lost",
    }
}

#[cfg(test)]
pub mod samples;
