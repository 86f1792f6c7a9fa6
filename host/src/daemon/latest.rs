//! The last value of each key, from threads that must not wait to one that takes them all.
//!
//! Policy: a newer value takes the place of an older one; when there are too many keys, the smallest is forgotten. So
//! whoever takes has the truth as it is now, not every step that led to it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Latest<K, V> {
    values: Mutex<BTreeMap<K, V>>,
    more: Notify,
    most: usize,
}

impl<K: Ord, V> Latest<K, V> {
    /// Room for so many keys.
    pub fn new(most: usize) -> Self {
        Self {
            values: Mutex::default(),
            more: Notify::new(),
            most,
        }
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<K, V>> {
        // Nothing panics while it holds the lock.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any thread; does not wait.
    pub fn put(&self, key: K, value: V) {
        let mut values = self.values();
        values.insert(key, value);
        if values.len() > self.most {
            values.pop_first();
        }
        drop(values);
        self.more.notify_one();
    }

    /// What there is, at once.
    pub fn take(&self) -> BTreeMap<K, V> {
        std::mem::take(&mut *self.values())
    }

    /// Waits until there is something, for one at a time. May be cancelled without loss.
    pub async fn next(&self) -> BTreeMap<K, V> {
        loop {
            let taken = self.take();
            if !taken.is_empty() {
                return taken;
            }
            self.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_key_is_kept_and_no_more_than_there_is_room_for() {
        let latest = Latest::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c')] {
            latest.put(key, value);
        }
        assert_eq!(latest.take(), [(1, 'c'), (2, 'b')].into());
        for key in 0..5 {
            latest.put(key, 'x');
        }
        assert_eq!(latest.take().into_keys().collect::<Vec<_>>(), [3, 4]);
        assert!(latest.take().is_empty());
    }
}
