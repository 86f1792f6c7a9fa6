//! Why a build did not succeed, with what the commands printed last.

use super::job::{CommandLine, Job};
use crate::descriptor::Problems;
use crate::ids::NodeId;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why not all nodes were built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Commands that cannot be run as they are written. Nothing was run.
    #[error(transparent)]
    Commands(#[from] Problems),
    /// Commands failed; at least one.
    #[error("{}", all(.0))]
    Failed(Vec<Failure>),
    /// It was asked to stop.
    #[error("the build was stopped before all nodes were built")]
    Stopped,
}

/// A command that failed. Displays as what failed, where, and the last lines that its job printed.
#[derive(Debug)]
pub struct Failure {
    /// The descriptor.
    pub file: PathBuf,
    /// The job that the command belongs to.
    pub job: Job,
    /// The command.
    pub command: CommandLine,
    /// What happened.
    pub reason: Reason,
    /// The last lines that the job printed, both outputs together, without control characters.
    pub output: Vec<String>,
    /// How many lines came before those.
    pub omitted: u64,
}

/// What happened to a command.
#[derive(Debug)]
pub enum Reason {
    /// Its folder is not there.
    NoFolder,
    /// It could not be started.
    Start(io::Error),
    /// It failed.
    Status(ExitStatus),
    /// The system cannot tell how it ended.
    Lost(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, at) = (self.file.display(), self.job.at);
        let nodes = nodes(&self.job.nodes);
        write!(f, "{file}:{at}: {nodes}: `{}` ", self.command)?;
        let program = &self.command.program;
        match &self.reason {
            Reason::NoFolder => write!(f, "needs the folder")?,
            Reason::Start(error) => match error.kind() {
                io::ErrorKind::NotFound if program.contains(['/', '\\']) => {
                    write!(f, "does not start: there is no file `{program}`")?;
                }
                io::ErrorKind::NotFound => {
                    write!(f, "does not start: `{program}` is not on PATH, install it")?;
                }
                _ => write!(f, "does not start: {error}")?,
            },
            Reason::Status(status) => match crate::sys::ending::crash(*status) {
                Some(crash) => write!(f, "crashed ({crash})")?,
                None => write!(f, "failed ({status})")?,
            },
            Reason::Lost(error) => write!(f, "was lost: {error}")?,
        }
        match &self.reason {
            Reason::NoFolder => write!(f, " {}, which does not exist", self.job.folder.display())?,
            _ => write!(f, ", in {}", self.job.folder.display())?,
        }
        if self.omitted > 0 {
            write!(f, "\n  | ({} lines before)", self.omitted)?;
        }
        for line in &self.output {
            write!(f, "\n  | {line}")?;
        }
        Ok(())
    }
}

/// ``node `a` ``, ``nodes `a`, `b` ``.
fn nodes(ids: &[NodeId]) -> String {
    let word = if ids.len() == 1 { "node" } else { "nodes" };
    let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
    format!("{word} {}", ids.join(", "))
}

fn all(failures: &[Failure]) -> String {
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    texts.join("\n")
}
