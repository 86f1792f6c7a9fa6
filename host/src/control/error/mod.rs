//! Why a wish of the user is not fulfilled. Values; their sentences say what is wrong, where, and what to do.

mod place;
mod start;

pub use place::PlacementError;
pub use start::{StartError, Step};

use super::text::{listed, quoted, seconds};
use crate::ids::{DataflowId, MachineId, NodeId, PortName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Longest name of a dataflow, in characters.
const MAX_NAME: usize = 128;

fn machines_in_words(machines: &[MachineId]) -> String {
    let names = listed(machines.iter().map(|machine| format!("`{machine}`")));
    match machines.len() {
        1 => format!("machine {names}"),
        _ => format!("machines {names}"),
    }
}

/// A text that cannot name a dataflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvalidDataflowName {
    /// Nothing, or only white space.
    Empty,
    /// Too long.
    TooLong {
        /// Characters that it has.
        length: usize,
    },
    /// It reads as the id of a dataflow.
    Uuid(String),
}

impl fmt::Display for InvalidDataflowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => {
                f.write_str("the name of a dataflow is empty; give one, or leave `--name` out")
            }
            Self::TooLong { length } => write!(
                f,
                "the name of a dataflow has {length} characters, at most {MAX_NAME} are allowed"
            ),
            Self::Uuid(text) => write!(
                f,
                "{} cannot name a dataflow, because it reads as the id of one",
                quoted(text)
            ),
        }
    }
}

/// Checks a name: any script, not empty, at most 128 characters, no UUID.
///
/// # Errors
/// What is wrong with it.
pub fn check_dataflow_name(name: &str) -> Result<(), InvalidDataflowName> {
    let length = name.chars().count();
    if name.trim().is_empty() {
        return Err(InvalidDataflowName::Empty);
    }
    if length > MAX_NAME {
        return Err(InvalidDataflowName::TooLong { length });
    }
    match name.parse::<DataflowId>() {
        Ok(_) => Err(InvalidDataflowName::Uuid(name.to_owned())),
        Err(_) => Ok(()),
    }
}

/// A target that names no dataflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetError {
    /// Nothing has this name or id.
    Unknown {
        /// As given.
        target: String,
        /// What runs.
        running: Vec<String>,
    },
    /// It is over.
    Over {
        /// As given.
        target: String,
        /// The dataflow.
        dataflow: DataflowId,
    },
    /// Several have this name, or none was named and several run.
    Several {
        /// Which.
        among: Vec<String>,
    },
    /// None was named and none runs.
    NoneRuns,
}

impl std::error::Error for TargetError {}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &[String]| listed(names.iter().map(|name| quoted(name)));
        match self {
            Self::Unknown { target, running } if running.is_empty() => {
                write!(f, "there is no dataflow {}; none runs", quoted(target))
            }
            Self::Unknown { target, running } => write!(
                f,
                "there is no dataflow {}; running: {}",
                quoted(target),
                names(running)
            ),
            Self::Over { target, dataflow } => write!(
                f,
                "dataflow {} ({dataflow}) does not run any more",
                quoted(target)
            ),
            Self::Several { among } => {
                write!(f, "name one of the dataflows {}", names(among))
            }
            Self::NoneRuns => f.write_str("no dataflow runs"),
        }
    }
}

/// Why a dataflow has not been stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopError {
    /// Machines have not said that their nodes have ended; they are asked on.
    TimedOut {
        /// The dataflow.
        dataflow: DataflowId,
        /// Which.
        machines: Vec<MachineId>,
        /// The time limit.
        limit: Duration,
    },
}

impl std::error::Error for StopError {}

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut {
                dataflow,
                machines,
                limit,
            } => write!(
                f,
                "dataflow {dataflow} has not stopped on {} within {}; they are asked on, `dora stop --force` does not \
                 wait for the nodes",
                machines_in_words(machines),
                seconds(*limit)
            ),
        }
    }
}

/// Why not everything has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestroyError {
    /// Machines have not said that they end. The coordinator ends nevertheless.
    TimedOut {
        /// Which.
        machines: Vec<MachineId>,
    },
}

impl std::error::Error for DestroyError {}

impl fmt::Display for DestroyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { machines } => write!(
                f,
                "the coordinator has ended, but not been told so by {}; end the daemon there by hand",
                machines_in_words(machines)
            ),
        }
    }
}

/// Why an output cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TapError {
    /// The dataflow does not run here.
    NotRunning {
        /// The dataflow.
        dataflow: DataflowId,
        /// Who says so.
        machine: MachineId,
    },
    /// The node runs elsewhere or does not exist.
    NoNode {
        /// The node.
        node: NodeId,
        /// Who says so.
        machine: MachineId,
    },
    /// The node has no such output.
    NoOutput {
        /// The node.
        node: NodeId,
        /// The output.
        output: PortName,
        /// Those that it has.
        known: Vec<String>,
    },
    /// Too many look on.
    TooMany {
        /// Most that may.
        limit: usize,
    },
}

impl std::error::Error for TapError {}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { dataflow, machine } => {
                write!(f, "dataflow {dataflow} does not run on machine `{machine}`")
            }
            Self::NoNode { node, machine } => {
                write!(
                    f,
                    "machine `{machine}` does not run a node `{node}` of that dataflow"
                )
            }
            Self::NoOutput {
                node,
                output,
                known,
            } => match known.as_slice() {
                [] => write!(f, "node `{node}` has no outputs"),
                _ => write!(
                    f,
                    "node `{node}` has no output `{output}`; it has {}",
                    listed(known.iter().map(|name| quoted(name)))
                ),
            },
            Self::TooMany { limit } => write!(
                f,
                "{limit} outputs are looked at already, which is the most; end some of those commands first"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
