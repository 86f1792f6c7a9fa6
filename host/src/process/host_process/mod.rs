//! Host processes: children of the daemon that run plugins with the same loader, engine and rules as the daemon itself.
//!
//! The process of one node ([`ALONE`]) is an executable whose node happens to be in a plugin: it speaks
//! [`plugin_abi::wire`] on its standard input. One that is shared has a control connection there, on which come the
//! greeting, the [`HostSpec`] and then, for every instance, [`ToHost::Serve`] with a connection of the instance's own.
//! What decides is the daemon's engine: the host process makes, lets go and stops nodes one by one as it is told. Its
//! nodes pass pointers to each other; of such outputs only what is wanted elsewhere leaves the process.
//!
//! Invariant: a host process ends when its control connection does. Absent: the process's own side (`hosted`).

mod shared;

pub use shared::{OnPrinted, SharedProcess};

use crate::descriptor::Descriptor;
use crate::engine::RemoteInputs;
use crate::ids::DataflowId;
use serde::{Deserialize, Serialize};

/// The hidden subcommand of a program that can be a host process; it calls [`crate::hosted::run`].
pub const SUBCOMMAND: &str = "__host";
/// Its flag for a process of one node, which calls [`crate::hosted::run_alone`].
pub const ALONE: &str = "--alone";

/// What a host process runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
    /// Its nodes of this process.
    pub part: Descriptor,
    /// Their plugins' files, absolute, in the order of the nodes.
    pub files: Vec<String>,
    /// The inputs that the daemon feeds.
    pub fed: RemoteInputs,
    /// How many events a node may be given before it has taken the first of them.
    pub window: u32,
}

/// What the daemon says on the control connection, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToHost {
    /// The first one: the dataflow, and what to run of it.
    Spec(DataflowId, Box<HostSpec>),
    /// A connection for the next instance of a node comes along: index in [`HostSpec::part`].
    Serve(usize),
    /// A node has ended for good: its readers in this process are told.
    Retire(usize),
}
