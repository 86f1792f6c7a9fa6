//! What more readers of one output cost.

use super::chart::Chart;
use super::runs::{Pace, Runs};
use super::{cell, growth, points};
use crate::figures::{percentile, thousands};
use crate::outcome::Outcome;
use eyre::ensure;
use std::time::Duration;

/// Between two messages.
const PACE: Duration = Duration::from_millis(5);

/// What so many readers cost.
pub struct Readers {
    count: usize,
    /// Nanoseconds until a reader had a message, and until the last of them had it; sorted.
    each: Vec<u64>,
    last: Vec<u64>,
    /// Messages per second that all of them got.
    rate: Option<f64>,
    /// Bytes, while messages were timed.
    memory: Option<u64>,
}

/// Measures it.
///
/// # Errors
/// A dataflow fails, or loses a message.
pub fn measure(runs: &Runs, count: usize) -> eyre::Result<Readers> {
    eprintln!("{count} readers");
    let (timed, memory) = runs.fan(count, Pace::Timed(PACE))?;
    let sent = usize::try_from(runs.sent()?)?;
    let mut each = Vec::new();
    let mut last = vec![0_u64; sent];
    for report in &timed {
        let times = report.lines().skip(2).map(str::parse);
        let times: Vec<u64> = times.collect::<Result<_, _>>()?;
        ensure!(
            times.len() == sent,
            "{} of {sent} messages came",
            times.len()
        );
        for (last, time) in last.iter_mut().zip(&times) {
            *last = (*last).max(*time);
        }
        each.extend(times);
    }
    each.sort_unstable();
    last.sort_unstable();
    let (flood, _) = runs.fan(count, Pace::Flood)?;
    let sent = runs.sent()?;
    let mut rate: Option<f64> = None;
    for report in &flood {
        let outcome = Outcome::read(sent, report)?;
        ensure!(outcome.lost() == 0, "{} messages were lost", outcome.lost());
        // Whoever was slowest.
        rate = match (rate, outcome.rate()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(Readers {
        count,
        each,
        last,
        rate,
        memory,
    })
}

impl Readers {
    fn at(&self, figure: Option<f64>) -> Option<(f64, f64)> {
        Some((self.count as f64, figure?))
    }

    fn each(&self) -> Option<f64> {
        percentile(&self.each, 50.0)
    }

    fn last(&self) -> Option<f64> {
        percentile(&self.last, 50.0)
    }

    /// To all readers together.
    fn deliveries(&self) -> Option<f64> {
        Some(self.rate? * self.count as f64)
    }

    fn memory(&self) -> Option<f64> {
        Some(self.memory? as f64 / 1e6)
    }
}

/// The table, and how fast its figures grow.
pub fn print(all: &[Readers]) {
    println!(
        "| readers | p50 us | until the last has it, p50 us | messages/s | to all readers, /s | memory MB |\n\
         | --- | --- | --- | --- | --- | --- |"
    );
    for it in all {
        let whole = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), thousands);
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            it.count,
            cell(it.each()),
            cell(it.last()),
            whole(it.rate),
            whole(it.deliveries()),
            cell(it.memory()),
        );
    }
    growth::print(
        "readers",
        &[
            (
                "latency until the last has it",
                points(all, |it| it.at(it.last())),
            ),
            (
                "messages to all readers",
                points(all, |it| it.at(it.deliveries())),
            ),
            ("memory", points(all, |it| it.at(it.memory()))),
        ],
    );
}

/// The plots, each with its name.
pub fn charts(all: &[Readers]) -> [(&'static str, Chart<'static>); 3] {
    [
        (
            "readers-latency",
            Chart {
                title: "Latency of 8 bytes, p50 in microseconds",
                x: "readers of one output; dashed: in step with them",
                lines: vec![
                    ("until the last has it", points(all, |it| it.at(it.last()))),
                    ("all readers", points(all, |it| it.at(it.each()))),
                ],
                in_step: true,
            },
        ),
        (
            "readers-throughput",
            Chart {
                title: "Messages of 8 bytes per second, none lost",
                x: "readers of one output",
                lines: vec![
                    ("to all together", points(all, |it| it.at(it.deliveries()))),
                    ("to each", points(all, |it| it.at(it.rate))),
                ],
                in_step: false,
            },
        ),
        (
            "readers-memory",
            Chart {
                title: "Memory in MB",
                x: "readers of one output; dashed: in step with them",
                lines: vec![("MB", points(all, |it| it.at(it.memory())))],
                in_step: true,
            },
        ),
    ]
}
