//! How long it takes until something runs: the quickstart, a start on daemons that run, a plugin's way in, a thousand nodes.
//!
//! Invariant: times are those of the whole command, from before its process is made until what it is to lead to is seen.
//! Absent: what messages cost once all runs.

mod commands;
mod load;
mod many;

use crate::args::Given;
use crate::built::Built;
use crate::figures::{median, short};
use crate::programs::{Dora, Whose};
use clap::Parser;
use commands::Commands;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Duration;

/// How long it takes until something runs: one Markdown table.
#[derive(Debug, Parser)]
#[command(name = "benchmark startup")]
pub struct Args {
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value = "15")]
    rounds: NonZeroUsize,
    /// Twice each, with few nodes: whether it works, not how long it takes.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    given: Given,
}

/// Packages whose plugins are loaded: the examples' and the benchmark's own.
const PLUGINS: &[&str] = &["stopwatch", "random", "status", "sink"];

/// What was measured, the same each time.
struct Row {
    what: String,
    unit: &'static str,
    figures: Vec<f64>,
    /// What it is to stay below.
    target: Option<f64>,
}

impl Row {
    fn times(what: impl Into<String>, times: Vec<Duration>, target: Option<f64>) -> Self {
        let figures = times.iter().map(|time| time.as_secs_f64() * 1e3);
        Self {
            what: what.into(),
            unit: "ms",
            figures: figures.collect(),
            target,
        }
    }
}

/// Measures and prints.
///
/// # Errors
/// Something cannot be built, or does not run.
pub fn run(args: &Args) -> eyre::Result<ExitCode> {
    let built = Built::new(&args.given, PLUGINS, false)?;
    let rounds = if args.quick { 2 } else { args.rounds.get() };
    let commands = Commands {
        dora: Dora::new(built.dora, Whose::Ours),
        plugins: built.nodes,
        folder: host_testing::fresh_dir(),
    };
    let alone: eyre::Result<_> = (0..rounds).map(|_| commands.run()).collect();
    let mut rows = vec![Row::times(
        "`dora run` of the quickstart, to the first message at the sink",
        alone?,
        Some(100.0),
    )];
    rows.push(Row::times(
        "`dora start` on two running daemons, to the first message at the sink",
        commands.start(rounds)?,
        Some(50.0),
    ));
    rows.extend(load::rows(&built.plugin, rounds)?);
    rows.extend(many::rows(&commands.dora, &built.plugin, args.quick)?);
    print(&rows);
    Ok(ExitCode::SUCCESS)
}

fn print(rows: &[Row]) {
    println!("| what | median | most | to stay below |\n| --- | ---: | ---: | ---: |");
    for row in rows {
        let cell = |figure: Option<f64>| match figure {
            Some(figure) => format!("{} {}", short(figure), row.unit),
            None => String::new(),
        };
        println!(
            "| {} | {} | {} | {} |",
            row.what,
            cell(median(row.figures.iter().copied())),
            cell(row.figures.iter().copied().reduce(f64::max)),
            cell(row.target)
        );
    }
}
