//! A bounded queue from the link's threads to whoever reads a stream.
//!
//! Policy: what comes to a full queue takes the place of the oldest, whose loss is counted and told before what is left.
//! Invariant: putting in never waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What comes out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    Item(T),
    /// So many were lost before what comes next.
    Lost(u64),
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Notify,
    most_items: usize,
    most_bytes: usize,
}

#[derive(Debug)]
struct State<T> {
    /// With their sizes.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    lost: u64,
    closed: bool,
}

impl<T> Queue<T> {
    /// The last item is kept whatever its size.
    pub fn new(most_items: usize, most_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                bytes: 0,
                lost: 0,
                closed: false,
            }),
            filled: Notify::new(),
            most_items: most_items.max(1),
            most_bytes,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, item: T, bytes: usize) {
        let mut dropped = Vec::new();
        let mut state = self.state();
        if state.closed {
            return;
        }
        state.items.push_back((item, bytes));
        state.bytes = state.bytes.saturating_add(bytes);
        while state.items.len() > self.most_items
            || (state.bytes > self.most_bytes && state.items.len() > 1)
        {
            let Some((item, bytes)) = state.items.pop_front() else {
                break;
            };
            state.bytes = state.bytes.saturating_sub(bytes);
            state.lost += 1;
            dropped.push(item);
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Counts what was lost on the way here.
    pub fn lose(&self, count: u64) {
        self.state().lost += count;
        self.filled.notify_one();
    }

    /// Takes nothing more; what is in comes out, then the end.
    pub fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
    }

    fn take(&self) -> Option<Option<Taken<T>>> {
        let mut state = self.state();
        if state.lost > 0 {
            return Some(Some(Taken::Lost(std::mem::take(&mut state.lost))));
        }
        if let Some((item, bytes)) = state.items.pop_front() {
            state.bytes = state.bytes.saturating_sub(bytes);
            return Some(Some(Taken::Item(item)));
        }
        state.closed.then_some(None)
    }

    /// The next, for one reader; `None` at the end. May be cancelled without loss.
    pub async fn next(&self) -> Option<Taken<T>> {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(queue: &Queue<u32>) -> Vec<Taken<u32>> {
        std::iter::from_fn(|| queue.take().flatten()).collect()
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let queue = Queue::new(3, 100);
        for n in 0..5 {
            queue.push(n, 1);
        }
        let items = |items: &[u32]| items.iter().map(|n| Taken::Item(*n)).collect::<Vec<_>>();
        let mut expected = vec![Taken::Lost(2)];
        expected.extend(items(&[2, 3, 4]));
        assert_eq!(all(&queue), expected);
        queue.push(7, 60);
        queue.push(8, 60);
        queue.lose(4);
        assert_eq!(all(&queue), [Taken::Lost(5), Taken::Item(8)]);
        queue.push(9, 1_000);
        assert_eq!(all(&queue), items(&[9]), "one is kept whatever its size");
    }

    #[tokio::test]
    async fn what_is_in_a_closed_queue_comes_out() {
        let queue = std::sync::Arc::new(Queue::new(3, 100));
        let reader = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.next().await, queue.next().await) }
        });
        tokio::task::yield_now().await;
        queue.push(1, 1);
        queue.close();
        queue.push(2, 1);
        assert_eq!(reader.await.unwrap(), (Some(Taken::Item(1)), None));
    }
}
