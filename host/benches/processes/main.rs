//! How long a message takes between nodes of which at least one has a process of its own, and how many go through in a
//! second, against a bare socket between two processes in the same run.
//!
//! The sender takes the time before it sends data that exist already, the reader when its callback begins; the payload is
//! not touched by the reader. All ways are measured in turns, so that what else the machine does hits all of them. Prints
//! one Markdown table. Compare the ratios, not the times: those are the machine's.
//!
//! Arguments: a number, how many rounds; any other word, only the rows whose name contains it.

mod bare;
mod dataflows;
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/rounds.rs"]
mod rounds;
mod table;

use host::hosted;
use host::plugin::describe;
use host::plugin::preflight::Isolation;
use host::process::host_process;
use rounds::{Load, asked};
use std::path::Path;
use std::time::Duration;
use table::Row;

const ROUNDS: usize = 5;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Sizes, and the time between two messages of that size.
const SIZES: [(usize, Duration); 6] = [
    (8, Duration::from_millis(2)),
    (4 * KIB, Duration::from_millis(2)),
    (40 * KIB, Duration::from_millis(2)),
    (400 * KIB, Duration::from_millis(5)),
    (4 * MIB, Duration::from_millis(25)),
    (40 * MIB, Duration::from_millis(100)),
];

/// Messages of 8 bytes that are sent as fast as they go.
const FLOOD: u64 = 300_000;
/// From this size on there is something to fill in place.
const IN_PLACE_FROM: usize = 40 * KIB;
/// How long one round of one row takes, and how many messages it has at least.
const ROUND: Duration = Duration::from_millis(500);
const LEAST: u64 = 25;

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// As a plugin in this process, which is the daemon here.
    Daemon,
    /// As a plugin in a host process of its own.
    Host,
    /// As an executable.
    Executable,
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From process to process through a socket (on Windows a pipe), each message written and read as a whole.
    Bare,
    /// From node to node.
    Nodes {
        /// The sender.
        from: Place,
        /// The reader.
        to: Place,
        /// The data are filled in the host's memory; else they come from the node's own.
        in_place: bool,
    },
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [host_process::SUBCOMMAND, host_process::ALONE] => {
            // The daemon's side has been told what was not good.
            hosted::run_alone().expect("a daemon");
        }
        [describe::SUBCOMMAND, .., file] => {
            describe::answer(Path::new(file), Isolation::Own).expect("somebody who asks");
        }
        [bare::READER, bytes, timed] => bare::be_reader(bytes, timed),
        words => bench(words),
    }
}

fn bench(words: &[&str]) {
    let (rounds, words) = asked(words, ROUNDS);
    let mut rows = rows();
    rows.retain(|row| words.iter().all(|word| row.name().contains(*word)));
    let dataflows = dataflows::Dataflows::new();
    for round in 1..=rounds {
        for row in &mut rows {
            eprintln!("round {round} of {rounds}: {}", row.name());
            let outcome = match row.way {
                Way::Bare => bare::run(row.load),
                Way::Nodes { from, to, in_place } => dataflows.run([from, to], in_place, row.load),
            };
            row.rounds.push(outcome);
        }
    }
    table::print(&rows);
}

fn rows() -> Vec<Row> {
    use Place::{Daemon, Executable, Host};
    let places = [
        (Daemon, Host),
        (Host, Daemon),
        (Daemon, Executable),
        (Host, Host),
    ];
    let ways = |bytes: usize| {
        let fillings = [false, true].into_iter();
        let fillings = fillings.filter(move |in_place| !in_place || bytes >= IN_PLACE_FROM);
        let nodes = fillings
            .flat_map(move |in_place| places.map(|(from, to)| Way::Nodes { from, to, in_place }));
        std::iter::once(Way::Bare).chain(nodes)
    };
    let mut rows = Vec::new();
    for (bytes, pace) in SIZES {
        let load = Load::paced(bytes, pace, ROUND, LEAST);
        rows.extend(ways(bytes).map(|way| Row::new(way, load)));
    }
    let load = Load::flood(8, FLOOD);
    rows.extend(ways(8).map(|way| Row::new(way, load)));
    rows
}
