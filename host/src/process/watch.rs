//! Whether a node is stuck in a callback: pure, fed with what is seen of it now and then.
//!
//! Invariant: a callback is told of once, and only after it was seen for as long as it may take without a wait for a
//! reader; time in which nobody could look, as when the machine slept, does not count. Absent: clocks, and what is done
//! about it.

use std::time::{Duration, Instant};

/// A callback that a node is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// How many callbacks have begun.
    pub begun: u64,
    /// How often it has waited for readers.
    pub waits: u64,
}

/// Looks at one node.
#[derive(Debug)]
pub struct Watch {
    most: Duration,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    moment: Moment,
    last: Instant,
    stuck: Duration,
    told: bool,
}

impl Watch {
    /// A callback may take so long.
    pub fn new(most: Duration) -> Self {
        Self { most, seen: None }
    }

    /// How often it is to be looked at.
    pub fn pause(&self) -> Duration {
        (self.most / 8).clamp(Duration::from_millis(1), Duration::from_secs(1))
    }

    /// What is seen now: the callback that the node is in, unless it is in none, or waits for a reader. `true`, once, when
    /// it has been in that for too long.
    pub fn look(&mut self, moment: Option<Moment>, now: Instant) -> bool {
        let (most, pause) = (self.most, self.pause());
        match (&mut self.seen, moment) {
            (_, None) => self.seen = None,
            (Some(seen), Some(moment)) if seen.moment == moment => {
                // Who looks late has not been there, and maybe the node neither.
                let passed = now.saturating_duration_since(seen.last);
                seen.stuck += passed.min(pause * 2);
                seen.last = now;
                if seen.stuck >= most {
                    return !std::mem::replace(&mut seen.told, true);
                }
            }
            (_, Some(moment)) => {
                self.seen = Some(Seen {
                    moment,
                    last: now,
                    stuck: Duration::ZERO,
                    told: false,
                });
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(8);

    fn in_callback(begun: u64, waits: u64) -> Option<Moment> {
        Some(Moment { begun, waits })
    }

    /// After which of these looks, a second apart, a callback is told of.
    fn told(looks: &[Option<Moment>]) -> Vec<usize> {
        let (mut watch, start) = (Watch::new(MOST), Instant::now());
        assert_eq!(watch.pause(), Duration::from_secs(1));
        let looks = (0..).zip(looks);
        let told = looks.filter(|(second, moment)| {
            watch.look(**moment, start + Duration::from_secs(*second as u64))
        });
        told.map(|(second, _)| second).collect()
    }

    #[test]
    fn a_callback_that_does_not_return_is_told_of_once() {
        assert_eq!(told(&[in_callback(1, 0); 30]), [8]);
    }

    #[test]
    fn callbacks_that_return_are_not() {
        let busy: Vec<_> = (0..30).map(|second| in_callback(second / 7, 0)).collect();
        assert_eq!(told(&busy), [] as [usize; 0]);
        assert_eq!(told(&[None; 30]), [] as [usize; 0]);
        let mut next = vec![in_callback(1, 0); 7];
        next.push(None);
        next.extend([in_callback(2, 0); 9]);
        assert_eq!(told(&next), [16]);
    }

    #[test]
    fn waiting_for_a_reader_does_not_count() {
        let waits: Vec<_> = (0..30).map(|second| in_callback(1, second)).collect();
        assert_eq!(told(&waits), [] as [usize; 0]);
    }

    #[test]
    fn time_in_which_nobody_looked_counts_little() {
        let (mut watch, start) = (Watch::new(MOST), Instant::now());
        assert!(!watch.look(in_callback(1, 0), start));
        let later = start + Duration::from_secs(3600);
        assert!(!watch.look(in_callback(1, 0), later));
        let seconds = (1..=6).map(|second| later + Duration::from_secs(second));
        let told: Vec<_> = seconds
            .map(|now| watch.look(in_callback(1, 0), now))
            .collect();
        assert_eq!(told, [false, false, false, false, false, true]);
    }
}
