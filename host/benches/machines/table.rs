//! Rows of the table, and the table.

use crate::figures::{median, percentile, size, thousands};
use crate::{Load, Outcome, Way};

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
        format!(
            "{}, {}, {}",
            self.what(),
            size(self.load.bytes),
            self.side()
        )
    }

    fn what(&self) -> &'static str {
        match self.is_flood() {
            true => "throughput",
            false => "latency",
        }
    }

    fn side(&self) -> &'static str {
        match self.way {
            Way::Daemons { waits: false } => "two daemons",
            Way::Daemons { waits: true } => "two daemons, backpressure",
            Way::Tcp { waits: false } => "zenoh, TCP",
            Way::Tcp { waits: true } => "zenoh, TCP, blocking",
            Way::Copied => "zenoh, shared memory by copy",
            Way::InPlace => "zenoh, shared memory in place",
        }
    }

    fn is_flood(&self) -> bool {
        self.load.pace.is_zero()
    }

    /// Whether this is ours for the same load as another row.
    fn is_ours_of(&self, other: &Self) -> bool {
        let waits = match other.way {
            Way::Tcp { waits } => waits,
            Way::Copied => other.is_flood(),
            Way::InPlace => false,
            Way::Daemons { .. } => return false,
        };
        self.way == Way::Daemons { waits }
            && self.load.bytes == other.load.bytes
            && self.is_flood() == other.is_flood()
    }

    /// What the rows are compared by, for each round: microseconds or messages per second.
    fn figures(&self) -> impl Iterator<Item = f64> {
        let of = |round: &Outcome| match self.is_flood() {
            true => rate(round),
            false => percentile(&counted(round), 50),
        };
        self.rounds.iter().map(of)
    }

    fn lost(&self) -> String {
        let sent = self.load.count * self.rounds.len() as u64;
        let received: u64 = self.rounds.iter().map(|round| round.received).sum();
        let lost = sent.saturating_sub(received);
        match lost {
            0 => "0".into(),
            lost => format!(
                "{} of {} ({:.0} %)",
                thousands(lost as f64),
                thousands(sent as f64),
                100.0 * lost as f64 / sent as f64
            ),
        }
    }
}

pub fn print(rows: &[Row]) {
    println!(
        "| what | size | way | p10 us | p50 us | p99 us | messages/s | lost | two daemons / this |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.iter().filter(|row| !row.rounds.is_empty()) {
        let ours = rows.iter().find(|ours| ours.is_ours_of(row));
        let figures = match row.is_flood() {
            true => format!(" | | | {}", thousands(median(row.figures()))),
            false => {
                let mut times: Vec<_> = row.rounds.iter().flat_map(counted).collect();
                times.sort_unstable();
                let of = |percent| percentile(&times, percent);
                let [p10, p50, p99] = [10, 50, 99].map(of);
                format!("{p10:.1} | {p50:.1} | {p99:.1} | ")
            }
        };
        println!(
            "| {} | {} | {} | {figures} | {} | {} |",
            row.what(),
            size(row.load.bytes),
            row.side(),
            row.lost(),
            ours.map_or(String::new(), |ours| ratio(ours, row)),
        );
    }
}

/// Ours by theirs: the median of the rounds, because a round that the machine has spoilt spoils both of its halves.
fn ratio(ours: &Row, theirs: &Row) -> String {
    let rounds = ours.figures().zip(theirs.figures());
    format!("{:.2}", median(rounds.map(|(ours, theirs)| ours / theirs)))
}

/// Those of a round that count, sorted.
fn counted(round: &Outcome) -> Vec<u64> {
    let mut times: Vec<_> = round.times.iter().skip(WARM_UP).copied().collect();
    times.sort_unstable();
    times
}

fn rate(round: &Outcome) -> f64 {
    round.received as f64 / round.took.as_secs_f64()
}
