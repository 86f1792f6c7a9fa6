//! What is measured in turns: loads, what arrived of them in each round, and how rows compare.
//!
//! Absent: who sends and reads, and the columns of a table.

use crate::figures::{median, percentile, thousands};
use std::time::Duration;

/// First messages of a round that do not count: both sides make things when they are first needed.
const WARM_UP: usize = 10;

/// What is sent in a round.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Size of a message, at least 8.
    pub bytes: usize,
    /// How many.
    pub count: u64,
    /// Time between two of them; zero for as fast as they go.
    pub pace: Duration,
}

impl Load {
    /// One message after the other for as long as a round takes, and at least so many.
    pub fn paced(bytes: usize, pace: Duration, round: Duration, least: u64) -> Self {
        let in_time = (round.as_nanos() / pace.as_nanos()) as u64;
        let count = in_time.max(least);
        Self { bytes, count, pace }
    }

    /// So many, as fast as they go.
    pub fn flood(bytes: usize, count: u64) -> Self {
        let pace = Duration::ZERO;
        Self { bytes, count, pace }
    }

    /// Whether they are sent as fast as they go.
    pub fn is_flood(&self) -> bool {
        self.pace.is_zero()
    }

    /// What a round of it shows.
    pub fn what(&self) -> &'static str {
        match self.is_flood() {
            true => "throughput",
            false => "latency",
        }
    }
}

/// What arrived.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many messages.
    pub received: u64,
    /// How long it took from the first to the last.
    pub took: Duration,
    /// Nanoseconds that each message took, unless they came as fast as they go.
    pub times: Vec<u64>,
}

impl Outcome {
    /// From a reader's report: a number per line, how many messages, nanoseconds from the first to the last, then the
    /// nanoseconds of each.
    pub fn read(lines: impl Iterator<Item = impl AsRef<str>>) -> Option<Self> {
        let mut numbers = lines.map(|line| line.as_ref().trim().parse::<u64>());
        Some(Self {
            received: numbers.next()?.ok()?,
            took: Duration::from_nanos(numbers.next()?.ok()?),
            times: numbers.collect::<Result<_, _>>().ok()?,
        })
    }

    /// The times that count, sorted.
    fn counted(&self) -> Vec<u64> {
        let mut times: Vec<_> = self.times.iter().skip(WARM_UP).copied().collect();
        times.sort_unstable();
        times
    }

    /// What rows are compared by: microseconds or messages per second.
    fn figure(&self, load: &Load) -> f64 {
        match load.is_flood() {
            true => self.received as f64 / self.took.as_secs_f64(),
            false => percentile(&self.counted(), 50),
        }
    }
}

/// One way of one load, and what arrived in each round.
pub struct Row<W> {
    pub way: W,
    pub load: Load,
    pub rounds: Vec<Outcome>,
}

impl<W> Row<W> {
    pub fn new(way: W, load: Load) -> Self {
        Self {
            way,
            load,
            rounds: Vec::new(),
        }
    }

    /// Whether another row is of the same load.
    pub fn is_like(&self, other: &Self) -> bool {
        self.load.bytes == other.load.bytes && self.load.is_flood() == other.load.is_flood()
    }

    fn figures(&self) -> impl Iterator<Item = f64> {
        self.rounds.iter().map(|round| round.figure(&self.load))
    }

    /// The cells of the three percentiles and of the messages per second.
    pub fn cells(&self) -> String {
        if self.load.is_flood() {
            return format!(" | | | {}", thousands(median(self.figures())));
        }
        let mut times: Vec<_> = self.rounds.iter().flat_map(Outcome::counted).collect();
        times.sort_unstable();
        let [p10, p50, p99] = [10, 50, 99].map(|percent| percentile(&times, percent));
        format!("{p10:.1} | {p50:.1} | {p99:.1} | ")
    }

    /// This by another: the median of the rounds, because a round that the machine has spoilt spoils both of its halves.
    pub fn ratio(&self, other: &Self) -> String {
        let rounds = self.figures().zip(other.figures());
        format!("{:.2}", median(rounds.map(|(this, other)| this / other)))
    }
}

/// What the arguments ask for: how many rounds, and words that the names of the rows have.
pub fn asked<'a>(words: &[&'a str], rounds: usize) -> (usize, Vec<&'a str>) {
    let mut words = words.to_vec();
    // Of cargo's own.
    words.retain(|word| !word.starts_with('-'));
    let given = words.iter().position(|word| word.parse::<usize>().is_ok());
    let given = given.and_then(|at| words.remove(at).parse().ok());
    (given.unwrap_or(rounds), words)
}
