//! How long a message takes from node to node, and how many go through in a second, for each placement of the two and
//! each size, against what the bare operating system needs for the same in the same run.
//!
//! Invariant: what is measured is the `dora` command with a descriptor, as users have it; every figure's floor is measured
//! in the same round, so that what else the machine does hits both. Absent: other frameworks.

mod args;
mod beside;
mod built;
mod child;
#[path = "../nodes/src/clock.rs"]
mod clock;
mod cpu;
mod figures;
mod floors;
mod flows;
mod idle;
mod json;
mod load;
mod outcome;
mod programs;
mod row;
mod scale;
mod startup;
mod suite;
mod table;
mod usage;
mod way;

use args::Args;
use clap::Parser;
use std::process::ExitCode;

fn main() -> eyre::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    if let [floors::PART, part @ ..] = words.as_slice() {
        floors::play(part)?;
        return Ok(ExitCode::SUCCESS);
    }
    match words.first() {
        Some(&"dora") => beside::run(&beside::Args::parse_from(std::env::args().skip(1))),
        Some(&"scale") => scale::run(&scale::Args::parse_from(std::env::args().skip(1))),
        Some(&"startup") => startup::run(&startup::Args::parse_from(std::env::args().skip(1))),
        _ => suite::run(&Args::parse()),
    }
}
