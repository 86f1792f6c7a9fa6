//! What the coordinator's state machine is told, and what it asks for.

#[cfg(doc)]
use crate::control::Timing;
use crate::control::{
    CallId, ClientReply, ClientRequest, CoordinatorReply, CoordinatorRequest, Culprit, DaemonReply,
    DaemonRequest, Epoch, Incompatible, SendId, StartError,
};
use crate::ids::{DataflowId, MachineId};

/// What the coordinator is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// A query of the `dora` command; it is answered by exactly one [`Action::ReplyClient`].
    Client {
        /// The query.
        call: CallId,
        /// What is asked.
        request: Box<ClientRequest>,
    },
    /// A query of a daemon; it is answered at once by exactly one [`Action::ReplyDaemon`].
    Daemon {
        /// The query.
        call: CallId,
        /// What is asked.
        request: CoordinatorRequest,
    },
    /// A query of ours was answered.
    Answered {
        /// Which.
        send: SendId,
        /// The answer.
        reply: DaemonReply,
    },
    /// A query of ours was not answered within [`Timing::query`], or nobody was there.
    Unanswered {
        /// Which.
        send: SendId,
    },
    /// A daemon's liveliness token has disappeared.
    TokenGone {
        /// Its machine.
        machine: MachineId,
        /// The life that ended or was cut off.
        epoch: Epoch,
    },
    /// A daemon's liveliness token has appeared.
    TokenSeen {
        /// Its machine.
        machine: MachineId,
        /// Its life.
        epoch: Epoch,
    },
    /// The coordinator is to end (Ctrl-C); the second time, at once.
    Shutdown {
        /// Whether dataflows are stopped before; else they go on.
        stop_dataflows: bool,
    },
    /// Time has passed.
    Time,
}

/// What the coordinator is to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Write the ledger to disk, before any later action is carried out.
    Persist,
    /// Answer a query of the `dora` command.
    ReplyClient {
        /// Which.
        call: CallId,
        /// The answer.
        reply: Box<ClientReply>,
    },
    /// Answer a query of a daemon.
    ReplyDaemon {
        /// Which.
        call: CallId,
        /// The answer.
        reply: CoordinatorReply,
    },
    /// Ask this life of a daemon, and say within [`Timing::query`] what came of it.
    Send {
        /// The query.
        send: SendId,
        /// The machine.
        machine: MachineId,
        /// The life of its daemon.
        epoch: Epoch,
        /// What to ask.
        request: Box<DaemonRequest>,
    },
    /// Say something in the coordinator's log.
    Note(Note),
    /// End the process, after all answers were given.
    Exit,
}

/// What is worth a line of the coordinator's log.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A daemon has registered.
    DaemonCame(MachineId),
    /// A daemon has ended in order.
    DaemonLeft(MachineId),
    /// A daemon is not heard of any more.
    DaemonLost(MachineId),
    /// A lost daemon is heard of again; it has gone on meanwhile.
    DaemonBack(MachineId),
    /// A daemon was started anew; what it ran before is lost.
    DaemonRestarted(MachineId),
    /// A daemon has died, in these words, and its guard has started it anew: what it ran is lost but for what begins again.
    DaemonDied(MachineId, String),
    /// A node has crashed the daemon that it ran in.
    Crashed(Culprit),
    /// The nodes of a dataflow on a machine whose daemon has died begin again.
    Again(DataflowId, MachineId),
    /// A second daemon wanted the machine id of one that lives.
    MachineIdTaken(MachineId),
    /// A daemon of another version was refused.
    Incompatible(Box<Incompatible>),
    /// A dataflow is checked and made.
    Starting(DataflowId),
    /// A dataflow runs.
    Started(DataflowId),
    /// A dataflow was not started.
    NotStarted(DataflowId, StartError),
    /// Daemons run a dataflow that this coordinator did not start: one before it did.
    Adopted(DataflowId),
    /// A dataflow is over.
    Ended(DataflowId),
}
