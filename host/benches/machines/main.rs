//! How long a message takes from a node on one daemon to a node on another, and how many go through in a second, against
//! bare zenoh in the same run.
//!
//! A coordinator and two daemons are processes of their own, and so are zenoh's publisher and subscriber: this program
//! starts itself again for each. All of them are zenoh routers on loopback, linked directly. The sender takes the time
//! before it sends data that exist already, the reader when its callback begins; the payload is not touched. Both sides
//! are measured in turns, so that what else the machine does hits both. Prints one Markdown table. Compare the ratios,
//! not the times: those are the machine's.
//!
//! Arguments: a number, how many rounds; any other word, only the rows whose name contains it.

mod bare;
mod child;
mod daemons;
#[path = "../shared/figures.rs"]
mod figures;
#[path = "../shared/rounds.rs"]
mod rounds;
mod table;

use rounds::{Load, asked};
use std::time::Duration;
use table::Row;

const ROUNDS: usize = 9;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Sizes, and the time between two messages of that size.
const SIZES: [(usize, Duration); 5] = [
    (8, Duration::from_millis(2)),
    (4 * KIB, Duration::from_millis(2)),
    (40 * KIB, Duration::from_millis(2)),
    (400 * KIB, Duration::from_millis(5)),
    (4 * MIB, Duration::from_millis(25)),
];

/// Sizes, and how many messages are sent as fast as they go.
const FLOODS: [(usize, u64); 3] = [(8, 1_000_000), (4 * KIB, 200_000), (4 * MIB, 500)];

/// From this size on there is shared memory.
const SHARED_FROM: usize = 400 * KIB;
/// How long one round of one row takes, and how many messages it has at least.
const ROUND: Duration = Duration::from_millis(600);
const LEAST: u64 = 40;

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From a node on one daemon to a node on another.
    Daemons {
        /// With `backpressure`.
        waits: bool,
    },
    /// From zenoh's publisher to its subscriber over TCP.
    Tcp {
        /// With the congestion control that blocks.
        waits: bool,
    },
    /// The same through zenoh's shared memory, which the publisher copies its data to.
    Copied,
    /// The same, with data that are in the shared memory from the beginning.
    InPlace,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["as", "coordinator"] => daemons::be_coordinator(),
        ["as", "daemon", machine, port, folder] => daemons::be_daemon(machine, port, folder),
        ["as", "subscriber", shared, timed] => bare::be_subscriber(shared, timed),
        ["as", "publisher", rest @ ..] => bare::be_publisher(rest),
        words => bench(words),
    }
}

fn bench(words: &[&str]) {
    let (rounds, words) = asked(words, ROUNDS);
    let mut rows = latencies();
    rows.extend(throughputs());
    rows.retain(|row| words.iter().all(|word| row.name().contains(*word)));
    let daemons = daemons::Daemons::start();
    for round in 1..=rounds {
        for row in &mut rows {
            eprintln!("round {round} of {rounds}: {}", row.name());
            let outcome = match row.way {
                Way::Daemons { waits } => daemons.run(row.load, waits),
                way => bare::run(way, row.load),
            };
            row.rounds.extend(outcome);
        }
    }
    drop(daemons);
    table::print(&rows);
}

fn latencies() -> Vec<Row> {
    let mut rows = Vec::new();
    for (bytes, pace) in SIZES {
        let load = Load::paced(bytes, pace, ROUND, LEAST);
        let mut ways = vec![Way::Daemons { waits: false }, Way::Tcp { waits: false }];
        if bytes >= SHARED_FROM {
            ways.extend([Way::Copied, Way::InPlace]);
        }
        rows.extend(ways.into_iter().map(|way| Row::new(way, load)));
    }
    rows
}

fn throughputs() -> Vec<Row> {
    let mut rows = Vec::new();
    for (bytes, count) in FLOODS {
        let load = Load::flood(bytes, count);
        for waits in [false, true] {
            // What is lost is a question of small messages.
            if waits || bytes == 8 {
                rows.push(Row::new(Way::Daemons { waits }, load));
                rows.push(Row::new(Way::Tcp { waits }, load));
            }
        }
        if bytes >= SHARED_FROM {
            rows.push(Row::new(Way::Copied, load));
        }
    }
    rows
}
