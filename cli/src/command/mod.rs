//! The commands, a file each, and what they share.

pub mod graph;
mod logs;
pub mod run;
pub mod schema;
mod signals;
mod summary;

use eyre::Result;
use host::descriptor::{Descriptor, Problems};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// A time on the command line: `10s`, `500ms`, `2m`.
fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Reads a descriptor; its problems are printed as they are.
fn read(file: &Path) -> Result<Descriptor> {
    Descriptor::read(file).map_err(refused)
}

/// The problems of a descriptor as this command's error: each line says its place itself.
fn refused(problems: Problems) -> eyre::Report {
    eyre::Report::new(problems)
}

fn print_warnings(warnings: &Problems) {
    for problem in warnings.iter() {
        eprintln!("{}", warnings.line(problem));
    }
}

/// On one machine every node runs here, whatever the descriptor says.
fn note_machines(descriptor: &Descriptor) {
    let placed = descriptor
        .nodes
        .iter()
        .filter_map(|node| node.deploy.machine.as_ref());
    let machines: BTreeSet<String> = placed.map(|machine| machine.value.to_string()).collect();
    if !machines.is_empty() {
        let list = machines.into_iter().collect::<Vec<_>>().join(", ");
        eprintln!(
            "note: `dora run` runs every node on this machine; `machine` ({list}) is ignored"
        );
    }
}
