//! The daemon: hosts the nodes of one machine.
//!
//! `state` decides and never waits; whoever drives it carries its actions out and tells what came of them. Invariant:
//! a daemon goes on without a coordinator; what it runs is told to the next one. Absent: sockets, plugins, clocks.

mod ending;
mod event;
mod link;
mod report;
mod share;
mod state;
mod taps;

pub use event::{Action, Event, Exit, Local, Note};
pub use report::{node_end, node_row};
pub use state::State;
pub use taps::{MAX_LEASE, MAX_TAPS};
