//! The engine's report as it travels.

use crate::control::{NodeEnd, NodeRow};
use crate::engine::{Ending, NodeReport};
use crate::ids::MachineId;

/// How a node ended, as a value that crosses processes.
pub fn node_end(ending: &Ending) -> NodeEnd {
    match ending {
        Ending::Finished => NodeEnd::Finished,
        Ending::Stopped => NodeEnd::Stopped,
        Ending::Failed {
            failure,
            last_input,
        } => NodeEnd::Failed {
            text: failure.to_string(),
            last_input: last_input.clone(),
        },
        Ending::NotCreated(failure) => NodeEnd::NotMade {
            text: failure.to_string(),
        },
        Ending::Stuck => NodeEnd::Stuck,
    }
}

/// What became of a node on this machine.
pub fn node_row(report: &NodeReport, machine: &MachineId) -> NodeRow {
    NodeRow {
        node: report.id.clone(),
        machine: machine.clone(),
        end: node_end(&report.ending),
        received: report.received,
        sent: report.sent(),
        dropped: report.dropped(),
        discarded: report.discarded(),
        restarts: report.restarts,
    }
}
