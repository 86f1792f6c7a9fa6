//! Many nodes on one daemon: how long until all run, and what they take when they have nothing to do.

use super::Row;
use crate::idle::{Idle, Signs};
use crate::programs::{Cluster, DEADLINE, Dora};
use eyre::eyre;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// So many that start, and so many that are looked at for a while.
const MANY: usize = 1_000;
const FEW: usize = 50;
/// For how long.
const QUIET: Duration = Duration::from_secs(10);

/// Rows of both.
///
/// # Errors
/// They do not run.
pub fn rows(dora: &Dora, plugin: &Path, quick: bool) -> eyre::Result<Vec<Row>> {
    let (many, quiet) = match quick {
        true => (FEW, QUIET / 20),
        false => (MANY, QUIET),
    };
    let started = measure(dora, plugin, many, Cluster::processes, quiet / 10)?;
    let idle = measure(dora, plugin, FEW, Cluster::of_daemons, quiet)?;
    let megabytes = started.usage.map(|usage| usage.memory as f64 / 1e6);
    Ok(vec![
        Row::times(
            format!("{many} plugin nodes by `dora start`, until all run"),
            vec![started.start],
            Some(1_000.0),
        ),
        Row {
            what: format!("{many} plugin nodes: memory of coordinator and daemon"),
            unit: "MB",
            figures: megabytes.into_iter().collect(),
            target: Some(100.0),
        },
        Row {
            what: format!("{FEW} plugin nodes that have nothing to do: of a core, their daemon"),
            unit: "%",
            figures: idle.busy.into_iter().collect(),
            target: Some(0.5),
        },
    ])
}

fn measure(
    dora: &Dora,
    plugin: &Path,
    nodes: usize,
    who: impl Fn(&Cluster) -> Vec<u32>,
    quiet: Duration,
) -> eyre::Result<Idle> {
    let cluster = Cluster::start(dora, &["A"]);
    let signs = Signs::new(nodes)?;
    let mut text = String::from("nodes:\n");
    for node in 0..nodes {
        let (plugin, file) = (plugin.display(), signs.file(node));
        write!(
            text,
            "  - id: n{node}\n    path: '{plugin}'\n    kind: idle\n    config: {{file: '{}'}}\n    \
             inputs: {{tick: dora/timer/secs/3600}}\n",
            file.display()
        )?;
    }
    let began = Instant::now();
    cluster
        .begin(&text)
        .map_err(|why| eyre!("{nodes} nodes: {why}"))?;
    signs.wait(DEADLINE)?;
    let start = began.elapsed();
    Ok(Idle::of(start, || who(&cluster), quiet))
}
