//! A row: one way of one size, and what it showed in each round.
//!
//! Absent: how it is written.

use crate::figures::{median, percentile, size};
use crate::load::Size;
use crate::outcome::{Outcome, Round};
use crate::way::Way;
use std::time::Duration;

/// A row.
pub struct Row {
    pub way: Way,
    pub size: Size,
    /// A run of one message, for what is no message's cost.
    pub single: Option<Outcome>,
    /// Nothing for a round that failed.
    pub rounds: Vec<Option<Round>>,
}

/// What a row shows.
#[derive(Debug, Default)]
pub struct Figures {
    /// Microseconds: p50, p90, p99, p99.9.
    pub latency: Option<[f64; 4]>,
    /// Messages that these are of.
    pub timed: usize,
    pub messages_per_second: Option<f64>,
    pub bytes_per_second: Option<f64>,
    /// Microseconds of processor time per message.
    pub cpu: Option<f64>,
    /// Messages sent, and lost of these: at their pace, and as fast as they go.
    pub paced: [u64; 2],
    pub flood: [u64; 2],
}

impl Row {
    pub fn new(way: Way, size: Size) -> Self {
        Self {
            way,
            size,
            single: None,
            rounds: Vec::new(),
        }
    }

    /// What words are looked for in.
    pub fn name(&self) -> String {
        format!("{}, {}", size(self.size.bytes), self.way)
    }

    /// Whether all the words are in it: sizes as a whole, the rest as a part of the way's name.
    pub fn has(&self, words: &[String]) -> bool {
        let bytes = plain(&size(self.size.bytes));
        let way = self.way.to_string().to_lowercase();
        let is_size = |word: &str| {
            crate::load::SIZES
                .iter()
                .any(|it| plain(&size(it.bytes)) == plain(word))
        };
        words.iter().all(|word| {
            word.split(',').any(|one| match is_size(one) {
                true => plain(one) == bytes,
                false => way.contains(&one.to_lowercase()),
            })
        })
    }

    fn there(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().flatten()
    }

    /// Of all rounds together.
    pub fn figures(&self) -> Figures {
        let mut times: Vec<_> = self
            .there()
            .flat_map(|round| &round.paced.times)
            .copied()
            .collect();
        times.sort_unstable();
        let at = |percent| percentile(&times, percent);
        let rate = median(self.there().filter_map(|round| round.flood.rate()));
        let lost = |of: fn(&Round) -> &Outcome| {
            let all = self.there().map(|round| [of(round).sent, of(round).lost()]);
            all.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]])
        };
        Figures {
            latency: at(50.0)
                .zip(at(90.0))
                .zip(at(99.0))
                .zip(at(99.9))
                .map(|(((a, b), c), d)| [a, b, c, d]),
            timed: times.len(),
            messages_per_second: rate,
            // A wake carries nothing.
            bytes_per_second: rate
                .filter(|_| self.way != Way::Floor(crate::way::Floor::Wake))
                .map(|rate| rate * self.size.bytes as f64),
            cpu: self.cpu(),
            paced: lost(|round| &round.paced),
            flood: lost(|round| &round.flood),
        }
    }

    /// Microseconds of processor time of a message among many, without what a run costs by itself; nothing where that is more
    /// than all of them.
    fn cpu(&self) -> Option<f64> {
        let single = self.single.as_ref()?.cpu?.as_secs_f64();
        let (mut used, mut messages) = (0.0, 0);
        for round in self.there() {
            used += round.flood.cpu?.as_secs_f64() - single;
            messages += round.flood.sent.saturating_sub(1);
        }
        (messages > 0 && used > 0.0)
            .then(|| used / messages as f64 * Duration::from_secs(1).as_micros() as f64)
    }

    /// The times of this to those of another: the median of the rounds, because a round that the machine has spoilt spoils
    /// both of its halves.
    pub fn slower_than(&self, other: &Self) -> Option<f64> {
        self.ratio(other, |round| round.paced.p50())
    }

    /// The messages per second of this to those of another, likewise.
    pub fn faster_than(&self, other: &Self) -> Option<f64> {
        self.ratio(other, |round| round.flood.rate())
    }

    fn ratio(&self, other: &Self, of: fn(&Round) -> Option<f64>) -> Option<f64> {
        let rounds = self.rounds.iter().zip(&other.rounds);
        let ratios = rounds.filter_map(|(this, other)| {
            let (this, other) = (of(this.as_ref()?)?, of(other.as_ref()?)?);
            Some(this / other)
        });
        median(ratios)
    }
}

/// The row of a row's floor.
pub fn floor_of<'a>(row: &Row, rows: &'a [Row]) -> Option<&'a Row> {
    let floor = Way::Floor(row.way.floor(row.size.bytes)?);
    let mut rows = rows.iter();
    rows.find(|other| other.way == floor && other.size.bytes == row.size.bytes)
}

/// Without case and spaces.
fn plain(text: &str) -> String {
    let text = text.chars().filter(|char| !char.is_whitespace());
    text.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::way;

    fn names(words: &[&str]) -> Vec<String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        let rows = way::all()
            .into_iter()
            .map(|(way, size)| Row::new(way, size));
        rows.filter(|row| row.has(&words))
            .map(|row| row.name())
            .collect()
    }

    #[test]
    fn words_choose_rows() {
        assert_eq!(names(&["8 B", "own threads"]), ["8 B, own threads"]);
        assert_eq!(
            names(&["4kib,40 MiB", "SENDER"]),
            ["4 KiB, thread: sender", "40 MiB, thread: sender"]
        );
        assert_eq!(names(&["4 B"]), [""; 0]);
        assert_eq!(names(&[]).len(), way::all().len());
    }

    fn round(nanos: u64, received: u64, cpu: u64) -> Option<Round> {
        let outcome = |times: &[u64]| Outcome {
            sent: received + 1,
            received,
            took: Duration::from_secs(1),
            times: times.to_vec(),
            cpu: Some(Duration::from_micros(cpu)),
        };
        Some(Round {
            paced: outcome(&[nanos]),
            flood: outcome(&[]),
        })
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let [mut row, mut floor] = [(); 2].map(|()| {
            let (way, size) = way::all()[0];
            Row::new(way, size)
        });
        row.rounds = vec![
            round(2_000, 100, 0),
            None,
            round(9_000, 100, 0),
            round(4_000, 100, 0),
        ];
        floor.rounds = vec![
            round(1_000, 200, 0),
            round(1, 1, 0),
            round(3_000, 200, 0),
            round(2_000, 200, 0),
        ];
        assert_eq!(row.slower_than(&floor), Some(2.0));
        assert_eq!(row.faster_than(&floor), Some(0.5));
        let figures = row.figures();
        assert_eq!(
            (figures.timed, figures.paced, figures.flood),
            (3, [303, 3], [303, 3])
        );
    }

    #[test]
    fn what_a_run_costs_by_itself_is_no_message_s_cost() {
        let (way, size) = way::all()[0];
        let mut row = Row::new(way, size);
        row.rounds = vec![round(1, 100, 1_250), round(1, 100, 1_250)];
        assert_eq!(row.figures().cpu, None);
        row.single = round(1, 1, 250).map(|round| round.flood);
        assert_eq!(row.figures().cpu, Some(10.0));
        row.single = round(1, 1, 2_000).map(|round| round.flood);
        assert_eq!(row.figures().cpu, None);
    }
}
