//! Rows of the table, and the table.

use crate::figures::{median, percentile, size, thousands};
use crate::{IN_PLACE_FROM, Load, Outcome, Place, Way};

/// First messages of a round that do not count: both sides make things when they are first needed.
const WARM_UP: usize = 10;

/// One way of one load.
pub struct Row {
    pub way: Way,
    pub load: Load,
    /// What arrived in each round.
    pub rounds: Vec<Outcome>,
}

impl Row {
    pub fn new(way: Way, load: Load) -> Self {
        Self {
            way,
            load,
            rounds: Vec::new(),
        }
    }

    pub fn name(&self) -> String {
        let what = if self.is_flood() {
            "throughput"
        } else {
            "latency"
        };
        format!("{what}, {}, {}", size(self.load.bytes), self.side())
    }

    fn side(&self) -> String {
        let Way::Nodes { from, to, in_place } = self.way else {
            return "bare socket".into();
        };
        let [from, to] = [from, to].map(|place| match place {
            Place::Daemon => "daemon",
            Place::Host => "host process",
            Place::Executable => "executable",
        });
        let filled = match (in_place, self.load.bytes >= IN_PLACE_FROM) {
            (true, _) => ", in place",
            (false, true) => ", by copy",
            (false, false) => "",
        };
        format!("{from} to {to}{filled}")
    }

    fn is_flood(&self) -> bool {
        self.load.pace.is_zero()
    }

    fn is_floor_of(&self, other: &Self) -> bool {
        let same = self.load.bytes == other.load.bytes && self.is_flood() == other.is_flood();
        self.way == Way::Bare && same
    }

    /// What the rows are compared by, for each round: microseconds or messages per second.
    fn figures(&self) -> impl Iterator<Item = f64> {
        let of = |round: &Outcome| match self.is_flood() {
            true => round.received as f64 / round.took.as_secs_f64(),
            false => percentile(&counted(round), 50),
        };
        self.rounds.iter().map(of)
    }
}

pub fn print(rows: &[Row]) {
    println!("| size | way | p10 us | p50 us | p99 us | messages/s | to the bare socket |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.iter().filter(|row| !row.rounds.is_empty()) {
        let floor = rows.iter().find(|floor| floor.is_floor_of(row));
        let figures = match row.is_flood() {
            true => format!(" | | | {}", thousands(median(row.figures()))),
            false => {
                let mut times: Vec<_> = row.rounds.iter().flat_map(counted).collect();
                times.sort_unstable();
                let [p10, p50, p99] = [10, 50, 99].map(|percent| percentile(&times, percent));
                format!("{p10:.1} | {p50:.1} | {p99:.1} | ")
            }
        };
        println!(
            "| {} | {} | {figures} | {} |",
            size(row.load.bytes),
            row.side(),
            floor.map_or(String::new(), |floor| ratio(row, floor)),
        );
    }
}

/// The median of the rounds, because a round that the machine has spoilt spoils both of its halves.
fn ratio(row: &Row, floor: &Row) -> String {
    let rounds = row.figures().zip(floor.figures());
    format!("{:.2}", median(rounds.map(|(row, floor)| row / floor)))
}

/// Those of a round that count, sorted.
fn counted(round: &Outcome) -> Vec<u64> {
    let mut times: Vec<_> = round.times.iter().skip(WARM_UP).copied().collect();
    times.sort_unstable();
    times
}
