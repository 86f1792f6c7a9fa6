//! What a daemon is asked for, by the coordinator and by the `dora` command.

use super::{Epoch, Fault, Prepare, RequestId, ShareStatus, TapError};
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A query to a daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonRequest {
    /// Are you there?
    Ping,
    /// An order of the coordinator about a share. Answered with the share's status, which the order may not have
    /// changed yet.
    Order {
        /// Who orders: a daemon obeys the one it is registered with.
        coordinator: Epoch,
        /// The order.
        order: Order,
    },
    /// End, after all dataflows have been stopped.
    Exit {
        /// Who orders.
        coordinator: Epoch,
    },
    /// Publish copies of an output's messages for a while. Repeating it prolongs that.
    Tap(TapRequest),
    /// Log lines of a dataflow that the daemon has.
    Logs(LogsRequest),
}

/// An order about a share. All may be repeated and may come late.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Check that all nodes fit.
    Prepare(Box<Prepare>),
    /// Make the nodes and the connections, let nothing go.
    Spawn(DataflowId),
    /// Let the nodes go.
    Go(DataflowId),
    /// Stop whatever is there, and never begin it again.
    Stop {
        /// The dataflow.
        dataflow: DataflowId,
        /// Higher is stricter: a later order of the same coordinator.
        serial: u32,
        /// How long the nodes have.
        grace: Duration,
        /// Do not wait for the nodes.
        force: bool,
    },
    /// These nodes on other machines have ended for good: close the inputs that read them.
    Senders {
        /// The dataflow.
        dataflow: DataflowId,
        /// All of them so far.
        ended: BTreeSet<NodeId>,
    },
    /// Shares of other machines have begun again: make the connections with them anew. Those that had begun before this one
    /// did are not new to it.
    Begun {
        /// The dataflow.
        dataflow: DataflowId,
        /// All of them so far.
        begun: BTreeMap<MachineId, Begun>,
    },
}

/// A share that has begun again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The life of its daemon in which it has.
    pub life: Epoch,
    /// How often it has: what is heard late says less.
    pub times: u32,
    /// Those of its nodes that were over and were not made.
    pub over: BTreeSet<NodeId>,
}

impl Order {
    /// What it is about.
    pub fn dataflow(&self) -> DataflowId {
        match self {
            Self::Prepare(prepare) => prepare.dataflow,
            Self::Spawn(dataflow) | Self::Go(dataflow) => *dataflow,
            Self::Stop { dataflow, .. }
            | Self::Senders { dataflow, .. }
            | Self::Begun { dataflow, .. } => *dataflow,
        }
    }
}

/// Publish copies of an output's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapRequest {
    /// Chosen by whoever asks; part of the key that the copies are published on.
    pub tap: RequestId,
    /// The dataflow.
    pub dataflow: DataflowId,
    /// The node.
    pub node: NodeId,
    /// Its output.
    pub output: PortName,
    /// How long, unless repeated; daemons bound it.
    pub lease: Duration,
}

/// How long a daemon publishes log lines without being asked again; asking again with `tail` 0 is enough.
pub const LOGS_LEASE: Duration = Duration::from_secs(15);

/// Log lines of a dataflow.
///
/// Whoever follows listens on the tap's key of the id before it asks. The daemon begins to publish before it reads what is
/// there, so a line may come both ways and none is missing; the follower drops the second of two equal lines. Each
/// message is one text, a JSON record. The stream is closed behind the last line when the dataflow has ended, at once if
/// it has already, and when nobody has asked again for [`LOGS_LEASE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsRequest {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Only of this node; `None` for all on this machine and for the daemon's own about the dataflow.
    pub node: Option<NodeId>,
    /// Only so many of the last lines.
    pub tail: Option<u32>,
    /// Publish further lines on the tap's key of this id; `None` for only what is there.
    pub follow: Option<RequestId>,
}

/// A daemon's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonReply {
    /// To a ping.
    Pong,
    /// To an order.
    Share(ShareStatus),
    /// The daemon takes orders from another coordinator; `None` while it registers.
    NotYours(Option<Epoch>),
    /// It is ending.
    Ending,
    /// To a tap.
    Tap(Result<(), TapError>),
    /// To a request for log lines: JSON records, the oldest first.
    Logs(Vec<serde_json::Value>),
    /// The request could not be read.
    NotUnderstood(Fault),
}
