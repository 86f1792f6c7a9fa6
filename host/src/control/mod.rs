//! What the command line, the coordinator and the daemons say to each other: plain values, written as JSON.
//!
//! Invariant: every request names what it is about by an id, so that hearing it twice, late or out of order changes
//! nothing more than hearing it once; a failure travels as a value, and whoever shows it makes the sentence. Fields
//! that a reader does not know are ignored. Absent: how a message travels (`link`), and what is decided about it
//! (`coordinator`, `daemon`).

mod client;
mod edges;
mod error;
mod hello;
mod ids;
mod order;
mod register;
mod share;
pub(crate) mod text;
mod timing;
mod wire;

pub use client::{
    ClientReply, ClientRequest, DaemonSummary, DataflowSummary, Ended, Located, NodeSummary, Phase,
    Progress, Reach, Start, Started, Status, Target, TopicReader, TopicSummary, Verb,
};
pub use edges::{
    DeclaredOutput, LogSelection, RemoteEdges, RemoteInput, RemoteLogs, RemoteOutput, RemoteReader,
    check_together, declared_outputs, local_part,
};
pub use error::{
    DestroyError, InvalidDataflowName, PlacementError, StartError, Step, StopError, TapError,
    TargetError, check_dataflow_name,
};
pub use hello::{Hello, Incompatible, PROTOCOL, Protocol, Role};
pub use ids::{CallId, Epoch, RequestId, SendId};
pub use order::{Begun, DaemonReply, DaemonRequest, LOGS_LEASE, LogsRequest, Order, TapRequest};
pub use register::{
    CoordinatorReply, CoordinatorRequest, Culprit, Fallen, Held, MachineInfo, Register, Report,
};
pub use share::{
    Again, MissingPeer, NodeEnd, NodeRow, NodeState, NodeStatus, Placement, Prepare, ShareEnd,
    ShareStatus, Stage,
};
pub use timing::Timing;
pub use wire::{Fault, decode, encode};
