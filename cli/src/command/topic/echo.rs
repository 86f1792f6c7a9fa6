//! `dora topic echo`: the messages of an output as they come.

use super::super::client;
use super::find;
use crate::args::TopicEchoArgs;
use crate::terminal::say;
use crate::view;
use eyre::Result;
use host::client::TapEvent;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command.
pub fn run(args: &TopicEchoArgs) -> Result<ExitCode> {
    client::with(&args.coordinator, async |client| {
        let topic = find(client, args.dataflow.as_deref(), &args.topic).await?;
        let mut tap = client.tap(&topic).await?;
        let mut left = args.count.map(u64::from);
        while left != Some(0) {
            let Some(event) = tap.next().await else {
                say!("the output has ended");
                break;
            };
            match event {
                TapEvent::Message { message, .. } => {
                    let line = match args.json {
                        true => view::message::json(&message).to_string(),
                        false => view::message::line(&message),
                    };
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{line}")?;
                    out.flush()?;
                    left = left.map(|left| left - 1);
                }
                TapEvent::Lost(messages) => {
                    say!("warning: {messages} messages were lost on the way here")
                }
                TapEvent::Broken(reason) => {
                    say!("warning: a message could not be read: {reason}")
                }
                TapEvent::Gone(error) => return Err(error.into()),
                TapEvent::Refused(error) => return Err(error.into()),
                TapEvent::NoCoordinator(error) => return Err(error.into()),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
