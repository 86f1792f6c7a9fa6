//! How long the guard waits before it makes another worker. Pure.

use std::time::Duration;

/// A worker that lived so long has not died of its start.
const LONG: Duration = Duration::from_secs(60);
/// The pause after the first death, which doubles with each that follows soon.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

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
}
