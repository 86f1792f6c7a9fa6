//! The link between processes on one or many machines: coordinator, daemons and the `dora` command. The only module
//! that knows zenoh.
//!
//! Three means: queries for control (`rpc`), tokens for who is there (`live`), publications for data (`data`). They all
//! go over one session per process ([`Link`]), under keys that carry the protocol's version (`keys`).
//!
//! Invariant: whoever hears something here hears it on one of the session's own threads and must not block it; whoever
//! waits here has a deadline; an error names who did not answer. Absent: what is said, and what is decided about it.

mod address;
mod beside;
mod config;
mod data;
mod keys;
mod live;
mod meet;
mod quiet;
mod refused;
mod renewal;
mod rpc;
mod session;
#[cfg(test)]
mod tests;
mod ways;

pub use address::{Address, local_address_towards};
pub use beside::{Heard, Listener};
pub use data::{
    Arrived, Credit, Credits, Intake, Output, OutputSpec, Pushed, Reader, ReaderCount, ReaderSpec,
    Sender, SentCount, has_shared_memory, remove_orphaned_memory,
};
pub use keys::{DataKey, Key, Member};
pub use live::{Change, Token, Watch};
pub use meet::MeetError;
pub use refused::{OpenError, Taker};
pub use renewal::renewal;
pub use rpc::{Call, CallError, Served};
pub use session::{DaemonOptions, Link};

/// Something was refused by a link that was closed, or that is broken in a way that nothing here expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {about}: {reason}")]
pub struct LinkError {
    /// What was tried, such as `cannot publish`.
    pub what: &'static str,
    /// On which key or address.
    pub about: String,
    /// The engine's words.
    pub reason: String,
}

impl LinkError {
    fn new(
        what: &'static str,
        about: impl std::fmt::Display,
        reason: impl std::fmt::Display,
    ) -> Self {
        Self {
            what,
            about: about.to_string(),
            reason: reason.to_string(),
        }
    }
}
