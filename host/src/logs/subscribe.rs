//! Readers of the log while it is written: inputs from `dora/logs`, `dora logs --follow`.
//!
//! Policy: each reader has a bounded queue; a line for a full one is dropped for that reader alone and counted there.
//! Invariant: a reader that never reads costs the others nothing. Absent: what was said before the subscription,
//! which is in the files.

use super::filter::Selection;
use super::hub::Shared;
use super::record::Record;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::mpsc;

/// Lines that wait for one reader at most.
pub(super) const WAITING_LINES: usize = 1024;

/// The senders' side.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    list: Mutex<Vec<Subscriber>>,
    last_id: AtomicU64,
}

#[derive(Debug)]
struct Subscriber {
    id: u64,
    selection: Selection,
    sender: mpsc::Sender<Arc<Record>>,
    missed: Arc<AtomicU64>,
}

impl Subscribers {
    fn list(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a line to each reader that wants it; `kept` says whether files and console get it. Never waits.
    pub(super) fn feed(&self, record: &Arc<Record>, kept: bool) {
        for subscriber in self.list().iter() {
            if !subscriber.selection.admits(record, kept) {
                continue;
            }
            // A closed channel belongs to a subscription that is being dropped.
            if let Err(mpsc::error::TrySendError::Full(_)) =
                subscriber.sender.try_send(record.clone())
            {
                subscriber.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Ends all subscriptions: their readers get what waits, then nothing more.
    pub(super) fn close(&self) {
        self.list().clear();
    }
}

/// Lines of the log as they come. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    receiver: mpsc::Receiver<Arc<Record>>,
    missed: Arc<AtomicU64>,
    id: u64,
    shared: Weak<Shared>,
}

impl Subscription {
    pub(super) fn new(shared: &Arc<Shared>, selection: Selection) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_LINES);
        let missed = Arc::new(AtomicU64::new(0));
        let subscribers = &shared.subscribers;
        let id = subscribers.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        subscribers.list().push(Subscriber {
            id,
            selection: selection.clone(),
            sender,
            missed: missed.clone(),
        });
        // After the reader is in the list, so that every line that is made for it finds it.
        shared.levels.add_wish(id, selection);
        Self {
            receiver,
            missed,
            id,
            shared: Arc::downgrade(shared),
        }
    }

    /// The next line; `None` after [`super::LogHub::shutdown`]. May be cancelled at any time without loss.
    pub async fn recv(&mut self) -> Option<Arc<Record>> {
        self.receiver.recv().await
    }

    /// As [`Subscription::recv`], for threads outside tokio.
    ///
    /// # Panics
    /// On a thread of a tokio runtime.
    pub fn blocking_recv(&mut self) -> Option<Arc<Record>> {
        self.receiver.blocking_recv()
    }

    /// A line that waits already, or nothing.
    pub fn try_recv(&mut self) -> Option<Arc<Record>> {
        self.receiver.try_recv().ok()
    }

    /// Lines that were dropped since the last call, because too many waited.
    pub fn take_missed(&self) -> u64 {
        self.missed.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.levels.remove_wish(self.id);
            shared.subscribers.list().retain(|one| one.id != self.id);
        }
    }
}
