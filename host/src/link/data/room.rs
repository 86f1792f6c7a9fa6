//! Whether a small message can be published on the thread of whoever sends it, because the connections surely have room.
//!
//! Invariant: what is published so never fills the batches of a connection that is stuck before that connection is given
//! up, so the engine does not wait. Nothing tells how full a connection is; so it counts as if all messages of a short
//! while were still in it. Absent: the engine, and messages that are waited for, which have batches of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that the batches of a connection hold at least: 16 of 64 KiB, less the two that are being filled and written,
/// less what is left empty at their ends.
const HELD: u64 = 768 * 1024;
/// Bytes that may be published at once after a silence.
const BURST: u64 = 64 * 1024;
/// Bytes per second that may. With [`BURST`] they fill [`HELD`] in 2.4 s; a silent connection is given up after 2.
const RATE: u64 = 288 * 1024;
/// Longer messages are not published so: they leave too much of a batch empty.
const LARGEST: u64 = 4 * 1024;
/// What each message takes beside its values and parameters, at most.
const FRAME: u64 = 512;
/// A publication that took so long has waited for room.
const SLOW: Duration = Duration::from_millis(1);
/// For so long after that nothing is published so.
const CAUTION: Duration = Duration::from_secs(1);

/// What was published to the connections of a session, as far as they may still hold it. Any thread; nothing here waits.
#[derive(Debug)]
pub(in crate::link) struct Room {
    state: Mutex<State>,
    /// Threads that publish and may wait.
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct State {
    /// Bytes that may be in the batches, at `at`.
    level: u64,
    at: Instant,
    careful_until: Option<Instant>,
}

/// A publication that may wait, while it lasts.
#[derive(Debug)]
pub(super) struct Publishing<'a> {
    room: &'a Room,
    bytes: u64,
    began: Instant,
}

impl Room {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                level: 0,
                at: Instant::now(),
                careful_until: None,
            }),
            waiting: AtomicUsize::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a message of so many bytes of values and parameters; whether there is.
    pub(super) fn take(&self, bytes: usize, now: Instant) -> bool {
        // One who waits for room may hold up those who come after it.
        if bytes as u64 > LARGEST || self.waiting.load(Ordering::Acquire) > 0 {
            return false;
        }
        let mut state = self.state();
        state.pass(now);
        let bytes = bytes as u64 + FRAME;
        let free = state.level + bytes <= BURST && state.careful_until.is_none();
        if free {
            state.level += bytes;
        }
        free
    }

    /// Begins the publication of so many bytes, which may wait.
    pub(super) fn publishing(&self, bytes: usize) -> Publishing<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        Publishing {
            room: self,
            bytes: bytes as u64 + FRAME,
            began: Instant::now(),
        }
    }

    fn published(&self, bytes: u64, began: Instant, now: Instant) {
        let mut state = self.state();
        state.pass(now);
        state.level = (state.level + bytes).min(HELD);
        if now.saturating_duration_since(began) >= SLOW {
            state.careful_until = Some(now + CAUTION);
        }
    }
}

impl Drop for Publishing<'_> {
    fn drop(&mut self) {
        self.room.published(self.bytes, self.began, Instant::now());
        self.room.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl State {
    fn pass(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_micros() as u64;
        let gone = passed.saturating_mul(RATE) / 1_000_000;
        if gone > 0 {
            // What is less than a byte counts the next time.
            self.level = self.level.saturating_sub(gone);
            self.at = now;
        }
        self.careful_until = self.careful_until.filter(|until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many of these messages are taken in that time.
    fn taken(room: &Room, bytes: usize, pause: Duration, start: Instant, time: Duration) -> u64 {
        let mut taken = 0;
        let mut now = start;
        while now <= start + time {
            taken += u64::from(room.take(bytes, now));
            now += pause;
        }
        taken
    }

    #[test]
    fn small_and_seldom_ones_are_taken_and_never_more_than_a_stuck_connection_holds() {
        let start = Instant::now();
        assert_eq!(taken(&Room::new(), 8, 2 * MS, start, 2_000 * MS), 1_001);
        for bytes in [8, 100, 1_000, 4_096] {
            let fast = taken(&Room::new(), bytes, MS / 100, start, 2_400 * MS);
            let all = fast * (bytes as u64 + FRAME);
            assert!((HELD / 2..=HELD).contains(&all), "{all} in {bytes}");
        }
        assert!(!Room::new().take(LARGEST as usize + 1, start));
    }

    #[test]
    fn what_others_publish_counts_and_a_slow_one_makes_careful() {
        let room = Room::new();
        let start = Instant::now();
        assert!(room.take(8, start));
        let publishing = room.publishing(8);
        assert!(!room.take(8, start), "one may be waiting");
        drop(publishing);
        assert!(room.take(8, start));
        room.published(10_000_000, start, start);
        assert!(!room.take(8, start + 2_000 * MS));
        let later = start + 3_000 * MS;
        assert!(room.take(8, later));
        room.published(8, later, later + SLOW);
        assert!(!room.take(8, later + CAUTION));
        assert!(room.take(8, later + SLOW + CAUTION));
    }
}
