//! The daemon: hosts the nodes of one machine.
//!
//! `state` decides and never waits; `driver` carries its actions out and tells what came of them, with `check` for the
//! nodes' files, `flow` for the nodes and their connections, `tapping` and `following` for those who look on. Invariant:
//! a daemon goes on without a coordinator; what it runs is told to the next one. Absent: the command line.

mod act;
mod check;
mod driver;
mod ending;
mod event;
mod fallen;
mod flow;
mod following;
mod inbox;
mod latest;
mod lines;
mod link;
mod local_port;
mod news;
mod opening;
mod options;
mod report;
mod share;
mod state;
mod tapping;
mod taps;

pub use driver::Daemon;
pub use event::{Action, Event, Exit, Local, Note};
pub use following::MAX_LINES;
pub use news::{News, RunError};
pub use options::{
    LOCAL_PORT, Listening, OpenError, Options, Relayed, is_beyond_loopback, listening,
};
pub use report::{node_end, node_row};
pub use state::State;
pub use taps::{MAX_LEASE, MAX_TAPS};
