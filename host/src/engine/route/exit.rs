//! Ways out of the process, and what is kept before them until the dataflow goes.
//!
//! Invariant: before a node is let go its outlets get nothing; what it sends while it is made is kept, the newest
//! [`MOST`] messages of each way, and goes first. Absent: waiting.

use crate::engine::remote::{Outlet, OutletPushed};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most messages that are kept.
const MOST: usize = 1_000;

/// A way out of this process.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Who takes the messages.
    pub outlet: Arc<dyn Outlet>,
    /// Who reads, for messages: "input `a/b` on machine `c`".
    pub readers: Arc<str>,
}

/// Stands before a way out while the node is held.
#[derive(Debug)]
pub struct Kept {
    /// Where it leads.
    pub exit: Exit,
    /// Whether nothing is kept any more.
    open: AtomicBool,
    messages: Mutex<Option<VecDeque<Message>>>,
    unsent: Arc<AtomicU64>,
}

impl Kept {
    /// Keeps what goes to an exit; counts what it cannot hand over at its close.
    pub fn new(exit: Exit, unsent: Arc<AtomicU64>) -> Self {
        Self {
            exit,
            open: AtomicBool::new(false),
            messages: Mutex::new(Some(VecDeque::new())),
            unsent,
        }
    }

    fn messages(&self) -> MutexGuard<'_, Option<VecDeque<Message>>> {
        // Nothing in this module panics while it holds the lock.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message that was kept. When there is none, what comes from then on goes to the outlet itself.
    pub fn next(&self) -> Option<Message> {
        let mut messages = self.messages();
        let next = messages.as_mut().and_then(VecDeque::pop_front);
        if next.is_none() {
            *messages = None;
            self.open.store(true, Ordering::Release);
        }
        next
    }
}

impl Outlet for Kept {
    fn push(&self, message: Message) -> OutletPushed {
        if !self.open.load(Ordering::Acquire)
            && let Some(messages) = self.messages().as_mut()
        {
            let oldest = (messages.len() >= MOST).then(|| messages.pop_front());
            messages.push_back(message);
            return match oldest {
                Some(_) => OutletPushed::Dropped,
                None => OutletPushed::In,
            };
        }
        self.exit.outlet.push(message)
    }

    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool) {
        self.exit.outlet.wait_for_room(patience, stop);
    }

    fn nudge(&self) {
        self.exit.outlet.nudge();
    }

    fn close(&self) {
        while let Some(message) = self.next() {
            if !matches!(self.exit.outlet.push(message), OutletPushed::In) {
                self.unsent.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.exit.outlet.close();
    }

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        self.exit.outlet.room(len)
    }
}
