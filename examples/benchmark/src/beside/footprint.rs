//! What fifty nodes take that have nothing to do: the time until all run, memory, threads, and time on a processor.
//!
//! Invariant: coordinator, daemon and nodes count, the command that starts them does not. Absent: systems that do not tell.

use super::case::{Side, Sides};
use crate::idle::{self, Idle};
use crate::programs::{Cluster, DEADLINE};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// What the rows are called.
pub const NAME: &str = "50 nodes";
const NODES: usize = 50;
/// For how long nothing happens.
const QUIET: Duration = Duration::from_secs(5);

/// What they take.
pub type Footprint = Idle;

/// Measures one side.
///
/// # Errors
/// They do not start.
pub fn measure(sides: &Sides, side: Side) -> eyre::Result<Footprint> {
    let dora = match side {
        Side::Theirs => &sides.theirs,
        Side::Ours | Side::Plugins => &sides.ours,
    };
    let cluster = Cluster::start(dora, &["A"]);
    let signs = idle::Signs::new(NODES)?;
    let mut descriptor = String::from("nodes:\n");
    for node in 0..NODES {
        let file = signs.file(node);
        let what = match side {
            Side::Plugins => format!(
                "    path: '{}'\n    kind: idle\n    config: {{file: '{}'}}\n",
                sides.plugin.display(),
                file.display()
            ),
            Side::Theirs | Side::Ours => format!(
                "    path: '{}'\n    env: {{PART: idle, REPORT: '{}', DEADLINE: '{}'}}\n",
                sides.node.display(),
                file.display(),
                2 * DEADLINE.as_secs()
            ),
        };
        write!(
            descriptor,
            "  - id: n{node}\n{what}    deploy: {{machine: A}}\n    inputs: {{tick: dora/timer/secs/3600}}\n"
        )?;
    }
    let began = Instant::now();
    cluster
        .begin(&descriptor)
        .map_err(|why| eyre::eyre!("{NAME}, {side}: {why}"))?;
    signs.wait(DEADLINE)?;
    let start = began.elapsed();
    Ok(Idle::of(start, || cluster.processes(), QUIET))
}
