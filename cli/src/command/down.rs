//! `dora down`: ends everything.

use super::client;
use crate::args::DownArgs;
use crate::terminal::say;
use eyre::Result;
use host::client::{CONNECT_DEADLINE, Client};
use host::link::MeetError;
use std::process::ExitCode;

/// Runs the command. Where nothing runs there is nothing to do, which is no error.
pub fn run(args: &DownArgs) -> Result<ExitCode> {
    let address = args.coordinator.address();
    client::runtime()?.block_on(async {
        let client = match Client::connect(&address, CONNECT_DEADLINE).await {
            Err(MeetError::Nobody { .. }) => {
                say!("no coordinator runs at {address}");
                return Ok(ExitCode::SUCCESS);
            }
            other => other?,
        };
        let destroyed = client.destroy(client::tell_progress()).await;
        client.close().await;
        destroyed??;
        say!("the coordinator at {address} and its daemons have ended");
        Ok(ExitCode::SUCCESS)
    })
}
