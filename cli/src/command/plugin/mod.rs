//! `dora plugin`: looking at plugin files without running a dataflow.

mod check;
mod inspect;
mod schema;

use crate::args::PluginCommand;
use std::process::ExitCode;

/// Runs one of the commands about plugins.
pub fn run(command: PluginCommand) -> eyre::Result<ExitCode> {
    match command {
        PluginCommand::Check(args) => check::run(&args),
        PluginCommand::Inspect(args) => inspect::run(&args),
    }
}

/// `1 node kind`, `2 node kinds`.
fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
