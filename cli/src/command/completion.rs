//! `dora completion`: a script for a shell.

use crate::args::{Args, CompletionArgs};
use clap::CommandFactory;
use eyre::Result;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &CompletionArgs) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "dora", &mut script);
    let mut out = std::io::stdout();
    out.write_all(&script)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
