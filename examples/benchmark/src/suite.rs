//! Measures the rows in turns, round after round, and prints what they show.
//!
//! Invariant: a row that fails in a round is told at once and at the end, and the others go on. Absent: how anything is
//! measured.

use crate::args::Args;
use crate::built::Built;
use crate::flows::Flows;
use crate::load::{Load, SIZES};
use crate::outcome::{Outcome, Round};
use crate::row::Row;
use crate::way::{Place, Threads, Way};
use crate::{cpu, floors, json, table, way};
use eyre::ensure;
use std::process::ExitCode;

/// Runs what was asked for.
pub fn run(args: &Args) -> eyre::Result<ExitCode> {
    let mut rows = chosen(&args.words);
    if args.quick && args.words.is_empty() {
        let quick: Vec<_> = SIZES.iter().step_by(2).map(|size| size.bytes).collect();
        rows.retain(|row| quick.contains(&row.size.bytes));
    }
    ensure!(
        !rows.is_empty(),
        "no row has all of these words; --list prints the rows"
    );
    if args.list {
        for row in &rows {
            println!("{}", row.name());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let built = Built::new(&args.given, &["stopwatch"], rows.iter().any(is_python))?;
    if built.environment.is_none() {
        rows.retain(|row| !is_python(row));
    }
    let mut measuring = Measuring {
        flows: Flows::new(&built)?,
        part: if args.quick { 0.5 } else { 1.0 },
    };
    let rounds = if args.quick { 1 } else { args.rounds.get() };
    let mut failed = Vec::new();
    for round in 1..=rounds {
        for row in &mut rows {
            eprintln!("round {round} of {rounds}: {}", row.name());
            let outcome = measuring.round(row);
            if let Err(error) = &outcome {
                eprintln!("{error:#}");
                failed.push(format!("round {round}: {}: {error}", row.name()));
            }
            row.rounds.push(outcome.ok());
        }
    }
    drop(measuring);
    match args.json {
        true => println!("{:#}", json::text(&rows, rounds)),
        false => print!("{}", table::text(&rows)),
    }
    for failure in &failed {
        eprintln!("failed: {failure}");
    }
    Ok(match failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The rows with these words, and their floors.
fn chosen(words: &[String]) -> Vec<Row> {
    let all = way::all()
        .into_iter()
        .map(|(way, size)| Row::new(way, size));
    let (chosen, others): (Vec<_>, Vec<_>) = all.enumerate().partition(|(_, row)| row.has(words));
    let is_floor = |other: &Row| {
        let mut floors = chosen.iter().filter_map(|(_, row)| {
            let floor = Way::Floor(row.way.floor(row.size.bytes)?);
            Some((floor, row.size.bytes))
        });
        floors.any(|floor| floor == (other.way, other.size.bytes))
    };
    let floors: Vec<_> = others
        .into_iter()
        .filter(|(_, other)| is_floor(other))
        .collect();
    let mut rows: Vec<_> = chosen.into_iter().chain(floors).collect();
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn is_python(row: &Row) -> bool {
    matches!(row.way, Way::Places { from, to, .. } if [from, to].contains(&Place::Python))
}

struct Measuring<'a> {
    flows: Flows<'a>,
    /// Of the usual time.
    part: f64,
}

impl Measuring<'_> {
    fn round(&mut self, row: &mut Row) -> eyre::Result<Round> {
        let paced = self.run(row.way, Load::paced(&row.size, self.part))?;
        if row.way == Way::Threads(Threads::Shared) {
            // What a thread sends to itself, it does not send as fast as it reads.
            return Ok(Round {
                paced,
                ..Round::default()
            });
        }
        if row.single.is_none() {
            row.single = Some(self.run(row.way, Load::single(&row.size))?);
        }
        let flood = self.run(row.way, Load::flood(&row.size, self.part))?;
        Ok(Round { paced, flood })
    }

    fn run(&mut self, way: Way, load: Load) -> eyre::Result<Outcome> {
        let before = cpu::used();
        let outcome = match way {
            Way::Floor(floor) => floors::run(floor, load)?,
            way => self.flows.run(way, load)?,
        };
        let cpu = cpu::used().zip(before);
        Ok(Outcome {
            cpu: cpu.map(|(after, before)| after.saturating_sub(before)),
            ..outcome
        })
    }
}
