//! A mutex, a condition variable and two threads: what a futex wake costs.
//!
//! Invariant: nothing is carried but the time, so that all sizes cost the same. Absent: our mailbox.

use super::{Pacing, Seen};
use crate::clock;
use crate::load::Load;
use crate::outcome::Outcome;
use eyre::eyre;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Stamps that wait.
const CAPACITY: usize = 1_000;

struct Post {
    letters: Mutex<Letters>,
    /// Somebody waits for the first one.
    some: Condvar,
    /// Somebody waits for room.
    room: Condvar,
}

struct Letters {
    waiting: VecDeque<u64>,
    ended: bool,
}

impl Post {
    fn lock(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, stamp: u64) {
        let mut letters = self.lock();
        while letters.waiting.len() >= CAPACITY {
            letters = self
                .room
                .wait(letters)
                .unwrap_or_else(PoisonError::into_inner);
        }
        letters.waiting.push_back(stamp);
        let first = letters.waiting.len() == 1;
        drop(letters);
        if first {
            self.some.notify_one();
        }
    }

    fn end(&self) {
        self.lock().ended = true;
        self.some.notify_one();
    }

    fn take(&self) -> Option<u64> {
        let mut letters = self.lock();
        loop {
            if let Some(stamp) = letters.waiting.pop_front() {
                let full = letters.waiting.len() + 1 == CAPACITY;
                drop(letters);
                if full {
                    self.room.notify_one();
                }
                return Some(stamp);
            }
            if letters.ended {
                return None;
            }
            letters = self
                .some
                .wait(letters)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Sends from one thread to another.
pub fn run(load: Load) -> eyre::Result<Outcome> {
    let post = Post {
        letters: Mutex::new(Letters {
            waiting: VecDeque::with_capacity(CAPACITY),
            ended: false,
        }),
        some: Condvar::new(),
        room: Condvar::new(),
    };
    let (sent, report) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = Seen::new(load.is_timed());
            while let Some(stamp) = post.take() {
                // As the reader of small messages: a look at the clock for each would be most of it.
                if seen.timed || seen.received == 0 || seen.received % 16 == 15 {
                    seen.take(clock::now(), &stamp.to_ne_bytes());
                } else {
                    seen.received += 1;
                }
            }
            seen.report()
        });
        let mut pacing = Pacing::new(load);
        while pacing.more() {
            pacing.now();
            post.put(u64::from_ne_bytes(pacing.stamp()));
        }
        post.end();
        (pacing.sent, reader.join())
    });
    let report = report.map_err(|_| eyre!("the reader panicked"))?;
    Outcome::read(sent, &report)
}
