//! The bounded queue between those who log and the one thread that writes.
//!
//! Policy: what comes when the queue is full is dropped (so each thread's lines keep their order), and the verbose
//! come to a full queue first: debug and trace lines may fill half of it, information seven eighths, warnings and
//! errors all. Invariant: [`Queue::push`] never waits for the reader's work. Absent: counting drops, which whoever
//! pushes does.

use super::level::Level;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much may wait in a queue. As much again may be in the hands of its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Most lines.
    pub lines: usize,
    /// Most memory, in bytes, about.
    pub bytes: usize,
}

impl Default for Capacity {
    /// 8192 lines and 16 MiB.
    fn default() -> Self {
        Self {
            lines: 8192,
            bytes: 16 * 1024 * 1024,
        }
    }
}

/// Which part of a queue something may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A half.
    Verbose,
    /// Seven eighths.
    Normal,
    /// All of it.
    Severe,
    /// More than all: for the few things that are no lines and must not be dropped.
    Control,
}

impl From<Level> for Urgency {
    fn from(level: Level) -> Self {
        match level {
            Level::Error | Level::Warn => Urgency::Severe,
            Level::Info => Urgency::Normal,
            Level::Debug | Level::Trace => Urgency::Verbose,
        }
    }
}

impl Urgency {
    fn part(self, whole: usize) -> usize {
        match self {
            Urgency::Verbose => whole / 2,
            Urgency::Normal => whole - whole / 8,
            Urgency::Severe => whole,
            Urgency::Control => usize::MAX,
        }
    }
}

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no room.
    Full,
    /// Nobody will read any more.
    Closed,
}

/// A queue with one reader.
#[derive(Debug)]
pub(super) struct Queue<T> {
    capacity: Capacity,
    state: Mutex<State<T>>,
    filled: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    closed: bool,
    /// The reader waits and must be woken.
    waiting: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                closed: false,
                waiting: false,
            }),
            filled: Condvar::new(),
        }
    }

    /// Takes an item that weighs so many bytes. An empty queue takes anything.
    pub(super) fn push(&self, item: T, bytes: usize, urgency: Urgency) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let most_lines = urgency.part(self.capacity.lines);
        let most_bytes = urgency.part(self.capacity.bytes);
        let full =
            state.items.len() >= most_lines || state.bytes.saturating_add(bytes) > most_bytes;
        if full && !state.items.is_empty() {
            return Err(Refused::Full);
        }
        state.bytes += bytes;
        state.items.push_back(item);
        let wake = std::mem::take(&mut state.waiting);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits until there is something, then moves all of it behind what is in `batch`. `false` when the queue is
    /// closed and empty. Only one thread may read.
    pub(super) fn take(&self, batch: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return false;
            }
            state.waiting = true;
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        batch.extend(state.items.drain(..));
        state.bytes = 0;
        true
    }

    /// Refuses everything from now on; what is in the queue can still be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// No code of others runs while the lock is held, so a poisoned state is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(queue: &Queue<u32>, urgency: Urgency, bytes: usize) -> u32 {
        (0..100)
            .take_while(|n| queue.push(*n, bytes, urgency).is_ok())
            .count() as u32
    }

    #[test]
    fn the_verbose_meet_a_full_queue_first() {
        let table = [
            ((16, 1000), 1, [8, 6, 2]),
            ((1000, 160), 10, [8, 6, 2]),
            ((1, 1), 5, [1, 0, 0]),
            ((0, 0), 0, [1, 0, 0]),
        ];
        for ((lines, bytes), each, expected) in table {
            let queue = Queue::new(Capacity { lines, bytes });
            let urgencies = [Urgency::Verbose, Urgency::Normal, Urgency::Severe];
            let found = urgencies.map(|urgency| fill(&queue, urgency, each));
            assert_eq!(found, expected, "{lines} lines, {bytes} bytes");
            assert_eq!(queue.push(0, each, Urgency::Severe), Err(Refused::Full));
            assert_eq!(queue.push(7, each, Urgency::Control), Ok(()));
            let mut batch = Vec::new();
            assert!(queue.take(&mut batch));
            assert_eq!(batch.last(), Some(&7));
            assert_eq!(queue.push(0, each, Urgency::Verbose), Ok(()), "empty again");
        }
    }

    #[test]
    fn a_closed_queue_gives_what_it_has() {
        let queue = Queue::new(Capacity::default());
        queue.push(1, 1, Urgency::Normal).unwrap();
        queue.close();
        assert_eq!(queue.push(2, 1, Urgency::Control), Err(Refused::Closed));
        let mut batch = Vec::new();
        assert!(queue.take(&mut batch));
        assert!(!queue.take(&mut batch));
        assert_eq!(batch, [1]);
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let queue = Queue::new(Capacity::default());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut all = Vec::new();
                while queue.take(&mut all) {}
                all
            });
            for n in 0..1000 {
                queue.push(n, 1, Urgency::Severe).unwrap();
            }
            queue.close();
            assert_eq!(reader.join().unwrap(), (0..1000).collect::<Vec<_>>());
        });
    }
}
