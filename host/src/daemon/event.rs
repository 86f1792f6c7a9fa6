//! What the daemon's state machine is told, and what it asks for.

#[cfg(doc)]
use crate::control::Timing;
use crate::control::{
    CallId, CoordinatorReply, CoordinatorRequest, DaemonReply, DaemonRequest, Epoch, Incompatible,
    LogsRequest, MachineInfo, MissingPeer, NodeRow, NodeStatus, Prepare, RemoteEdges, RequestId,
    SendId, TapRequest,
};
use crate::descriptor::Problems;
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use crate::plugin::info::KindInfo;
use std::collections::BTreeMap;
use std::time::Duration;

/// What the daemon is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// A query has come in; it is answered by exactly one [`Action::Reply`] or [`Action::Logs`].
    Query {
        /// The query.
        call: CallId,
        /// What is asked.
        request: DaemonRequest,
    },
    /// A query of ours was answered.
    Answered {
        /// Which.
        send: SendId,
        /// The answer.
        reply: CoordinatorReply,
    },
    /// A query of ours was not answered within [`Timing::query`], or nobody was there.
    Unanswered {
        /// Which.
        send: SendId,
    },
    /// A coordinator's liveliness token has appeared.
    CoordinatorSeen,
    /// The liveliness token of another daemon has disappeared.
    PeerGone {
        /// Its machine.
        machine: MachineId,
        /// The life that ended or was cut off.
        epoch: Epoch,
    },
    /// The liveliness token of another daemon has appeared.
    PeerSeen {
        /// Its machine.
        machine: MachineId,
        /// Its life.
        epoch: Epoch,
    },
    /// What became of an action about a dataflow.
    Local {
        /// The dataflow.
        dataflow: DataflowId,
        /// What.
        local: Local,
    },
    /// The daemon is to end (Ctrl-C); the second time, at once.
    Shutdown {
        /// How long the nodes have.
        grace: Duration,
    },
    /// Time has passed.
    Time,
}

/// What became of an action about a dataflow.
#[derive(Debug, Clone)]
pub enum Local {
    /// After [`Action::Prepare`]: all nodes fit.
    Prepared {
        /// Each plugin node's kind.
        kinds: BTreeMap<NodeId, KindInfo>,
        /// Warnings only.
        warnings: Problems,
    },
    /// After [`Action::Prepare`]: they do not.
    Refused(Problems),
    /// After [`Action::Spawn`]: all nodes are made and wait.
    Made,
    /// After [`Action::Spawn`]: all readers elsewhere have answered.
    Linked,
    /// After [`Action::Spawn`]: these have not answered yet.
    Missing(Vec<MissingPeer>),
    /// After [`Action::Spawn`]: these have not answered in time.
    NotLinked(Vec<MissingPeer>),
    /// A node's state has changed.
    Node {
        /// The node.
        node: NodeId,
        /// Its state.
        status: NodeStatus,
    },
    /// After [`Action::Spawn`], exactly once: no node is left.
    Over {
        /// A row per node.
        rows: Vec<NodeRow>,
        /// Time since the nodes were made.
        took: Duration,
    },
}

/// What the daemon is to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Answer a query.
    Reply {
        /// Which.
        call: CallId,
        /// The answer.
        reply: DaemonReply,
    },
    /// Answer a query for log lines.
    Logs {
        /// Which.
        call: CallId,
        /// What is asked for.
        request: LogsRequest,
    },
    /// Ask the coordinator, and say within [`Timing::query`] what came of it.
    Send {
        /// Which.
        send: SendId,
        /// What to ask.
        request: Box<CoordinatorRequest>,
    },
    /// The daemon is registered: answer queries on the keys of this life from now on.
    Serve {
        /// With whom.
        coordinator: Epoch,
    },
    /// Check the nodes of this machine, in the background.
    Prepare(Box<Prepare>),
    /// Forget what was prepared; what becomes of a check under way does not matter.
    Discard(DataflowId),
    /// Make the nodes that were prepared, and the connections; let nothing go.
    Spawn {
        /// The dataflow.
        dataflow: DataflowId,
        /// Its connections to other machines.
        edges: RemoteEdges,
    },
    /// Let the nodes go.
    Go(DataflowId),
    /// Ask the nodes to stop.
    Stop {
        /// The dataflow.
        dataflow: DataflowId,
        /// How long they have.
        grace: Duration,
    },
    /// End the dataflow without waiting for its nodes.
    Abandon(DataflowId),
    /// Close inputs whose senders elsewhere are gone; those that are closed already stay so.
    CloseInputs {
        /// The dataflow.
        dataflow: DataflowId,
        /// Nodes and their inputs.
        inputs: Vec<(NodeId, PortName)>,
    },
    /// A machine of the dataflow is not heard of any more: no sender is to wait for its readers, and the dataflow's log is to
    /// say so.
    PeerLost {
        /// The dataflow.
        dataflow: DataflowId,
        /// The machine.
        machine: MachineId,
    },
    /// The share of another machine has begun again: make the connections with it anew.
    Again {
        /// The dataflow.
        dataflow: DataflowId,
        /// The machine.
        machine: MachineId,
        /// The life of its daemon, which the new connections are named after.
        life: Epoch,
        /// The connections with it.
        edges: RemoteEdges,
    },
    /// Publish copies of an output's messages.
    Tap(TapRequest),
    /// No longer.
    Untap(RequestId),
    /// Say something in the daemon's log.
    Note(Note),
    /// End the process.
    Exit(Exit),
}

/// What is worth a line of the daemon's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Registered for the first time or anew.
    Registered,
    /// The coordinator does not answer; what runs goes on.
    CoordinatorLost,
    /// It answers again.
    CoordinatorBack,
    /// Another daemon may have the machine id; the coordinator finds out.
    MachineIdChecked,
    /// A share was given up because no order came.
    Expired(DataflowId),
    /// A dataflow's nodes did not end although they were abandoned.
    Stuck(DataflowId),
    /// The end of a dataflow is forgotten although no coordinator has heard of it: there are too many.
    Unheard(DataflowId),
}

/// Why the process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was told to.
    Stopped,
    /// Another daemon has the machine id.
    MachineIdTaken(MachineInfo),
    /// The coordinator is of another version.
    Incompatible(Box<Incompatible>),
}
