//! What is sent from which nodes, and on which sides.
//!
//! Invariant: nodes of dora get the same descriptor on both sides. Absent: when, and what becomes of the figures.

use crate::figures::size;
use crate::load::{Load, SIZES, START_MILLIS, Size};
use crate::outcome::Outcome;
use crate::programs::{DEADLINE, Dora};
use eyre::{WrapErr, eyre};
use std::fmt;
use std::path::{Path, PathBuf};

/// The sizes that are compared.
const COMPARED: [usize; 6] = [8, 4 << 10, 40 << 10, 400 << 10, 4 << 20, 40 << 20];
/// From this size on there is a row with dora's shared memory raised.
const POOL_FROM: usize = 4 << 20;
/// To so many bytes; dora has 8 MiB by default.
const POOL: usize = 512 << 20;
/// Sizes of which messages are sent as fast as they go.
const FLOODS: [usize; 4] = [8, 4 << 10, 4 << 20, 40 << 20];
/// How much longer than elsewhere is measured here: dora's nodes take their time to start, whatever they send.
const LONGER: f64 = 1.5;
/// The same for messages as fast as they go.
const LONGER_FLOOD: f64 = 4.0;

/// Who runs what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nodes of dora under its own daemon.
    Theirs,
    /// The same nodes under this one.
    Ours,
    /// Plugins.
    Plugins,
}

impl Side {
    /// In the order of the columns.
    pub const ALL: [Self; 3] = [Self::Theirs, Self::Ours, Self::Plugins];
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Theirs => "dora's daemon",
            Self::Ours => "this daemon, the same nodes",
            Self::Plugins => "this daemon, plugins",
        })
    }
}

/// What nodes of dora are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// Dora's library for Rust.
    Rust,
    /// The same, with more shared memory than it takes by itself.
    RustWithPool,
    /// Dora's library for Python.
    Python,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub size: Size,
    pub nodes: Nodes,
    /// Whether messages go as fast as they can; else each is timed.
    pub flood: bool,
}

impl Case {
    /// What is sent, and by whom.
    pub fn name(&self) -> String {
        let nodes = match self.nodes {
            Nodes::Rust => String::new(),
            Nodes::RustWithPool => format!(", pool of {}", size(POOL)),
            Nodes::Python => ", nodes in Python".into(),
        };
        let what = if self.flood {
            ", messages per second"
        } else {
            ""
        };
        format!("{}{nodes}{what}", size(self.size.bytes))
    }

    /// Whether it is run on a side: plugins are the same whatever the nodes of dora are made of.
    pub fn is_on(&self, side: Side) -> bool {
        side != Side::Plugins || self.nodes != Nodes::Python
    }

    /// What one run of it sends.
    pub fn load(&self, part: f64) -> Load {
        match self.flood {
            true => Load::flood(&self.size, part * LONGER_FLOOD),
            false => Load::paced(&self.size, part * LONGER),
        }
    }
}

/// All that is compared.
pub fn all(python: bool) -> Vec<Case> {
    let sizes = || {
        SIZES
            .into_iter()
            .filter(|size| COMPARED.contains(&size.bytes))
    };
    let mut cases = Vec::new();
    for size in sizes() {
        for nodes in [Nodes::Rust, Nodes::RustWithPool, Nodes::Python] {
            let wanted = match nodes {
                Nodes::Rust => true,
                Nodes::RustWithPool => size.bytes >= POOL_FROM,
                Nodes::Python => python,
            };
            if wanted {
                let flood = false;
                cases.push(Case { size, nodes, flood });
            }
        }
    }
    for size in sizes().filter(|size| FLOODS.contains(&size.bytes)) {
        let (nodes, flood) = (Nodes::Rust, true);
        cases.push(Case { size, nodes, flood });
    }
    cases
}

/// What all sides are run with.
pub struct Sides {
    pub theirs: Dora,
    pub ours: Dora,
    /// The nodes of dora: in Rust and in Python.
    pub node: PathBuf,
    pub script: PathBuf,
    pub plugin: PathBuf,
    pub folder: host_testing::Folder,
}

impl Sides {
    /// Runs a case on a side.
    ///
    /// # Errors
    /// The dataflow has failed.
    pub fn run(&self, case: &Case, side: Side, load: Load) -> eyre::Result<Outcome> {
        let [sent, report] = ["sent", "report"].map(|name| self.folder.path().join(name));
        for file in [&sent, &report] {
            if file.exists() {
                std::fs::remove_file(file)?;
            }
        }
        let (dora, descriptor) = match side {
            Side::Theirs => (&self.theirs, self.of_dora(case, load, &sent, &report)),
            Side::Ours => (&self.ours, self.of_dora(case, load, &sent, &report)),
            Side::Plugins => (&self.ours, self.of_plugins(load, &sent, &report)),
        };
        let ran = dora.run(self.folder.path(), &descriptor);
        ran.map_err(|why| eyre!("{}, {side}: {why}", case.name()))?;
        let sent = std::fs::read_to_string(&sent).wrap_err("the sender's report")?;
        let report = std::fs::read_to_string(&report).wrap_err("the reader's report")?;
        Outcome::read(sent.trim().parse()?, &report)
    }

    /// A sender and a reader by dora's libraries.
    fn of_dora(&self, case: &Case, load: Load, sent: &Path, report: &Path) -> String {
        let path = match case.nodes {
            Nodes::Rust | Nodes::RustWithPool => &self.node,
            Nodes::Python => &self.script,
        };
        let path = path.display();
        let mut env = format!("DEADLINE: '{}'", DEADLINE.as_secs());
        if case.nodes == Nodes::RustWithPool {
            env += &format!(", DORA_NODE_SHM_POOL_SIZE: '{POOL}'");
        }
        let Load { bytes, count, .. } = load;
        let (micros, millis) = (load.pace.as_micros(), load.limit.as_millis());
        let (timed, queue) = (load.is_timed(), load.queue());
        let (sent, report) = (sent.display(), report.display());
        format!(
            "
nodes:
  - id: sender
    path: '{path}'
    env: {{PART: sender, BYTES: '{bytes}', COUNT: '{count}', MICROS: '{micros}', MILLIS: '{millis}', REPORT: '{sent}', {env}}}
    inputs: {{start: dora/timer/millis/100}}
    outputs: [out]
  - id: reader
    path: '{path}'
    env: {{PART: reader, LATENCIES: '{timed}', REPORT: '{report}', {env}}}
    inputs: {{in: {{source: sender/out, queue_size: {queue}}}}}
"
        )
    }

    /// A sender and a reader as plugins, on threads of their own.
    fn of_plugins(&self, load: Load, sent: &Path, report: &Path) -> String {
        let Load { bytes, count, .. } = load;
        let (micros, millis) = (load.pace.as_micros(), load.limit.as_millis());
        let (timed, queue) = (load.is_timed(), load.queue());
        let (plugin, sent, report) = (self.plugin.display(), sent.display(), report.display());
        let policy = if timed {
            ""
        } else {
            ", queue_policy: backpressure"
        };
        format!(
            "
nodes:
  - id: sender
    path: '{plugin}'
    kind: sender
    config: {{bytes: {bytes}, count: {count}, micros: {micros}, millis: {millis}, file: '{sent}'}}
    inputs: {{start: {{source: dora/timer/millis/{START_MILLIS}, queue_size: 1, queue_policy: drop_newest}}}}
    outputs: [out]
  - id: reader
    path: '{plugin}'
    kind: reader
    config: {{latencies: {timed}, file: '{report}'}}
    inputs: {{in: {{source: sender/out, queue_size: {queue}{policy}}}}}
"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names: Vec<_> = all(true).iter().map(Case::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            names.iter().any(|name| name == "40 MiB, pool of 512 MiB"),
            "{names:?}"
        );
        assert!(!all(false).iter().any(|case| case.nodes == Nodes::Python));
    }
}
