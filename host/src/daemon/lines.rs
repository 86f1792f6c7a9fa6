//! Log lines on their way out of the machine, as JSON text.
//!
//! Policy: lines for a full queue are dropped and counted, and the reader is told how many, at the place where they are
//! missing. Absent: who reads.

use crate::engine::Clock;
use crate::link::Output;
use crate::logs::{Level, LogHub, Record, Subscription};
use plugin_abi::message::Message;
use std::future::Future;
use std::time::Duration;

/// Lines that wait to be published.
pub(super) const WAITING: usize = 1_024;

/// How long the last lines may take to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Publishes lines until `ended`, then those that were said before that, then the end.
pub(super) async fn publish(
    hub: LogHub,
    mut lines: Subscription,
    output: Output,
    ended: impl Future<Output = ()>,
) {
    let clock = Clock::default();
    let mut ended = std::pin::pin!(ended);
    loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(record) => send(&output, &clock, &lines, &record),
                None => break,
            },
            () = &mut ended => break,
        }
    }
    // Where it cannot wait for the log, what is there by now is all.
    let _ = tokio::task::spawn_blocking(move || hub.flush(FLUSH)).await;
    while let Some(record) = lines.try_recv() {
        send(&output, &clock, &lines, &record);
    }
    output.close();
}

fn send(output: &Output, clock: &Clock, lines: &Subscription, record: &Record) {
    let missed = lines.take_missed();
    if missed > 0 {
        let text =
            format!("{missed} lines were left out here, because there were too many at a time");
        push(output, clock, &Record::new(Level::Warn, "dora", text));
    }
    push(output, clock, record);
}

fn push(output: &Output, clock: &Clock, record: &Record) {
    // Without memory for a line there is nothing better to do than to leave it out.
    if let Ok(message) = Message::from_text(clock.now(), &record.to_json(), &[]) {
        output.push(message);
    }
}
