//! Host processes: children of the daemon that run plugins with the same loader, engine and rules as the daemon itself.
//!
//! A host process is started with [`SUBCOMMAND`] and a control connection as its standard input. On it come the greeting,
//! the [`HostSpec`] and then, for every instance, [`ToHost::Serve`] with a connection of the instance's own, which speaks
//! [`plugin_abi::wire`] as an executable does. What decides is the daemon's engine: the host process makes, lets go and
//! stops nodes one by one as it is told. Nodes of one host process pass pointers to each other; of such outputs only
//! what is wanted elsewhere leaves the process.
//!
//! Invariant: a host process ends when its control connection does. Absent: the process's own side (`hosted`).

use crate::descriptor::Descriptor;
use crate::engine::RemoteInputs;
use crate::ids::{DataflowId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The hidden subcommand of a program that can be a host process; it calls [`crate::hosted::run`].
pub const SUBCOMMAND: &str = "__host";

/// What a host process runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostSpec {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Its nodes of this process.
    pub part: Descriptor,
    /// Their plugins' files, absolute.
    pub files: BTreeMap<NodeId, PathBuf>,
    /// The inputs that the daemon feeds.
    pub fed: RemoteInputs,
    /// How many events a node may be given before it has taken the first of them.
    pub window: u32,
    /// Whether plugins share the process, as far as the check of their files goes.
    pub shared: bool,
}

/// What the daemon says on the control connection, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum ToHost {
    /// The first one.
    Spec(Box<HostSpec>),
    /// A connection for the next instance of a node comes along: index in [`HostSpec::part`].
    Serve(usize),
    /// A node has ended for good: its readers in this process are told.
    Retire(usize),
}
