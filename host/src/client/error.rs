//! Why a client has no answer. Sentences say who did not answer and what to do.

use crate::control::{DaemonReply, Fault, TapError, TargetError};
use crate::ids::{MachineId, NodeId};
use crate::link::{Address, CallError, LinkError};
use std::fmt;
use std::time::Duration;

/// Why a query to the coordinator has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// The coordinator has ended, hangs or is cut off. Whether it has heard the query is not known.
    Silent {
        /// Where it is.
        coordinator: Address,
        /// How long it has been silent.
        after: Duration,
        /// What came of the last query.
        last: CallError,
    },
    /// The user has named no dataflow, or several.
    Target(TargetError),
    /// The two do not understand each other.
    Fault(Fault),
    /// The connection was closed on this side.
    Link(LinkError),
}

impl AskError {
    pub(super) fn unexpected(what: &'static str) -> Self {
        Self::Fault(Fault {
            what: format!("the coordinator's answer to a {what}"),
            reason: "it answers something else".into(),
        })
    }
}

impl std::error::Error for AskError {}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent {
                coordinator,
                after,
                last: CallError::TimedOut { .. },
            } => write!(
                f,
                "the coordinator at {coordinator} has not answered for {} s; it hangs, or is cut off; dataflows go on \
                 without it, so end it and start it again with `dora coordinator`",
                after.as_secs_f32().round()
            ),
            Self::Silent { coordinator, .. } => write!(
                f,
                "the coordinator at {coordinator} is gone: it has ended, hangs or is cut off; dataflows go on without it, start \
                 it again with `dora coordinator --port {}`",
                coordinator.port
            ),
            Self::Target(error) => error.fmt(f),
            Self::Fault(fault) => fault.fmt(f),
            Self::Link(error) => error.fmt(f),
        }
    }
}

/// Why a daemon has not given what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonError {
    /// It does not answer, or not in words that are understood.
    Call(CallError),
    /// It does not wish to.
    Refused(TapError),
    /// It is ending.
    Ending(MachineId),
    /// It answers something else.
    Unexpected(MachineId),
}

impl DaemonError {
    /// What an answer is that was not asked for.
    pub(super) fn unexpected(machine: &MachineId, reply: DaemonReply) -> Self {
        match reply {
            DaemonReply::Tap(Err(error)) => Self::Refused(error),
            DaemonReply::Ending => Self::Ending(machine.clone()),
            _ => Self::Unexpected(machine.clone()),
        }
    }
}

impl std::error::Error for DaemonError {}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Ending(machine) => write!(f, "the daemon of machine `{machine}` is ending"),
            Self::Unexpected(machine) => write!(
                f,
                "the daemon of machine `{machine}` answers something else than it was asked; is it the same version of \
                 dora?"
            ),
        }
    }
}

/// Why there are no log lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogsError {
    /// The dataflow has no such node.
    NoNode {
        /// As given.
        node: NodeId,
        /// The nodes on machines that can be asked.
        known: Vec<NodeId>,
        /// Machines that cannot be asked.
        unreachable: Vec<MachineId>,
    },
    /// Not one machine has answered.
    NoAnswer(Vec<(MachineId, DaemonError)>),
    /// No machine of the dataflow is connected.
    Unreachable(Vec<MachineId>),
}

impl std::error::Error for LogsError {}

impl fmt::Display for LogsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode {
                node,
                known,
                unreachable,
            } => {
                write!(f, "the dataflow has no node `{node}`")?;
                if !known.is_empty() {
                    write!(f, "; it has {}", listed(known))?;
                }
                match unreachable.as_slice() {
                    [] => Ok(()),
                    some => write!(
                        f,
                        "; not connected, and not asked: machine {}",
                        listed(some)
                    ),
                }
            }
            Self::NoAnswer(errors) => {
                for (index, (_, error)) in errors.iter().enumerate() {
                    let start = if index == 0 { "" } else { "\n" };
                    write!(f, "{start}{error}")?;
                }
                Ok(())
            }
            Self::Unreachable(machines) => match machines.as_slice() {
                [] => f.write_str("the dataflow has run on no machine, so there are no log lines"),
                some => write!(
                    f,
                    "the log lines are on machine {}, which is not connected; start its daemon again with `dora daemon`",
                    listed(some)
                ),
            },
        }
    }
}

fn listed(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("`{item}`")).collect();
    items.join(", ")
}

/// Why an output cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TapFailure {
    /// Its daemon refuses, or does not answer.
    Daemon(DaemonError),
    /// The output's name, from the coordinator, is none.
    Name(String),
    /// The connection was closed on this side.
    Link(LinkError),
}

impl std::error::Error for TapFailure {}

impl fmt::Display for TapFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon(error) => error.fmt(f),
            Self::Name(reason) => f.write_str(reason),
            Self::Link(error) => error.fmt(f),
        }
    }
}
