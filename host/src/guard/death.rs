//! The death of a worker: what is said of it, and how long until the next. Pure.

use std::fmt;
use std::time::Duration;

/// A worker that lived so long has not died of its start.
const LONG: Duration = Duration::from_secs(60);
/// The pause after the first death, which doubles with each that follows soon.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How a worker died. Displays as a sentence without its point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// `was killed by SIGSEGV`, or what else it did.
    pub how: String,
    /// Whether all its descendants have ended: else one is stuck in the system.
    pub all_ended: bool,
    /// Until the next worker; `None` if there will be none.
    pub pause: Option<Duration>,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the worker {}; ", self.how)?;
        f.write_str(match self.all_ended {
            true => "every process of its nodes has been ended",
            false => "the processes of its nodes were killed, and some have not ended yet",
        })?;
        match self.pause {
            Some(pause) => write!(f, "; another worker starts in {pause:?}"),
            None => Ok(()),
        }
    }
}

/// Deaths that followed each other soon.
#[derive(Debug, Default)]
pub(super) struct Streak(u32);

impl Streak {
    /// Another death, of a worker that has lived so long: the pause before the next.
    pub fn pause(&mut self, lived: Duration) -> Duration {
        if lived >= LONG {
            self.0 = 0;
        }
        let factor = 1_u32.checked_shl(self.0).unwrap_or(u32::MAX);
        self.0 = self.0.saturating_add(1);
        FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_deaths_that_follow_soon() {
        let mut streak = Streak::default();
        let short = Duration::from_secs(1);
        let pauses: Vec<u128> = (0..11).map(|_| streak.pause(short).as_millis()).collect();
        let doubled = [
            100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000,
        ];
        assert_eq!(pauses, doubled);
        assert_eq!(streak.pause(LONG), FIRST_PAUSE);
        assert_eq!(streak.pause(short), FIRST_PAUSE * 2);
        for _ in 0..100 {
            assert!(streak.pause(short) <= LONGEST_PAUSE);
        }
    }

    #[test]
    fn it_is_told_in_one_line() {
        let death = Death {
            how: "was killed by SIGSEGV".into(),
            all_ended: true,
            pause: Some(FIRST_PAUSE),
        };
        assert_eq!(
            death.to_string(),
            "the worker was killed by SIGSEGV; every process of its nodes has been ended; another worker starts in 100ms"
        );
    }
}
