//! A machine's share of a dataflow: what a daemon is asked to run, and how far it has come.
//!
//! Invariant: a share's status has a version that rises with each change, so whoever hears two of them in the wrong
//! order keeps the newer; stages only ever advance.

use super::{Epoch, text};
use crate::descriptor::{Descriptor, Problems};
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use crate::plugin::info::KindInfo;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Which machine runs which node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Placement {
    /// Each node's machine; every node of the descriptor is in it.
    pub nodes: BTreeMap<NodeId, MachineId>,
    /// The life of each machine's daemon in which the share was placed.
    pub machines: BTreeMap<MachineId, Epoch>,
}

impl Placement {
    /// The nodes of a machine, by id.
    pub fn on<'a>(&'a self, machine: &'a MachineId) -> impl Iterator<Item = &'a NodeId> {
        let here = move |(node, on): (&'a NodeId, &'a MachineId)| (on == machine).then_some(node);
        self.nodes.iter().filter_map(here)
    }

    /// The machine of a node.
    pub fn of(&self, node: &NodeId) -> Option<&MachineId> {
        self.nodes.get(node)
    }
}

/// Everything a daemon must know to run its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prepare {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// The whole descriptor, also the nodes of other machines.
    pub descriptor: Descriptor,
    /// The absolute folder of the descriptor on the machine where it was started, as that machine writes it.
    pub folder: String,
    /// Variables that the user gave for all nodes.
    pub env: BTreeMap<String, String>,
    /// Who runs what.
    pub placement: Placement,
    /// What is different when the share begins again.
    #[serde(default)]
    pub again: Option<Box<Again>>,
}

/// What is different about a share that begins again, in the next life of a daemon that has died.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Again {
    /// Nodes that are over, and how each ended: they are not made, and those of other machines are not connected with.
    pub over: BTreeMap<NodeId, NodeEnd>,
    /// Nodes that get a process of their own, because they have crashed the daemon.
    pub own: BTreeSet<NodeId>,
    /// How often each of the others has been made before.
    pub restarts: BTreeMap<NodeId, u32>,
    /// How often the share has begun again.
    #[serde(default)]
    pub times: u32,
}

/// How far a share has come, as the daemon says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareStatus {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Rises with each change; the first is 1.
    pub version: u64,
    /// The stage.
    pub stage: Stage,
    /// Whether its nodes have been let go: stays so when it has ended.
    pub went: bool,
    /// The state of each of its nodes once they are being made.
    pub nodes: BTreeMap<NodeId, NodeStatus>,
    /// Nodes elsewhere that the daemon knows to have ended.
    pub ended_senders: BTreeSet<NodeId>,
    /// The lives of other daemons with whose shares it is connected, or will be.
    #[serde(default)]
    pub lives: BTreeMap<MachineId, Epoch>,
}

/// Stages of a share, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Files are looked for, plugins loaded.
    Preparing,
    /// All nodes fit this machine.
    Prepared {
        /// The kind of each node that is a plugin.
        kinds: BTreeMap<NodeId, KindInfo>,
        /// Warnings only.
        warnings: Problems,
    },
    /// Nodes are made and connections to other machines probed.
    Spawning {
        /// Connections that are not there yet.
        missing: Vec<MissingPeer>,
    },
    /// All nodes are made and wait; all connections are there.
    Ready,
    /// The nodes run.
    Running,
    /// The nodes have been told to stop.
    Stopping {
        /// The strictest order so far; 0 when the dataflow ends by itself.
        serial: u32,
    },
    /// No node is left.
    Ended(ShareEnd),
}

impl Stage {
    /// Its place in the order.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Preparing => 0,
            Self::Prepared { .. } => 1,
            Self::Spawning { .. } => 2,
            Self::Ready => 3,
            Self::Running => 4,
            Self::Stopping { .. } => 5,
            Self::Ended(_) => 6,
        }
    }

    /// Whether nothing follows.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// How a share ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareEnd {
    /// Nodes do not fit: nothing was made.
    Refused(Problems),
    /// Not all connections to other machines came about.
    NotLinked(Vec<MissingPeer>),
    /// Its nodes have ended, or some could not be made.
    Over {
        /// A row per node.
        rows: Vec<NodeRow>,
        /// Time since the nodes were made.
        took: Duration,
    },
    /// It was dropped before nodes were made.
    Dropped,
    /// No order came in time.
    Expired,
    /// The daemon is ending and takes nothing new.
    DaemonEnds,
    /// The daemon does not know it any more: it ended long ago, or never began.
    Forgotten,
}

/// A connection that is missing: an output here and a reader on another machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MissingPeer {
    /// The sending node.
    pub node: NodeId,
    /// Its output.
    pub output: PortName,
    /// The machine of the reader.
    pub machine: MachineId,
    /// The reading node.
    pub reader: NodeId,
    /// Its input.
    pub input: PortName,
}

impl fmt::Display for MissingPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "output `{}/{}` to input `{}/{}` on machine `{}`",
            self.node, self.output, self.reader, self.input, self.machine
        )
    }
}

/// The present state of a node and how often it was made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The state.
    pub state: NodeState,
    /// How often it was made again.
    pub restarts: u32,
}

/// The state of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Not made yet, or made and not yet let go.
    Starting,
    /// It runs.
    Running,
    /// It has ended and will be made again.
    Restarting,
    /// Its machine is not heard of.
    Unreachable,
    /// It is over.
    Ended(NodeEnd),
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::Restarting => f.write_str("restarting"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Ended(end) => end.fmt(f),
        }
    }
}

/// How a node ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeEnd {
    /// By itself, or because all its inputs are closed.
    Finished,
    /// It was told to.
    Stopped,
    /// With an error or a panic.
    Failed {
        /// Why, with causes and place.
        text: String,
        /// The input whose message it took last.
        last_input: Option<String>,
    },
    /// It could not be made.
    NotMade {
        /// Why.
        text: String,
    },
    /// It did not stop within the grace period.
    Stuck,
    /// The daemon or the machine that ran it is gone.
    Lost {
        /// The machine.
        machine: MachineId,
        /// Why, if that is known: in words that follow the machine.
        #[serde(default)]
        why: Option<String>,
    },
}

impl NodeEnd {
    /// Whether the dataflow has failed because of it.
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Finished | Self::Stopped)
    }
}

impl fmt::Display for NodeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Stopped => f.write_str("stopped"),
            Self::Failed { text, last_input } => {
                write!(f, "failed: {}", lines(text))?;
                match last_input {
                    Some(input) => write!(f, " (last input: {})", text::quoted(input)),
                    None => Ok(()),
                }
            }
            Self::NotMade { text } => write!(f, "could not be made: {}", lines(text)),
            Self::Stuck => f.write_str("did not stop in time"),
            Self::Lost { machine, why: None } => write!(f, "was lost with machine `{machine}`"),
            Self::Lost {
                machine,
                why: Some(why),
            } => write!(
                f,
                "was lost with the daemon of machine `{machine}`, {}",
                lines(why)
            ),
        }
    }
}

/// A node's error, whole: it may be long, but must not command the terminal.
fn lines(text: &str) -> String {
    let kept = |c: char| match c {
        '\n' => vec![c],
        c if c.is_control() => c.escape_default().collect(),
        c => vec![c],
    };
    text.chars().flat_map(kept).collect()
}

/// What became of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// The node.
    pub node: NodeId,
    /// Where it ran.
    pub machine: MachineId,
    /// How it ended.
    pub end: NodeEnd,
    /// Messages that it received.
    pub received: u64,
    /// Messages that it sent.
    pub sent: u64,
    /// Messages that its inputs' policies dropped.
    pub dropped: u64,
    /// Messages that were waiting when it ended.
    pub discarded: u64,
    /// How often it was made again.
    pub restarts: u32,
}

impl NodeRow {
    /// The row of a node of which nothing but its end is known.
    pub fn bare(node: NodeId, machine: MachineId, end: NodeEnd) -> Self {
        Self {
            node,
            machine,
            end,
            received: 0,
            sent: 0,
            dropped: 0,
            discarded: 0,
            restarts: 0,
        }
    }
}
