//! `dora stop`: ends dataflows and says how their nodes ended.

use super::client;
use crate::args::StopArgs;
use crate::terminal;
use crate::terminal::say;
use crate::view;
use eyre::Result;
use host::client::Client;
use host::control::{Phase, Target};
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &StopArgs) -> Result<ExitCode> {
    client::with(&args.coordinator, async |client| {
        if !args.all {
            stop(client, args, args.target.target()).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut dataflows = client.list().await?;
        dataflows.retain(|dataflow| dataflow.phase != Phase::Ended);
        if dataflows.is_empty() {
            say!("no dataflow runs");
        }
        for dataflow in dataflows {
            stop(client, args, Target::Id(dataflow.dataflow)).await?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Nodes that fail while they are stopped are told, and are not this command's failure.
async fn stop(client: &Client, args: &StopArgs, target: Target) -> Result<()> {
    let progress = client::tell_progress();
    let stopped = client.stop(target, args.grace, args.force, progress);
    let ended = stopped.await??;
    terminal::tell(format_args!("{}", view::ended::text(&ended)));
    Ok(())
}
