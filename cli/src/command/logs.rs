//! `dora logs`: the log lines of a dataflow from all its machines.

use super::client;
use super::lines::{Lines, Split};
use crate::args::LogsArgs;
use crate::terminal::say;
use eyre::Result;
use host::client::{LogEvent, LogsWanted};
use host::control::Target;
use host::logs::{Format, Times};
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &LogsArgs) -> Result<ExitCode> {
    let target = match &args.dataflow {
        Some(text) => Target::parse(text),
        None => Target::Only,
    };
    let wanted = LogsWanted {
        node: args.node.clone().or_else(|| args.of_node.clone()),
        tail: args.tail,
        follow: args.follow,
    };
    let format = match args.json {
        true => Format::Json,
        false => args.show.log_format,
    };
    let mut lines = Lines::new(&args.show, format, Times::Utc, Split::Together)?;
    client::with(&args.coordinator, async |client| {
        let located = client.locate(target).await?;
        let logs = client.logs(&located, &wanted).await?;
        for record in &logs.history {
            lines.show(record)?;
        }
        let mut code = ExitCode::SUCCESS;
        for (machine, error) in &logs.failed {
            say!("warning: no log lines from machine `{machine}`: {error}");
            code = ExitCode::FAILURE;
        }
        for machine in &located.unreachable {
            say!("warning: no log lines from machine `{machine}`, which is not connected");
            code = ExitCode::FAILURE;
        }
        if let Some(mut stream) = logs.stream {
            while let Some(event) = stream.next().await {
                if matches!(event, LogEvent::Gone { .. } | LogEvent::NoCoordinator(_)) {
                    // These are not all lines.
                    code = ExitCode::FAILURE;
                }
                lines.take(event)?;
            }
        }
        Ok(code)
    })
}
