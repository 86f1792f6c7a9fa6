//! Routes: from an output to its readers.
//!
//! Invariant: a table is never edited; it is replaced as a whole, so a sender reads it without a lock and a tap costs
//! the senders that have none nothing. Messages to one reader keep their order. Absent: threads and what readers do.

mod exit;
mod tap;

pub use exit::Exit;
pub use tap::{Tap, Tapped};

use super::inline;
use super::mailbox::{Mailbox, Pushed, Slot};
use super::outside::Outside;
use super::remote::OutletPushed;
use super::seat::{Awaited, SeatHandle};
use arc_swap::ArcSwap;
use exit::Kept;
use plugin_abi::ffi::{self, Status};
use plugin_abi::hosting::Room;
use plugin_abi::message::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A sender that has waited so long for a reader says so.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The readers of one output, or of one timer.
#[derive(Debug, Default)]
pub struct Route {
    table: ArcSwap<Table>,
    sent: AtomicU64,
    /// Messages that an outlet did not take.
    unsent: Arc<AtomicU64>,
    /// Ways out that keep their messages while the route is held.
    kept: Mutex<Vec<Arc<Kept>>>,
    /// Who is told whether there are readers.
    watcher: Mutex<Option<Watcher>>,
}

/// Hears whether a route has readers.
struct Watcher(Box<dyn Fn(bool) + Send>);

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watcher")
    }
}

#[derive(Debug, Clone, Default)]
struct Table {
    readers: Vec<Reader>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Open,
    /// Threads of the source's own wait until the dataflow is let go.
    Held,
    /// The source has ended: nobody is added any more.
    Closed,
}

/// Who reads.
#[derive(Debug, Clone)]
pub enum Reader {
    /// An input in a mailbox.
    Queue(Target),
    /// An input of a node that its sender calls inline when it sends from its callback's thread, else an input in the
    /// mailbox of that thread.
    Inline(Target, inline::Seat),
    /// Readers outside this process.
    Outlet(Exit),
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
    /// The node, if its code runs outside this process.
    pub outside: Option<Arc<dyn Outside>>,
}

impl Route {
    /// Messages that were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Messages that an outlet dropped, had no room for or did not take any more.
    pub fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// A route with these readers. One that is held lets threads of the source's own wait until [`Route::let_go`].
    pub fn new(readers: Vec<Reader>, held: bool) -> Self {
        let phase = if held { Phase::Held } else { Phase::Open };
        Self {
            table: ArcSwap::from_pointee(Table { readers, phase }),
            ..Self::default()
        }
    }

    /// Lets messages pass, if they were held; those that were kept go first. On the node's thread: waits for readers as
    /// [`Route::send`] does.
    pub fn let_go(&self, sender: &SeatHandle) {
        if self.table.load().phase != Phase::Held {
            return;
        }
        for kept in std::mem::take(&mut *self.kept()) {
            while let Some(message) = kept.next() {
                self.leave(&kept.exit, message, sender);
            }
        }
        self.table.rcu(|table| {
            let mut table = Table::clone(table);
            if table.phase == Phase::Held {
                table.phase = Phase::Open;
            }
            table
        });
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Arc<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds readers outside this process. When the source has ended, the outlet is closed at once.
    pub fn attach(&self, mut exit: Exit) {
        if self.table.load().phase == Phase::Held {
            let kept = Arc::new(Kept::new(exit.clone(), self.unsent.clone()));
            self.kept().push(kept.clone());
            exit.outlet = kept;
        }
        let outlet = exit.outlet.clone();
        if !self.add(&Reader::Outlet(exit)) {
            outlet.close();
        }
    }

    /// Tells somebody whether there are readers: now, and when that has changed.
    pub fn watch(&self, watcher: impl Fn(bool) + Send + 'static) {
        *self.watcher() = Some(Watcher(Box::new(watcher)));
        self.readers_changed();
    }

    fn watcher(&self) -> MutexGuard<'_, Option<Watcher>> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that the last one told is the last that holds.
    fn readers_changed(&self) {
        if let Some(Watcher(tell)) = &*self.watcher() {
            tell(!self.table.load().readers.is_empty());
        }
    }

    /// Adds a reader unless the source has ended.
    fn add(&self, reader: &Reader) -> bool {
        let before = self.table.rcu(|table| {
            let mut table = Table::clone(table);
            if table.phase != Phase::Closed {
                table.readers.push(reader.clone());
            }
            table
        });
        self.readers_changed();
        before.phase != Phase::Closed
    }

    /// Adds one who looks on, with room for `capacity` messages. When the source has ended, none will come.
    pub fn tap(&self, capacity: usize) -> Tapped {
        let (tap, tapped) = Tap::new(capacity);
        self.add(&Reader::Tap(tap));
        tapped
    }

    /// Memory for a message that a reader in another process gets without a copy, if there is such a reader.
    pub fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        let table = self.table.load();
        table.readers.iter().find_map(|reader| match reader {
            Reader::Queue(target) | Reader::Inline(target, _) => target.outside.as_ref()?.room(len),
            Reader::Outlet(exit) => exit.outlet.room(len),
            Reader::Tap(_) => None,
        })
    }

    /// Whether [`Route::send`] may wait now.
    pub fn may_wait(&self) -> bool {
        let table = self.table.load();
        let waits = |reader: &Reader| match reader {
            Reader::Queue(target) | Reader::Inline(target, _) => {
                target.mailbox.makes_wait(target.slot)
            }
            // They alone know.
            Reader::Outlet(_) => true,
            Reader::Tap(_) => false,
        };
        table.phase == Phase::Held || table.readers.iter().any(waits)
    }

    /// Hands a message to every reader. `sender` waits for readers with the policy `backpressure`.
    pub fn send(&self, message: Message, sender: &SeatHandle) -> Status {
        let mut table = self.table.load();
        if table.phase != Phase::Open {
            if !self.passes(sender) {
                return ffi::ERR_CLOSED;
            }
            table = self.table.load();
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        let Some((last, others)) = table.readers.split_last() else {
            return ffi::OK;
        };
        let mut gone = false;
        for reader in others {
            gone |= !self.deliver(reader, message.clone(), sender);
        }
        gone |= !self.deliver(last, message, sender);
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
        let mut gone = false;
        let table = self.table.load();
        for reader in &table.readers {
            match reader {
                Reader::Queue(target) | Reader::Inline(target, _) => {
                    target.mailbox.push_or_miss(target.slot, message.clone());
                }
                Reader::Outlet(exit) => match exit.outlet.push(message.clone()) {
                    OutletPushed::In => {}
                    OutletPushed::Dropped | OutletPushed::Closed | OutletPushed::Full(_) => {
                        self.not_sent();
                    }
                },
                Reader::Tap(tap) => gone |= !tap.push(message.clone()),
            }
        }
        drop(table);
        if gone {
            self.detach_gone();
        }
    }

    /// The source has ended: closes the readers' inputs.
    pub fn close(&self) {
        // Taps end when their senders are gone.
        let before = self.table.swap(Arc::new(Table {
            readers: Vec::new(),
            phase: Phase::Closed,
        }));
        for reader in &before.readers {
            match reader {
                Reader::Queue(target) | Reader::Inline(target, _) => {
                    target.mailbox.close(target.slot);
                }
                Reader::Outlet(exit) => exit.outlet.close(),
                Reader::Tap(_) => {}
            }
        }
    }

    /// Whether a message may pass although the route is not open. Waits for that on threads of the node's own; the callback
    /// that makes the node must end, so what it sends waits at the readers.
    #[cold]
    fn passes(&self, sender: &SeatHandle) -> bool {
        if !sender.is_in_callback() {
            sender.wait_until_let_go();
        }
        self.table.load().phase != Phase::Closed && !sender.is_stopping()
    }

    /// Hands a message to a reader; `false` when that is gone for good.
    fn deliver(&self, reader: &Reader, message: Message, sender: &SeatHandle) -> bool {
        match reader {
            Reader::Queue(target) => queue(target, message, sender),
            Reader::Inline(target, seat) => match inline::call(*seat, message) {
                Ok(()) => {}
                Err(message) => queue(target, message, sender),
            },
            Reader::Outlet(exit) => self.leave(exit, message, sender),
            Reader::Tap(tap) => return tap.push(message),
        }
        true
    }

    fn leave(&self, exit: &Exit, message: Message, sender: &SeatHandle) {
        match exit.outlet.push(message) {
            OutletPushed::In => {}
            OutletPushed::Dropped | OutletPushed::Closed => self.not_sent(),
            OutletPushed::Full(message) => self.leave_later(exit, message, sender),
        }
    }

    #[cold]
    fn leave_later(&self, exit: &Exit, message: Message, sender: &SeatHandle) {
        let outlet = &exit.outlet;
        let _waiting = sender.waits_on(Awaited::Outlet(outlet.clone()));
        let push = |message| match outlet.push(message) {
            OutletPushed::Full(back) => Some(back),
            OutletPushed::In => None,
            OutletPushed::Dropped | OutletPushed::Closed => {
                self.not_sent();
                None
            }
        };
        let pause = |patience, stop: &dyn Fn() -> bool| outlet.wait_for_room(patience, stop);
        if !wait(&exit.readers, message, sender, push, pause) {
            self.not_sent();
        }
    }

    #[cold]
    fn not_sent(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
    }

    fn detach_gone(&self) {
        self.table.rcu(|table| {
            let stays = |reader: &&Reader| !matches!(reader, Reader::Tap(tap) if tap.is_gone());
            Table {
                readers: table.readers.iter().filter(stays).cloned().collect(),
                phase: table.phase,
            }
        });
        self.readers_changed();
    }
}

fn queue(target: &Target, message: Message, sender: &SeatHandle) {
    let (pushed, back) = target.mailbox.push(target.slot, message);
    if let (Pushed::Full, Some(message)) = (pushed, back) {
        queue_later(target, message, sender);
    }
}

#[cold]
fn queue_later(target: &Target, message: Message, sender: &SeatHandle) {
    let (mailbox, slot) = (&target.mailbox, target.slot);
    let _waiting = sender.waits_on(Awaited::Mailbox(mailbox.clone()));
    let push = |message| match mailbox.push(slot, message) {
        (Pushed::Full, back) => back,
        _ => None,
    };
    let pause = |patience, stop: &dyn Fn() -> bool| mailbox.wait_for_room(slot, patience, stop);
    let readers = format!("input `{}`", target.name);
    if !wait(&readers, message, sender, push, pause) {
        mailbox.given_up(slot);
    }
}

/// A reader is full and its policy is `backpressure`: waits for room, until the sender is told to stop or the reader
/// has ended. `push` gives a message back that it has no room for. `false` when the message did not go in.
fn wait(
    readers: &str,
    mut message: Message,
    sender: &SeatHandle,
    push: impl Fn(Message) -> Option<Message>,
    pause: impl Fn(Duration, &dyn Fn() -> bool),
) -> bool {
    let started = Instant::now();
    let mut said = false;
    while !sender.is_stopping() {
        match push(message) {
            Some(back) => message = back,
            None => return true,
        }
        let patience = sender.patience();
        pause(patience, &|| sender.is_stopping());
        if !said && started.elapsed() >= patience {
            said = true;
            sender.warn(&format!(
                "has been waiting {patience:?} for room in {readers}, whose queue_policy is backpressure"
            ));
        }
    }
    false
}
