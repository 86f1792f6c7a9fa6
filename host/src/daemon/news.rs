//! What a daemon has to say to whoever started it, and how it ends.

use super::options::Relayed;
use crate::control::{Incompatible, MachineInfo};
use crate::ids::{DataflowId, MachineId};
use crate::link::{Address, LinkError, MeetError};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Something that happens to a daemon. Displays as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// There is no coordinator yet, and the daemon waits; told once.
    Waiting(MeetError),
    /// It is registered, for the first time or with another life of the coordinator.
    Connected(Address),
    /// The coordinator does not answer any more; what runs goes on.
    CoordinatorLost(Address),
    /// It answers again.
    CoordinatorBack(Address),
    /// Another daemon may have the machine id; the coordinator finds out. Told once.
    MachineIdChecked(MachineId),
    /// It listens where other machines reach it.
    Listening(SocketAddr),
    /// Its data go through the coordinator.
    Relayed(Relayed),
    /// The port for process nodes was taken.
    LocalPort {
        /// The one that was wanted.
        wanted: u16,
        /// The one that is used.
        used: u16,
    },
    /// A dataflow's nodes here run.
    Started {
        /// The dataflow.
        dataflow: DataflowId,
        /// Its name.
        name: Option<String>,
        /// How many nodes run here.
        nodes: usize,
    },
    /// A dataflow's nodes here have ended, or have not been started after all.
    Ended {
        /// The dataflow.
        dataflow: DataflowId,
        /// Its name.
        name: Option<String>,
        /// How many nodes have failed.
        failed: usize,
    },
    /// A dataflow was given up because no order came.
    Expired(DataflowId),
    /// A dataflow's nodes did not end although they were abandoned.
    Stuck(DataflowId),
    /// The end of a dataflow is forgotten although no coordinator has heard of it.
    Unheard(DataflowId),
    /// Nodes are stopped, because the daemon is to end.
    Stopping {
        /// How long they have.
        grace: Duration,
        /// How many dataflows there are.
        dataflows: usize,
    },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(why) => write!(f, "Waiting for a coordinator: {why}"),
            Self::Connected(at) => write!(f, "Connected to dora-coordinator at {at}"),
            Self::CoordinatorLost(at) => write!(
                f,
                "The coordinator at {at} does not answer; what runs goes on, and the daemon keeps trying"
            ),
            Self::CoordinatorBack(at) => write!(f, "The coordinator at {at} answers again"),
            Self::MachineIdChecked(machine) => write!(
                f,
                "Another daemon may have the machine id \"{machine}\"; waiting for the coordinator to find out"
            ),
            Self::Listening(at) => write!(
                f,
                "Listening for other daemons on {at}, which other machines can reach; there is no encryption"
            ),
            Self::Relayed(why) => write!(
                f,
                "Data to and from other machines go through the coordinator: {why}"
            ),
            Self::LocalPort { wanted, used } => write!(
                f,
                "Port {wanted} is in use, so process nodes are served on port {used}; tell dynamic nodes"
            ),
            Self::Started {
                dataflow,
                name,
                nodes,
            } => write!(
                f,
                "Dataflow {} runs {} here",
                Shown(*dataflow, name.as_deref()),
                counted(*nodes, "node")
            ),
            Self::Ended {
                dataflow,
                name,
                failed,
            } => {
                write!(
                    f,
                    "Dataflow {} has ended here",
                    Shown(*dataflow, name.as_deref())
                )?;
                match failed {
                    0 => Ok(()),
                    failed => write!(f, "; {} failed", counted(*failed, "node")),
                }
            }
            Self::Expired(dataflow) => write!(
                f,
                "Dataflow {dataflow} was given up, because the coordinator did not say how it goes on"
            ),
            Self::Stuck(dataflow) => write!(
                f,
                "Nodes of dataflow {dataflow} do not end; they go on until this daemon ends"
            ),
            Self::Unheard(dataflow) => write!(
                f,
                "The end of dataflow {dataflow} is forgotten, although no coordinator has heard of it"
            ),
            Self::Stopping { grace, dataflows } => write!(
                f,
                "Stopping {}; nodes have {grace:?} to end, once more ends them at once",
                counted(*dataflows, "dataflow")
            ),
        }
    }
}

/// A dataflow as people know it.
struct Shown<'a>(DataflowId, Option<&'a str>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(name) => write!(f, "`{}` ({})", name.escape_debug(), self.0),
            None => self.0.fmt(f),
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Why a daemon ended although nobody told it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunError {
    /// Another daemon has the machine id.
    MachineIdTaken {
        /// The machine id.
        machine: MachineId,
        /// Who has it.
        by: Box<MachineInfo>,
    },
    /// The coordinator is of another version.
    Incompatible(Box<Incompatible>),
    /// The network is gone, which nothing here expects.
    Link(LinkError),
}

impl std::error::Error for RunError {}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MachineIdTaken { machine, by } => {
                let at = by.address.strip_prefix("tcp/").unwrap_or(&by.address);
                let at = match at.is_empty() {
                    true => &by.host,
                    false => at,
                };
                write!(
                    f,
                    "machine id \"{machine}\" is already taken by the daemon at {} (host {}, process {}); choose another \
                     with `--machine-id`, or end that one",
                    at.escape_debug(),
                    by.host.escape_debug(),
                    by.pid
                )
            }
            Self::Incompatible(error) => error.fmt(f),
            Self::Link(error) => error.fmt(f),
        }
    }
}
