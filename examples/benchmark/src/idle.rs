//! Nodes that have nothing to do: when all of them run, and what they take then.
//!
//! Invariant: what is measured is between two looks, with no start and no end in it. Absent: who runs them.

use crate::usage::Usage;
use eyre::{WrapErr, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Between two looks for signs, and after the last one, when what starts has settled.
const LOOK: Duration = Duration::from_millis(2);
const SETTLED: Duration = Duration::from_millis(500);

/// The files by which nodes say that they run.
pub struct Signs {
    folder: TempDir,
    nodes: usize,
}

impl Signs {
    /// Of so many nodes.
    ///
    /// # Errors
    /// There is no folder for them.
    pub fn new(nodes: usize) -> eyre::Result<Self> {
        let folder = tempfile::tempdir().wrap_err("a folder")?;
        Ok(Self { folder, nodes })
    }

    /// That of a node.
    pub fn file(&self, node: usize) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    /// Waits until all of them run.
    ///
    /// # Errors
    /// They do not by the deadline.
    pub fn wait(&self, deadline: Duration) -> eyre::Result<()> {
        let until = Instant::now() + deadline;
        let mut next = 0;
        while next < self.nodes {
            match self.file(next).exists() {
                true => next += 1,
                false => {
                    ensure!(
                        Instant::now() < until,
                        "node {next} does not run within {deadline:?}"
                    );
                    std::thread::sleep(LOOK);
                }
            }
        }
        Ok(())
    }
}

/// What nodes take that have nothing to do.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// Until all run.
    pub start: Duration,
    /// What their processes take, where the system tells.
    pub usage: Option<Usage>,
    /// Of a core, in percent.
    pub busy: Option<f64>,
}

impl Idle {
    /// Looks twice at what runs, with so much time between.
    pub fn of(start: Duration, processes: impl FnOnce() -> Vec<u32>, quiet: Duration) -> Self {
        std::thread::sleep(SETTLED);
        let processes = processes();
        let (before, began) = (Usage::of(&processes), Instant::now());
        std::thread::sleep(quiet);
        let (after, took) = (Usage::of(&processes), began.elapsed());
        let busy = before.zip(after).map(|(before, after)| {
            let busy = after.busy.saturating_sub(before.busy);
            busy.as_secs_f64() * 100.0 / took.as_secs_f64()
        });
        Self {
            start,
            usage: after,
            busy,
        }
    }
}
