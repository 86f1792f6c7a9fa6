//! `dora topic hz`: how often an output sends.

use super::super::client;
use super::find;
use crate::args::TopicHzArgs;
use crate::terminal::say;
use crate::view::rate::Rate;
use eyre::Result;
use host::client::{Tap, TapEvent};
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval_at};

/// A line comes so often.
const EVERY: Duration = Duration::from_secs(1);

/// Runs the command.
pub fn run(args: &TopicHzArgs) -> Result<ExitCode> {
    client::with(&args.coordinator, async |client| {
        let topic = find(client, args.dataflow.as_deref(), &args.topic).await?;
        let tap = client.tap(&topic).await?;
        measure(args, tap).await
    })
}

async fn measure(args: &TopicHzArgs, mut tap: Tap) -> Result<ExitCode> {
    let began = Instant::now();
    let mut rate = Rate::new(args.window.max(EVERY));
    let mut ticks = interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = args.count.map(u64::from);
    while left != Some(0) {
        tokio::select! {
            _ = ticks.tick() => {
                show(args, &mut rate, began.elapsed())?;
                left = left.map(|left| left - 1);
            }
            event = tap.next() => match event {
                Some(TapEvent::Message { at, bytes, .. }) => {
                    rate.message(at.saturating_duration_since(began), bytes);
                }
                Some(TapEvent::Lost(messages)) => rate.lost(began.elapsed(), messages),
                Some(TapEvent::Broken(_)) => rate.lost(began.elapsed(), 1),
                Some(TapEvent::Gone(error)) => return Err(error.into()),
                Some(TapEvent::Refused(error)) => return Err(error.into()),
                Some(TapEvent::NoCoordinator(error)) => return Err(error.into()),
                None => {
                    show(args, &mut rate, began.elapsed())?;
                    say!("the output has ended");
                    break;
                }
            },
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(args: &TopicHzArgs, rate: &mut Rate, now: Duration) -> Result<()> {
    let measured = rate.at(now);
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", measured.json())?,
        false => writeln!(out, "{measured}")?,
    }
    out.flush()?;
    Ok(())
}
