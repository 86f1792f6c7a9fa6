//! `dora restart`: the same dataflow anew, under a new id.

use super::{client, start};
use crate::args::RestartArgs;
use eyre::Result;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &RestartArgs) -> Result<ExitCode> {
    client::with(&args.coordinator, async |client| {
        let progress = client::tell_progress();
        let restarted = client.restart(args.target.target(), args.grace, args.force, progress);
        let started = restarted.await??;
        start::tell(&started);
        writeln!(std::io::stdout(), "{}", started.dataflow)?;
        Ok(ExitCode::SUCCESS)
    })
}
