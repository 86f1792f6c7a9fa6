//! What a daemon tells the coordinator: that it is there, what it runs, and what has changed.

use super::{Epoch, Fault, Incompatible, Prepare, Protocol, ShareStatus};
use crate::ids::{DataflowId, MachineId, NodeId};
use crate::plugin::info::KindInfo;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A query of a daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinatorRequest {
    /// I am here. Repeated until answered.
    Register(Box<Register>),
    /// This has changed; without changes, a sign of life.
    Report(Report),
    /// I end; nothing runs here any more.
    Leave {
        /// The machine.
        machine: MachineId,
        /// The life that ends.
        epoch: Epoch,
    },
}

/// A daemon and all that it holds, so that a coordinator that knows nothing learns it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The machine id that it wants.
    pub machine: MachineId,
    /// This life of the daemon.
    pub epoch: Epoch,
    /// What it is.
    pub info: MachineInfo,
    /// Every share that has not ended, or whose end nobody has heard of.
    pub held: Vec<Held>,
    /// Lives of this daemon before this one that have died, as far as it knows of them.
    #[serde(default)]
    pub fallen: Vec<Fallen>,
}

/// A life of a daemon that has died, with all nodes that ran in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallen {
    /// Which.
    pub epoch: Epoch,
    /// How, in words that follow "died with": `SIGSEGV`.
    pub how: String,
    /// The node whose callback has brought it about, if that is known.
    pub culprit: Option<Culprit>,
}

/// A node that has crashed the daemon that it ran in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its dataflow.
    pub dataflow: DataflowId,
    /// The node.
    pub node: NodeId,
    /// What it did, in words that follow its name: `crashed the daemon of machine `A`: SIGSEGV in …`.
    pub text: String,
    /// The input whose message it took last.
    pub last_input: Option<String>,
}

/// What there is to know about a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineInfo {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its version.
    pub version: String,
    /// The name of its host, for people.
    pub host: String,
    /// Its process.
    pub pid: u32,
    /// Where other daemons reach it, as a locator; empty when its data are relayed.
    pub address: String,
    /// Labels for placing nodes.
    pub labels: BTreeMap<String, String>,
}

/// A share that a daemon holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What it was asked to run; `None` when only its end is left.
    pub prepare: Option<Box<Prepare>>,
    /// Its nodes' kinds, as far as it has been prepared.
    pub kinds: BTreeMap<NodeId, KindInfo>,
    /// How far it is.
    pub status: ShareStatus,
}

/// What has changed at a daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The machine.
    pub machine: MachineId,
    /// This life of its daemon.
    pub epoch: Epoch,
    /// Shares whose version was not acknowledged yet.
    pub changed: Vec<ShareStatus>,
}

/// The coordinator's answer to a daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoordinatorReply {
    /// You are known; take orders from this life of the coordinator only.
    Registered {
        /// This life of the coordinator.
        coordinator: Epoch,
        /// Versions that were heard.
        heard: Vec<(DataflowId, u64)>,
    },
    /// It is being found out whether the daemon that has this machine id still lives: ask again.
    Wait,
    /// Another daemon has this machine id, and lives.
    MachineIdTaken {
        /// Who.
        by: MachineInfo,
    },
    /// No common protocol.
    Incompatible(Box<Incompatible>),
    /// The report was heard.
    Heard {
        /// This life of the coordinator.
        coordinator: Epoch,
        /// Versions that were heard.
        heard: Vec<(DataflowId, u64)>,
    },
    /// The coordinator does not know you: register.
    NotRegistered,
    /// The farewell was heard.
    Left,
    /// The request could not be read.
    NotUnderstood(Fault),
}
