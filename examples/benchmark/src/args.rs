//! The command line. Absent: what it leads to.

use clap::Parser;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// How long messages take from node to node in each placement, and how many go through, against the bare operating system.
///
/// Builds what it needs, runs dataflows with `dora` and the bare floors in turns, and prints one Markdown table. Compare the
/// ratios, not the times: those are the machine's.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run --release -p benchmark
  cargo run --release -p benchmark -- --quick
  cargo run --release -p benchmark -- 'own threads'            one placement, all sizes
  cargo run --release -p benchmark -- '8 B,4 MiB' daemon       some sizes of all placements with `daemon` in their names
  cargo run --release -p benchmark -- --list")]
pub struct Args {
    /// Only rows with all of these words: a size such as `4 KiB`, or a part of a placement's name. In one word, a comma
    /// stands between what may be instead of each other. The floors of the rows are always there.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
    /// How often each row is measured; its figures are of all rounds together.
    #[arg(long, value_name = "N", default_value = "2")]
    pub rounds: NonZeroUsize,
    /// One round, of half the time; without words, of every other size.
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Print the names of the rows, and measure nothing.
    #[arg(long)]
    pub list: bool,
    #[command(flatten)]
    pub given: Given,
}

/// What is measured, where it is not to be built here.
#[derive(Debug, clap::Args)]
pub struct Given {
    /// The `dora` to be measured [default: built here].
    #[arg(long, value_name = "FILE")]
    pub dora: Option<PathBuf>,
    /// The folder with the built nodes [default: built here].
    #[arg(long, value_name = "DIR")]
    pub nodes: Option<PathBuf>,
}
