//! The hybrid logical clock that stamps messages.
//!
//! Invariant: no two stamps of one clock are equal and later ones are greater, also when the system's clock is set
//! back. Absent: clocks of other machines, which the link merges in.

use plugin_abi::meta::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use uuid::Uuid;

/// One process's clock. Any thread.
#[derive(Debug)]
pub struct Clock {
    id: [u8; 16],
    last: AtomicU64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            id: *Uuid::now_v7().as_bytes(),
            last: AtomicU64::new(0),
        }
    }
}

impl Clock {
    /// The next stamp.
    pub fn now(&self) -> Timestamp {
        self.stamp(SystemTime::now())
    }

    fn stamp(&self, now: SystemTime) -> Timestamp {
        let wall = Timestamp::new(now, self.id);
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(wall.time.max(last.saturating_add(1)))
            });
        let last = last.unwrap_or_default();
        Timestamp {
            time: wall.time.max(last.saturating_add(1)),
            ..wall
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn stamps_grow_although_the_systems_clock_is_set_back() {
        let clock = Clock::default();
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let first = clock.stamp(noon);
        let second = clock.stamp(noon - Duration::from_secs(3_600));
        let third = clock.stamp(noon + Duration::from_secs(1));
        assert!(first < second && second < third);
        assert_eq!(third.system_time(), noon + Duration::from_secs(1));
    }
}
