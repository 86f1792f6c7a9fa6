//! One who looks on at an output: bounded, never waited for.

use plugin_abi::message::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// The sending end.
#[derive(Debug, Clone)]
pub struct Tap {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

/// The receiving end of a tap. Dropping it detaches the tap at the next message.
#[derive(Debug)]
pub struct Tapped {
    /// The messages.
    pub messages: Receiver<Message>,
    dropped: Arc<AtomicU64>,
}

impl Tapped {
    /// Messages that were dropped because the receiver was slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Tap {
    /// Both ends, with room for `capacity` messages.
    pub fn new(capacity: usize) -> (Self, Tapped) {
        let (sender, messages) = sync_channel(capacity.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let tapped = Tapped {
            messages,
            dropped: dropped.clone(),
        };
        (Self { sender, dropped }, tapped)
    }

    /// Whether the receiver was dropped, as the push that noticed has marked.
    pub fn is_gone(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) == u64::MAX
    }

    /// `false` when the receiver is gone.
    pub fn push(&self, message: Message) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {
                self.dropped.store(u64::MAX, Ordering::Relaxed);
                return false;
            }
        }
        true
    }
}
