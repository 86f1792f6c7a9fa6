//! Why a node has no machine.

use super::super::text::{listed, quoted};
use crate::descriptor::Position;
use crate::ids::{MachineId, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Why a node has no machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlacementError {
    /// No daemon at all is connected.
    NoMachine,
    /// The machine that it names is not connected.
    UnknownMachine {
        /// The node.
        node: NodeId,
        /// Where the machine is named.
        at: Position,
        /// The machine.
        machine: MachineId,
        /// Those that are connected.
        known: Vec<MachineId>,
    },
    /// The machine that it names does not have its labels.
    WithoutLabels {
        /// The node.
        node: NodeId,
        /// Where the machine is named.
        at: Position,
        /// The machine.
        machine: MachineId,
        /// Labels that it lacks.
        labels: BTreeMap<String, String>,
    },
    /// No machine has all its labels.
    NoMachineWithLabels {
        /// The node.
        node: NodeId,
        /// Where the node stands.
        at: Position,
        /// Its labels.
        labels: BTreeMap<String, String>,
        /// Machines that are connected.
        known: Vec<MachineId>,
    },
    /// It is called by its sender, which is on another machine.
    ApartFromSender {
        /// The node.
        node: NodeId,
        /// Where the node stands.
        at: Position,
        /// Its machine.
        machine: MachineId,
        /// The sender.
        sender: NodeId,
        /// The sender's machine.
        sender_machine: MachineId,
    },
}

impl PlacementError {
    /// Where in the descriptor; `None` when it is not about one node.
    pub fn at(&self) -> Option<Position> {
        match self {
            Self::NoMachine => None,
            Self::UnknownMachine { at, .. }
            | Self::WithoutLabels { at, .. }
            | Self::NoMachineWithLabels { at, .. }
            | Self::ApartFromSender { at, .. } => Some(*at),
        }
    }
}

impl std::error::Error for PlacementError {}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMachine => f.write_str(
                "no daemon is connected to the coordinator; start one with `dora daemon`",
            ),
            Self::UnknownMachine {
                node,
                machine,
                known,
                ..
            } => write!(
                f,
                "node `{node}`: machine `{machine}` is not connected; {}; start it with \
                 `dora daemon --machine-id {machine}`",
                connected(known)
            ),
            Self::WithoutLabels {
                node,
                machine,
                labels,
                ..
            } => write!(
                f,
                "node `{node}`: machine `{machine}` does not have the labels {}; start its daemon with `--labels`",
                labels_in_words(labels)
            ),
            Self::NoMachineWithLabels {
                node,
                labels,
                known,
                ..
            } => write!(
                f,
                "node `{node}`: no machine has the labels {}; {}; start a daemon with `--labels`",
                labels_in_words(labels),
                connected(known)
            ),
            Self::ApartFromSender {
                node,
                machine,
                sender,
                sender_machine,
                ..
            } => write!(
                f,
                "node `{node}` has `thread: sender`, but is placed on machine `{machine}` and its sender \
                 `{sender}` on `{sender_machine}`; give both the same `machine` or remove `thread`"
            ),
        }
    }
}

fn connected(known: &[MachineId]) -> String {
    match known {
        [] => "no machine is connected".to_owned(),
        _ => format!(
            "connected: {}",
            listed(known.iter().map(|machine| format!("`{machine}`")))
        ),
    }
}

fn labels_in_words(labels: &BTreeMap<String, String>) -> String {
    let label = |(key, value): (&String, &String)| quoted(&format!("{key}={value}"));
    listed(labels.iter().map(label))
}
