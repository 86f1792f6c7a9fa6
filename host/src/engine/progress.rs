//! What a running dataflow tells of its nodes, as it happens.

use super::state::Ending;
use crate::ids::NodeId;

/// Something has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// All nodes have been made for the first time, or have ended meanwhile. Once; not when the start has failed.
    Made,
    /// The state of a node has changed.
    Node {
        /// The node.
        node: NodeId,
        /// Its state now.
        state: NodeProgress,
        /// How often it was made again so far.
        restarts: u32,
    },
}

/// The state of a node. Before the first one it is being made, or waits to be let go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeProgress {
    /// It has been let go.
    Running,
    /// It has ended and will be made again.
    Restarting,
    /// It has ended for good.
    Ended(Ending),
}

/// Hears of progress.
pub type Watcher = Box<dyn Fn(Progress) + Send + Sync>;
