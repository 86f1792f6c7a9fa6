//! Routes: from an output to its readers.
//!
//! Invariant: a table is never edited; it is replaced as a whole, so a sender reads it without a lock and a tap costs
//! the senders that have none nothing. Messages to one reader keep their order. Absent: threads and what readers do.

use super::inline;
use super::mailbox::{Mailbox, Pushed, Slot};
use super::seat::SeatHandle;
use arc_swap::ArcSwap;
use plugin_abi::ffi::{self, Status};
use plugin_abi::message::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

/// A sender that has waited so long for a reader says so.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The readers of one output, or of one timer.
#[derive(Debug, Default)]
pub struct Route {
    table: ArcSwap<Table>,
    sent: AtomicU64,
}

#[derive(Debug, Clone, Default)]
struct Table {
    readers: Vec<Reader>,
    /// The source has ended: nobody is added any more.
    closed: bool,
}

/// Who reads.
#[derive(Debug, Clone)]
pub enum Reader {
    /// An input in a mailbox.
    Queue(Target),
    /// An input of a node that its sender calls inline when it sends from its callback's thread, else an input in the
    /// mailbox of that thread.
    Inline(Target, inline::Seat),
    /// Somebody who looks on.
    Tap(Tap),
}

/// An input in a mailbox.
#[derive(Debug, Clone)]
pub struct Target {
    /// The mailbox.
    pub mailbox: Arc<Mailbox>,
    /// The input.
    pub slot: Slot,
    /// Node and input as `node/input`, for messages.
    pub name: Arc<str>,
}

/// One who looks on: bounded, never waited for.
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

impl Route {
    /// Messages that were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Replaces the readers.
    pub fn set(&self, readers: Vec<Reader>) {
        self.table.store(Arc::new(Table {
            readers,
            closed: false,
        }));
    }

    /// Adds one who looks on, with room for `capacity` messages. When the source has ended, none will come.
    pub fn tap(&self, capacity: usize) -> Tapped {
        let (sender, messages) = sync_channel(capacity.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let tap = Tap {
            sender,
            dropped: dropped.clone(),
        };
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            if !table.closed {
                table.readers.push(Reader::Tap(tap.clone()));
            }
            table
        });
        Tapped { messages, dropped }
    }

    /// Hands a message to every reader. `sender` waits for readers with the policy `backpressure`.
    pub fn send(&self, message: Message, sender: &SeatHandle) -> Status {
        let table = self.table.load();
        if table.closed {
            return ffi::ERR_CLOSED;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let Some((last, others)) = table.readers.split_last() else {
            return ffi::OK;
        };
        let mut gone = false;
        for reader in others {
            gone |= !deliver(reader, message.clone(), Some(sender));
        }
        gone |= !deliver(last, message, Some(sender));
        drop(table);
        if gone {
            self.detach_gone();
        }
        if sender.is_stopping() {
            ffi::ERR_CLOSED
        } else {
            ffi::OK
        }
    }

    /// Hands a tick or a line to every reader without waiting; an input without room counts it as missed.
    pub fn send_unawaited(&self, message: &Message) {
        for reader in &self.table.load().readers {
            if let Reader::Queue(target) | Reader::Inline(target, _) = reader
                && target.mailbox.push(target.slot, message.clone()).0 == Pushed::Full
            {
                target.mailbox.missed(target.slot);
            }
        }
    }

    /// The source has ended: closes the readers' inputs.
    pub fn close(&self) {
        // Taps end when their senders are gone.
        let before = self.table.swap(Arc::new(Table {
            readers: Vec::new(),
            closed: true,
        }));
        for reader in &before.readers {
            if let Reader::Queue(target) | Reader::Inline(target, _) = reader {
                target.mailbox.close(target.slot);
            }
        }
    }

    fn detach_gone(&self) {
        self.table.rcu(|table| {
            let stays = |reader: &&Reader| !matches!(reader, Reader::Tap(tap) if tap.is_gone());
            Table {
                readers: table.readers.iter().filter(stays).cloned().collect(),
                closed: table.closed,
            }
        });
    }
}

impl Tap {
    /// A tap whose receiver was dropped has been marked by the send that noticed.
    fn is_gone(&self) -> bool {
        self.dropped.load(Ordering::Relaxed) == u64::MAX
    }
}

/// `false` when the reader is gone for good.
fn deliver(reader: &Reader, message: Message, sender: Option<&SeatHandle>) -> bool {
    match reader {
        Reader::Queue(target) => queue(target, message, sender),
        Reader::Inline(target, seat) => match inline::call(*seat, message) {
            Ok(()) => {}
            Err(message) => queue(target, message, sender),
        },
        Reader::Tap(tap) => match tap.sender.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                tap.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {
                tap.dropped.store(u64::MAX, Ordering::Relaxed);
                return false;
            }
        },
    }
    true
}

fn queue(target: &Target, message: Message, sender: Option<&SeatHandle>) {
    let (pushed, back) = target.mailbox.push(target.slot, message);
    if let (Pushed::Full, Some(message), Some(sender)) = (pushed, back, sender) {
        wait(target, message, sender);
    }
}

/// The reader is full and its policy is `backpressure`: waits for room, until the sender is told to stop or the reader
/// has ended.
#[cold]
fn wait(target: &Target, mut message: Message, sender: &SeatHandle) {
    let _waiting = sender.waits_on(&target.mailbox);
    let started = Instant::now();
    let mut said = false;
    while !sender.is_stopping() {
        let (pushed, back) = target.mailbox.push(target.slot, message);
        match (pushed, back) {
            (Pushed::Full, Some(again)) => message = again,
            _ => return,
        }
        let patience = sender.patience();
        target
            .mailbox
            .wait_for_room(target.slot, patience, || sender.is_stopping());
        if !said && started.elapsed() >= patience {
            said = true;
            let reader = &target.name;
            sender.warn(&format!(
                "has been waiting {patience:?} for room in input `{reader}`, whose queue_policy is backpressure"
            ));
        }
    }
    target.mailbox.given_up(target.slot);
}
