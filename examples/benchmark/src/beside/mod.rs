//! The same nodes under dora's own daemon and under this project's, and plugins, in turns: what messages take, how many go
//! through, and what fifty nodes cost that have nothing to do.
//!
//! Invariant: in each round every side is measured once, one after the other, so that what else the machine does hits all
//! of them; ratios are of one round. Absent: installing dora, which `compare-dora.sh` does.

mod case;
mod footprint;
mod table;

use crate::args::Given;
use crate::built::Built;
use crate::outcome::Outcome;
use crate::programs::{Dora, Whose};
use case::{Case, Side, Sides};
use clap::Parser;
use eyre::WrapErr;
use footprint::Footprint;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

/// The same nodes under dora's own daemon and under this one, and plugins: one Markdown table of ratios.
#[derive(Debug, Parser)]
#[command(name = "benchmark dora")]
pub struct Args {
    /// Only rows with all of these words, such as `4 MiB`, `pool`, `Python`, `per second` or `50 nodes`. In one word, a comma
    /// stands between what may be instead of each other.
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    /// How often each row is measured.
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZeroUsize,
    /// One round, of half the time.
    #[arg(long)]
    quick: bool,
    /// Dora's own program.
    #[arg(long, value_name = "FILE")]
    theirs: PathBuf,
    /// A node by dora's own library that plays the parts of the benchmark.
    #[arg(long, value_name = "FILE")]
    node: PathBuf,
    /// A virtual environment of Python with dora in it; without it there are no rows of Python nodes.
    #[arg(long, value_name = "DIR")]
    python: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
}

/// What a case showed in one round, per side; nothing where a side failed.
type Round<T> = [Option<T>; 3];

/// Measures and prints.
///
/// # Errors
/// Something cannot be had or built.
pub fn run(args: &Args) -> eyre::Result<ExitCode> {
    let built = Built::new(&args.given, &["stopwatch"], false)?;
    let absolute = |file: &PathBuf| {
        let there = file.canonicalize();
        there.wrap_err_with(|| format!("there is no {}", file.display()))
    };
    let python = args.python.as_ref().map(absolute).transpose()?;
    let sides = Sides {
        theirs: Dora::new(absolute(&args.theirs)?, Whose::Theirs).with_python(python.clone()),
        ours: Dora::new(built.dora, Whose::Ours).with_python(python.clone()),
        node: absolute(&args.node)?,
        script: built.script,
        plugin: built.plugin,
        folder: host_testing::fresh_dir(),
    };
    let (rounds, part) = match args.quick {
        true => (1, 0.5),
        false => (args.rounds.get(), 1.0),
    };
    let mut cases = case::all(python.is_some());
    cases.retain(|case| has(&case.name(), &args.words));
    let mut shown: Vec<(Case, Vec<Round<Outcome>>)> =
        cases.into_iter().map(|case| (case, Vec::new())).collect();
    let mut idle: Vec<Round<Footprint>> = Vec::new();
    let footprint = has(footprint::NAME, &args.words);
    for round in 1..=rounds {
        for (case, rounds_of_it) in &mut shown {
            rounds_of_it.push(Side::ALL.map(|side| {
                if !case.is_on(side) {
                    return None;
                }
                eprintln!("round {round} of {rounds}: {}, {side}", case.name());
                told(sides.run(case, side, case.load(part)))
            }));
        }
        if footprint {
            idle.push(Side::ALL.map(|side| {
                eprintln!("round {round} of {rounds}: {}, {side}", footprint::NAME);
                told(footprint::measure(&sides, side))
            }));
        }
    }
    table::print(&shown, &idle);
    Ok(ExitCode::SUCCESS)
}

/// A figure that is missing is one, too.
fn told<T>(figure: eyre::Result<T>) -> Option<T> {
    figure.inspect_err(|error| eprintln!("  {error:#}")).ok()
}

/// Whether all words are in a name.
fn has(name: &str, words: &[String]) -> bool {
    let name = name.to_lowercase();
    let has = |one: &str| name.contains(&one.trim().to_lowercase());
    words.iter().all(|word| word.split(',').any(has))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_choose_rows() {
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert!(has(
            "4 MiB, pool of 512 MiB",
            &words(&["pool", "8 B,4 mib"])
        ));
        assert!(!has("4 MiB", &words(&["pool"])));
        assert!(has("4 MiB", &[]));
    }
}
