//! Why a dataflow was not started.

use super::super::text::{quoted, seconds, shown};
use super::super::{MissingPeer, NodeRow};
use super::machines_in_words;
use super::{InvalidDataflowName, PlacementError};
use crate::descriptor::Problems;
use crate::ids::{DataflowId, MachineId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a dataflow was not started. Nothing of it keeps running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartError {
    /// Nodes have no machine.
    NotPlaced {
        /// The descriptor's file.
        file: PathBuf,
        /// One per node at fault.
        errors: Vec<PlacementError>,
    },
    /// A running dataflow has this name.
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        by: DataflowId,
    },
    /// The name cannot be used.
    InvalidName(InvalidDataflowName),
    /// Nodes do not fit their machine: what is wrong, by machine.
    Refused(BTreeMap<MachineId, Problems>),
    /// Nodes of different machines do not fit each other.
    DoNotFit(Problems),
    /// Nodes could not be made.
    NotMade {
        /// The machine.
        machine: MachineId,
        /// Those nodes.
        rows: Vec<NodeRow>,
    },
    /// Machines do not reach each other.
    NotLinked {
        /// The machine that sends.
        machine: MachineId,
        /// What it misses.
        missing: Vec<MissingPeer>,
    },
    /// A machine is not heard of any more.
    MachineLost(MachineId),
    /// A machine's daemon has started anew, or has dropped the dataflow.
    MachineRestarted(MachineId),
    /// A machine's daemon is ending.
    MachineEnds(MachineId),
    /// Machines did not answer in time.
    TimedOut {
        /// Which.
        machines: Vec<MachineId>,
        /// What they were to do.
        step: Step,
        /// The time limit.
        limit: Duration,
    },
    /// Somebody stopped it before it had started.
    Stopped,
    /// The coordinator was started anew meanwhile.
    CoordinatorRestarted,
    /// The coordinator is ending.
    CoordinatorEnds,
    /// Too many dataflows run.
    TooMany {
        /// Most that may run.
        limit: usize,
    },
}

/// A step of the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Checking the nodes.
    Check,
    /// Making the nodes.
    Make,
    /// Letting them go.
    Go,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check => "check its nodes",
            Self::Make => "make its nodes",
            Self::Go => "start its nodes",
        })
    }
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPlaced { file, errors } => not_placed(f, file, errors),
            Self::NameTaken { name, by } => write!(
                f,
                "the name {} is taken by the running dataflow {by}; choose another with `--name`, or stop that one first",
                quoted(name)
            ),
            Self::InvalidName(error) => error.fmt(f),
            Self::Refused(machines) => {
                for (index, (machine, problems)) in machines.iter().enumerate() {
                    let end = if index == 0 { "" } else { "\n" };
                    write!(f, "{end}machine `{machine}` refuses its nodes:\n{problems}")?;
                }
                Ok(())
            }
            Self::DoNotFit(problems) => problems.fmt(f),
            Self::NotMade { machine, rows } => {
                write!(f, "nodes could not be made on machine `{machine}`:")?;
                rows.iter()
                    .try_for_each(|row| write!(f, "\nnode `{}` {}", row.node, row.end))
            }
            Self::NotLinked { machine, missing } => {
                write!(
                    f,
                    "machine `{machine}` does not reach all its readers; is a firewall between the machines?"
                )?;
                missing.iter().try_for_each(|peer| write!(f, "\nmissing: {peer}"))
            }
            Self::MachineLost(machine) => write!(
                f,
                "machine `{machine}` was lost during the start; see to its daemon and start again"
            ),
            Self::MachineRestarted(machine) => write!(
                f,
                "the daemon of machine `{machine}` has restarted during the start; start again"
            ),
            Self::MachineEnds(machine) => write!(
                f,
                "the daemon of machine `{machine}` is ending; start it again, then the dataflow"
            ),
            Self::TimedOut { machines, step, limit } => write!(
                f,
                "{} did not {step} within {}; see the log of the daemon there",
                machines_in_words(machines),
                seconds(*limit)
            ),
            Self::Stopped => f.write_str("the dataflow was stopped before it had started"),
            Self::CoordinatorRestarted => f.write_str(
                "the coordinator was restarted during the start, which has been undone; start again",
            ),
            Self::CoordinatorEnds => {
                f.write_str("the coordinator is ending and starts nothing more")
            }
            Self::TooMany { limit } => write!(
                f,
                "{limit} dataflows run already, which is the most that may; stop some first"
            ),
        }
    }
}

fn not_placed(f: &mut fmt::Formatter<'_>, file: &Path, errors: &[PlacementError]) -> fmt::Result {
    for (index, error) in errors.iter().enumerate() {
        if index > 0 {
            f.write_str("\n")?;
        }
        if let Some(at) = error.at() {
            write!(f, "{}:{at}: ", shown(&file.display().to_string()))?;
        }
        write!(f, "{error}")?;
    }
    Ok(())
}
