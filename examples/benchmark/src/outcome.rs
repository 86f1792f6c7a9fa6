//! What arrived of a load.
//!
//! Absent: how it got there.

use crate::figures::percentile;
use eyre::{OptionExt, WrapErr};
use std::time::Duration;

/// First messages of a run that do not count, of those that there are at most a fourth: both sides make things when they
/// are first needed.
const WARM_UP: usize = 10;

/// What was sent and what arrived.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub sent: u64,
    pub received: u64,
    /// From when the first was sent to when the last came.
    pub took: Duration,
    /// Nanoseconds that each message took that counts, sorted.
    pub times: Vec<u64>,
    /// Of all processors for all that took part, where that can be told.
    pub cpu: Option<Duration>,
}

impl Outcome {
    /// Of a reader's report: a number per line, how many messages, nanoseconds from the first's sending to the last's
    /// coming, then the nanoseconds of each in the order of their coming.
    pub fn read(sent: u64, report: &str) -> eyre::Result<Self> {
        let numbers: Result<Vec<u64>, _> = report.lines().map(|line| line.trim().parse()).collect();
        let numbers = numbers.wrap_err_with(|| format!("no report: {report}"))?;
        let (&[received, took], times) = numbers
            .split_first_chunk()
            .ok_or_eyre("the report is empty")?;
        let counted = times.get(WARM_UP.min(times.len() / 4)..);
        let mut times = counted.unwrap_or_default().to_vec();
        times.sort_unstable();
        Ok(Self {
            sent,
            received,
            took: Duration::from_nanos(took),
            times,
            cpu: None,
        })
    }

    /// What rows are compared by: microseconds for most of the messages.
    pub fn p50(&self) -> Option<f64> {
        percentile(&self.times, 50.0)
    }

    /// Messages per second, if there were any.
    pub fn rate(&self) -> Option<f64> {
        let some = self.received > 0 && !self.took.is_zero();
        some.then(|| self.received as f64 / self.took.as_secs_f64())
    }

    /// Messages that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// What one row shows in one round.
#[derive(Debug, Clone, Default)]
pub struct Round {
    /// Of messages that were timed.
    pub paced: Outcome,
    /// Of messages as fast as they go.
    pub flood: Outcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_without_its_first_times() {
        let times: String = (0..20).map(|nanos| format!("{}\n", 20 - nanos)).collect();
        let outcome = Outcome::read(25, &format!("20\n1000\n{times}")).expect("a report");
        assert_eq!(outcome.times, (1..=15).collect::<Vec<_>>());
        assert_eq!((outcome.received, outcome.lost()), (20, 5));
        assert_eq!(outcome.rate(), Some(20.0 / 1e-6));
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for report in ["", "1\n", "one\ntwo\n"] {
            assert!(Outcome::read(1, report).is_err(), "{report}");
        }
    }

    #[test]
    fn no_message_has_no_rate() {
        let outcome = Outcome::read(1, "0\n0\n").expect("a report");
        assert_eq!(outcome.rate(), None);
    }
}
