//! What the `dora` command asks the coordinator, and the answers.
//!
//! A query is answered within [`super::Timing::poll`]; what takes longer is answered with [`ClientReply::Pending`], and
//! asked again with the same request id until the answer comes. A coordinator that does not answer at all is thus
//! noticed soon, however long a start may take.

use super::{
    DestroyError, Epoch, Fault, MachineInfo, NodeRow, NodeState, RequestId, StartError, StopError,
    TargetError,
};
use crate::descriptor::{Descriptor, Problems};
use crate::ids::{DataflowId, MachineId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A query of the `dora` command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientRequest {
    /// Stays the same when the query is repeated.
    pub request: RequestId,
    /// What is asked for.
    pub verb: Verb,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Start a dataflow.
    Start(Box<Start>),
    /// Stop one.
    Stop {
        /// Which.
        target: Target,
        /// How long its nodes have.
        grace: Duration,
        /// Do not wait for the nodes.
        force: bool,
    },
    /// Stop one and start its descriptor, as it was then, anew under the same name.
    Restart {
        /// Which.
        target: Target,
        /// The id of the new dataflow.
        dataflow: DataflowId,
        /// How long the old one's nodes have.
        grace: Duration,
        /// Do not wait for the old one's nodes.
        force: bool,
    },
    /// Wait for the end of one.
    Wait(DataflowId),
    /// All dataflows, also those that have ended.
    List,
    /// The nodes of one or of all running dataflows.
    Nodes(Option<Target>),
    /// The coordinator and its daemons.
    Status,
    /// Which daemons hold what of a dataflow, to ask them for log lines and copies of messages.
    Locate(Target),
    /// The outputs of one or of all running dataflows.
    Topics(Option<Target>),
    /// Forget the dataflows that have ended.
    Clean,
    /// Stop everything, end all daemons and the coordinator.
    Destroy,
}

/// Start a dataflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Its id, which makes a repeated start the same start.
    pub dataflow: DataflowId,
    /// The life of the coordinator that is asked: another one does not begin it.
    pub coordinator: Epoch,
    /// What to run.
    pub descriptor: Descriptor,
    /// The absolute folder of the descriptor, as the machine of the command writes it.
    pub folder: String,
    /// Its name, unique among the running.
    pub name: Option<String>,
    /// Variables for all nodes.
    pub env: BTreeMap<String, String>,
}

/// A dataflow by its id or its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The only one that runs.
    Only,
    /// By id.
    Id(DataflowId),
    /// By name.
    Name(String),
}

impl Target {
    /// What the user wrote: an id if it reads as one, else a name.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Name(text.to_owned()),
        }
    }
}

/// An answer to the `dora` command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientReply {
    /// Not done yet: ask again with the same request id.
    Pending(Progress),
    /// To a start or restart.
    Start(Result<Started, StartError>),
    /// To a stop: the end of the dataflow.
    Stop(Result<Ended, StopError>),
    /// To a wait.
    Ended(Box<Ended>),
    /// No such dataflow.
    NoTarget(TargetError),
    /// To a list, the oldest first.
    List(Vec<DataflowSummary>),
    /// To a query for nodes.
    Nodes(Vec<NodeSummary>),
    /// To a query for the status.
    Status(Status),
    /// To a query for places.
    Located(Located),
    /// To a query for outputs.
    Topics(Vec<TopicSummary>),
    /// So many were forgotten.
    Cleaned(usize),
    /// Everything has ended; the coordinator ends after this answer.
    Destroyed(Result<(), DestroyError>),
    /// The request could not be read.
    NotUnderstood(Fault),
}

/// How far something is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The phase of the dataflow that is waited for; `None` for everything.
    pub phase: Option<Phase>,
    /// Machines that are waited for.
    pub machines: Vec<MachineId>,
}

/// A dataflow that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// Its id.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// Who runs what.
    pub machines: BTreeMap<MachineId, Vec<NodeId>>,
    /// Warnings of all machines.
    pub warnings: Problems,
}

/// The phase of a dataflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Its nodes are checked.
    Preparing,
    /// Its nodes are made.
    Spawning,
    /// Its nodes are let go.
    Starting,
    /// It runs.
    Running,
    /// The coordinator was restarted and finds out whether it runs.
    Recovering,
    /// Its nodes have been told to stop.
    Stopping,
    /// It is over.
    Ended,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Preparing => "preparing",
            Self::Spawning => "spawning",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Recovering => "recovering",
            Self::Stopping => "stopping",
            Self::Ended => "ended",
        })
    }
}

/// A dataflow that is over, or is being ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id, which holds the time of its start.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// Whether its nodes have run.
    pub started: bool,
    /// Somebody asked for its end.
    pub stopped: bool,
    /// Why it was not started.
    pub error: Option<StartError>,
    /// A row per node, as far as known.
    pub rows: Vec<NodeRow>,
    /// From its start to its end.
    pub took: Duration,
    /// Machines on which it had nodes.
    pub machines: Vec<MachineId>,
    /// Machines that were not reached: what still runs there is stopped when they come back.
    pub unreachable: Vec<MachineId>,
}

impl Ended {
    /// Whether it has failed: it was not started, or a node has failed.
    pub fn is_failure(&self) -> bool {
        self.error.is_some() || self.rows.iter().any(|row| row.end.is_failure())
    }
}

/// Whether a machine is heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// It is.
    Connected,
    /// Its connection has ended just now, it may come back.
    Suspect,
    /// It is not.
    Lost,
}

/// A dataflow in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataflowSummary {
    /// Its id, which holds the time of its start.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// Its phase.
    pub phase: Phase,
    /// Its machines and whether they are heard of.
    pub machines: BTreeMap<MachineId, Reach>,
    /// Number of its nodes.
    pub nodes: usize,
    /// Those that run.
    pub running: usize,
    /// Those that have failed or were lost.
    pub failed: usize,
    /// How it ended, if it has.
    pub ended: Option<Ended>,
}

/// A node in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Its dataflow.
    pub dataflow: DataflowId,
    /// The dataflow's name.
    pub name: Option<String>,
    /// Its id.
    pub node: NodeId,
    /// Its machine.
    pub machine: MachineId,
    /// Its state.
    pub state: NodeState,
    /// How often it was made again.
    pub restarts: u32,
}

/// The coordinator and its daemons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// This life of the coordinator.
    pub coordinator: Epoch,
    /// How long it runs.
    pub uptime: Duration,
    /// Its daemons.
    pub daemons: Vec<DaemonSummary>,
    /// Dataflows that are not over.
    pub dataflows: usize,
}

/// A daemon in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSummary {
    /// Its machine.
    pub machine: MachineId,
    /// This life of it.
    pub epoch: Epoch,
    /// What it is.
    pub info: MachineInfo,
    /// Whether it is heard of.
    pub reach: Reach,
    /// How long ago it was heard of.
    pub silent: Duration,
    /// Nodes that it runs.
    pub nodes: usize,
}

/// Where a dataflow is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// Each machine's daemon that can be asked, and the nodes that it runs.
    pub machines: BTreeMap<MachineId, (Epoch, Vec<NodeId>)>,
    /// Machines of it that are not heard of.
    pub unreachable: Vec<MachineId>,
}

/// An output in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicSummary {
    /// The dataflow.
    pub dataflow: DataflowId,
    /// Its name.
    pub name: Option<String>,
    /// The machine that sends it.
    pub machine: MachineId,
    /// The daemon that can be asked for copies.
    pub epoch: Epoch,
    /// The node.
    pub node: NodeId,
    /// The output.
    pub output: String,
    /// Its Arrow type, if it is known.
    pub data_type: Option<String>,
    /// Who reads it.
    pub readers: Vec<TopicReader>,
}

/// A reader of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicReader {
    /// The node.
    pub node: NodeId,
    /// Its input.
    pub input: String,
    /// Its machine.
    pub machine: MachineId,
}
