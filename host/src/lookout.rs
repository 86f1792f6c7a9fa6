//! What a thread does before it waits for work: where that comes faster than the thread is woken, it looks out for more for
//! about as long as a wake takes, which is then saved on both sides.
//!
//! Invariant: who seldom has work does not look out, nor does one that has looked in vain lately, nor anybody where there
//! is one processor. Absent: what the work is.

use std::hint::spin_loop;
use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Who had nothing to do twice within this time is busy.
const BUSY: Duration = Duration::from_micros(50);
/// For how long it looks out: a wake costs who wakes some 3 us, and who is woken 5 to 15.
const MOMENT: Duration = Duration::from_micros(10);
/// Between two looks at the clock.
const LOOKS: u32 = 32;
/// Of the times in a row that it was in vain, no more are remembered.
const MOST_VAIN: u32 = 6;

/// One thread's.
#[derive(Debug, Default)]
pub struct Lookout {
    /// When it had nothing to do last.
    idle: Option<Instant>,
    /// How often in a row it has looked in vain.
    vain: u32,
    /// How often it is to wait without a look.
    skip: u32,
}

impl Lookout {
    /// The thread has nothing to do: whether something is likely to come in a moment.
    pub fn is_worth(&mut self, now: Instant) -> bool {
        let before = self.idle.replace(now);
        let busy = before.is_some_and(|before| now.duration_since(before) < BUSY);
        let skips = busy && self.skip > 0;
        self.skip -= u32::from(skips);
        busy && !skips
    }

    /// Looks out until there is something, or it has been long enough. Without a lock.
    pub fn look(&mut self, something: impl Fn() -> bool) {
        if alone() {
            return;
        }
        let began = Instant::now();
        while began.elapsed() < MOMENT {
            for _ in 0..LOOKS {
                if something() {
                    return self.has_seen(true);
                }
                spin_loop();
            }
        }
        self.has_seen(false);
    }

    fn has_seen(&mut self, something: bool) {
        self.vain = match something {
            true => 0,
            false => MOST_VAIN.min(self.vain + 1),
        };
        self.skip = (1 << self.vain) - 1;
    }
}

fn alone() -> bool {
    static ALONE: OnceLock<bool> = OnceLock::new();
    *ALONE.get_or_init(|| available_parallelism().is_ok_and(|processors| processors.get() == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it looks, each of so many times that it has nothing to do.
    fn looks(lookout: &mut Lookout, now: &mut Instant, pause: Duration, times: u32) -> u32 {
        let worth = (0..times).filter(|_| {
            *now += pause;
            let worth = lookout.is_worth(*now);
            if worth {
                lookout.has_seen(false);
            }
            worth
        });
        worth.count() as u32
    }

    #[test]
    fn only_who_is_busy_looks_out_and_seldom_when_it_is_in_vain() {
        let mut lookout = Lookout::default();
        let mut now = Instant::now();
        assert!(!lookout.is_worth(now));
        assert_eq!(looks(&mut lookout, &mut now, 2 * BUSY, 100), 0);
        for _ in 0..100 {
            now += BUSY / 2;
            assert!(lookout.is_worth(now));
            lookout.has_seen(true);
        }
        // Once, then after 1, 3, 7, 15, 31 times without, then once in 64.
        assert_eq!(looks(&mut lookout, &mut now, BUSY / 2, 63), 6);
        assert_eq!(looks(&mut lookout, &mut now, BUSY / 2, 64 * 10), 10);
        // What is seen once is looked out for again.
        while !lookout.is_worth(now) {
            now += BUSY / 2;
        }
        lookout.has_seen(true);
        assert_eq!(looks(&mut lookout, &mut now, BUSY / 2, 1), 1);
    }
}
