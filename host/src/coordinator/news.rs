//! What a coordinator has to tell whoever runs it, and the sentences for it.

use super::disk::MemoryTrouble;
use super::event::Note;
use crate::ids::DataflowId;
use std::fmt;

/// Something worth a line.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Something has happened.
    Note {
        /// What.
        note: Note,
        /// The name of the dataflow that it is about.
        name: Option<String>,
    },
    /// Something is the matter with its memory.
    Memory(MemoryTrouble),
}

impl News {
    /// Whether somebody should look after it.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::Memory(MemoryTrouble::WrittenAgain { .. }) => false,
            Self::Memory(_) => true,
            Self::Note { note, .. } => matches!(
                note,
                Note::DaemonLost(_)
                    | Note::DaemonRestarted(_)
                    | Note::DaemonDied(..)
                    | Note::Crashed(_)
                    | Note::Again(..)
                    | Note::MachineIdTaken(_)
                    | Note::Incompatible(_)
                    | Note::NotStarted(..)
            ),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(trouble) => trouble.fmt(f),
            Self::Note { note, name } => said(f, note, name.as_deref()),
        }
    }
}

fn said(f: &mut fmt::Formatter<'_>, note: &Note, name: Option<&str>) -> fmt::Result {
    let dataflow = |id: &DataflowId| match name {
        Some(name) => format!("dataflow `{}` ({id})", name.escape_debug()),
        None => format!("dataflow {id}"),
    };
    match note {
        Note::DaemonCame(machine) => write!(f, "machine `{machine}` is connected"),
        Note::DaemonLeft(machine) => write!(f, "the daemon of machine `{machine}` has ended"),
        Note::DaemonLost(machine) => write!(
            f,
            "machine `{machine}` is not heard of any more; what it runs goes on there unless its daemon has ended"
        ),
        Note::DaemonBack(machine) => write!(f, "machine `{machine}` is back"),
        Note::DaemonRestarted(machine) => write!(
            f,
            "the daemon of machine `{machine}` was started anew; what it ran before is lost"
        ),
        Note::DaemonDied(machine, how) => write!(
            f,
            "the daemon of machine `{machine}` died with {} and was started anew; of what it ran, only that goes on which \
             is told of as started again",
            how.escape_debug()
        ),
        Note::Crashed(culprit) => write!(
            f,
            "{}: node `{}` {}",
            dataflow(&culprit.dataflow),
            culprit.node,
            culprit.text.escape_debug()
        ),
        Note::Again(id, machine) => write!(
            f,
            "{}: its nodes on machine `{machine}` that may be started again are",
            dataflow(id)
        ),
        Note::MachineIdTaken(machine) => write!(
            f,
            "a second daemon with the machine id `{machine}` was refused; give it another with `--machine-id`"
        ),
        Note::Incompatible(error) => write!(f, "a daemon was refused: {error}"),
        Note::Starting(id) => write!(f, "{}: starting", dataflow(id)),
        Note::Started(id) => write!(f, "{}: running", dataflow(id)),
        Note::NotStarted(id, error) => write!(f, "{}: not started: {error}", dataflow(id)),
        Note::Adopted(id) => write!(
            f,
            "{}: it runs, started by a coordinator before this one",
            dataflow(id)
        ),
        Note::Ended(id) => write!(f, "{}: ended", dataflow(id)),
    }
}

impl Note {
    /// The dataflow that it is about.
    pub(super) fn dataflow(&self) -> Option<DataflowId> {
        match self {
            Self::Starting(id)
            | Self::Started(id)
            | Self::NotStarted(id, _)
            | Self::Adopted(id)
            | Self::Ended(id) => Some(*id),
            Self::Again(id, _) => Some(*id),
            Self::Crashed(culprit) => Some(culprit.dataflow),
            Self::DaemonCame(_)
            | Self::DaemonLeft(_)
            | Self::DaemonLost(_)
            | Self::DaemonBack(_)
            | Self::DaemonRestarted(_)
            | Self::DaemonDied(..)
            | Self::MachineIdTaken(_)
            | Self::Incompatible(_) => None,
        }
    }
}
