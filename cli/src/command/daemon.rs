//! `dora daemon`: runs this machine's share of dataflows until it is told to end.

use crate::args::DaemonArgs;
use eyre::{Result, bail};
use std::process::ExitCode;

/// Runs the command.
pub fn run(_args: &DaemonArgs) -> Result<ExitCode> {
    bail!("wip")
}
