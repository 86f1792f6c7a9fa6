//! What more nodes cost: in a chain that a message goes through, and beside a message's way.

use super::chart::Chart;
use super::runs::{Pace, Runs};
use super::{cell, growth, points};
use crate::figures::thousands;
use crate::idle::Idle;
use crate::outcome::Outcome;
use std::time::Duration;

/// Between two messages, at least; a chain has as much more as it takes, so that one is through before the next comes.
const PACE: Duration = Duration::from_millis(2);
const HOP: Duration = Duration::from_micros(30);

/// What so many nodes cost.
pub struct Nodes {
    count: usize,
    /// None of them has anything to do.
    idle: Idle,
    /// All but two have nothing to do.
    beside: Option<Outcome>,
    /// A message goes through all: timed, and as fast as they go.
    chain: Option<[Outcome; 2]>,
}

/// Measures it.
///
/// # Errors
/// A dataflow fails.
pub fn measure(runs: &Runs, count: usize) -> eyre::Result<Nodes> {
    eprintln!("{count} nodes");
    // A message needs two.
    let others = count.checked_sub(2);
    let chain = |pace| runs.chain(count, pace);
    Ok(Nodes {
        count,
        idle: runs.idle(count)?,
        beside: others
            .map(|idle| runs.beside(idle, Pace::Timed(PACE)))
            .transpose()?,
        chain: match others {
            Some(_) => {
                let pace = PACE.max(HOP * u32::try_from(count)?);
                Some([chain(Pace::Timed(pace))?, chain(Pace::Flood)?])
            }
            None => None,
        },
    })
}

impl Nodes {
    fn hops(&self) -> f64 {
        self.count as f64 - 1.0
    }

    fn chain_latency(&self) -> Option<f64> {
        self.chain.as_ref()?[0].p50()
    }

    fn chain_rate(&self) -> Option<f64> {
        self.chain.as_ref()?[1].rate()
    }

    fn beside_latency(&self) -> Option<f64> {
        self.beside.as_ref()?.p50()
    }

    /// From node to node, in the whole chain.
    fn deliveries(&self) -> Option<f64> {
        Some(self.chain_rate()? * self.hops())
    }

    fn memory(&self) -> Option<f64> {
        Some(self.idle.usage?.memory as f64 / 1e6)
    }

    fn start(&self) -> f64 {
        self.idle.start.as_secs_f64() * 1e3
    }

    fn at(&self, figure: Option<f64>) -> Option<(f64, f64)> {
        Some((self.count as f64, figure?))
    }
}

/// The table, and how fast its figures grow.
pub fn print(all: &[Nodes]) {
    println!(
        "| nodes | idle: start ms | memory MB | % of a core | a pair beside idle ones, p50 us | chain, p50 us | per hop us | \
         messages/s | node to node, /s |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for it in all {
        let whole = |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), thousands);
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            thousands(it.count as f64),
            cell(Some(it.start())),
            cell(it.memory()),
            cell(it.idle.busy),
            cell(it.beside_latency()),
            cell(it.chain_latency()),
            cell(it.chain_latency().map(|micros| micros / it.hops())),
            whole(it.chain_rate()),
            whole(it.deliveries()),
        );
    }
    growth::print(
        "nodes",
        &[
            ("start", points(all, |it| it.at(Some(it.start())))),
            ("memory", points(all, |it| it.at(it.memory()))),
            (
                "latency beside idle nodes",
                points(all, |it| it.at(it.beside_latency())),
            ),
            (
                "latency through the chain",
                points(all, |it| it.at(it.chain_latency())),
            ),
            (
                "messages from node to node",
                points(all, |it| it.at(it.deliveries())),
            ),
        ],
    );
}

/// The plots, each with its name.
pub fn charts(all: &[Nodes]) -> [(&'static str, Chart<'static>); 3] {
    [
        (
            "nodes-latency",
            Chart {
                title: "Latency of 8 bytes, p50 in microseconds",
                x: "nodes; dashed: in step with them",
                lines: vec![
                    (
                        "through a chain of all",
                        points(all, |it| it.at(it.chain_latency())),
                    ),
                    (
                        "from one to another, the others idle",
                        points(all, |it| it.at(it.beside_latency())),
                    ),
                ],
                in_step: true,
            },
        ),
        (
            "nodes-throughput",
            Chart {
                title: "Messages of 8 bytes per second, none lost",
                x: "nodes",
                lines: vec![
                    (
                        "from node to node",
                        points(all, |it| it.at(it.deliveries())),
                    ),
                    (
                        "through a chain of all",
                        points(all, |it| it.at(it.chain_rate())),
                    ),
                ],
                in_step: false,
            },
        ),
        (
            "nodes-memory",
            Chart {
                title: "Memory and start of idle nodes",
                x: "nodes; dashed: in step with them",
                lines: vec![
                    ("MB", points(all, |it| it.at(it.memory()))),
                    (
                        "ms until all run",
                        points(all, |it| it.at(Some(it.start()))),
                    ),
                ],
                in_step: true,
            },
        ),
    ]
}
