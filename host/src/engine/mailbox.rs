//! The bounded mailbox of one thread: a queue per input of its nodes, and what the engine tells them.
//!
//! Invariant: an input never holds more messages than its capacity; what its policy drops is counted; messages of one
//! input come out in the order in which they went in, and inputs take turns. A close comes out after the messages before
//! it; an order of the engine comes out before all messages. Of each input, what went in is what came out, was dropped,
//! was discarded or is still in. Absent: who reads, and what the messages are for.
//!
//! A mutex and a condition variable: measured, this wakes a reader faster than any channel, because the futex wake is
//! nearly the whole cost. The wake is skipped while the reader is awake. So that a busy reader and a busy sender seldom
//! meet at the mutex, the reader is lent several messages of a `backpressure` input at once; they count as in the queue
//! until it has had them all. Inputs that drop are not lent from: what is dropped would no longer be the oldest. Past the
//! queues there may be a door, to a node outside this process.

mod door;
mod reader;
mod taken;

pub use door::{Door, Passed};
pub use reader::{Lent, Pass};
pub use taken::{OnTaken, Taken};

use super::SeatId;
use crate::descriptor::QueuePolicy;
use door::ThisDoor;
use plugin_abi::hosting::NodeFailure;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use taken::{Listener, ToTell};

/// Number of an input in its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub usize);

/// What the engine tells a node of this mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Make the instance (again).
    Create {
        /// How often that has been done before.
        restart_count: u32,
    },
    /// Begin to take messages: every node of the dataflow has been made.
    Go,
    /// Tell the instance to stop.
    Stop,
    /// A thread of an instance's own says that it is done.
    Finish {
        /// The instance's restart count.
        instance: u32,
    },
    /// A thread of an instance's own says that it has failed.
    Fail {
        /// The instance's restart count.
        instance: u32,
    },
    /// The instance, which runs outside, has ended.
    Ended {
        /// The instance's restart count.
        instance: u32,
        /// How.
        result: Result<(), NodeFailure>,
        /// Whether that was because all its inputs were closed.
        inputs_closed: bool,
    },
}

/// What comes out of a mailbox.
#[derive(Debug)]
pub enum Delivery {
    /// An order for one of its nodes.
    Order(SeatId, Order),
    /// A message on an input.
    Message(Slot, Message),
    /// An input's source has closed.
    Closed(Slot),
    /// Nobody needs this mailbox any more.
    End,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It is in, and nothing was dropped for it.
    In,
    /// It is in, and the oldest one was dropped for it; or it was dropped itself.
    Dropped,
    /// The input takes no more, because its node has ended.
    Closed,
    /// There is no room and the policy is to wait: here it is back.
    Full,
}

/// Counters of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputCount {
    /// Messages that came out.
    pub taken: u64,
    /// Messages that the policy dropped.
    pub dropped: u64,
    /// Messages that were still in when the input was closed for good, or came later.
    pub discarded: u64,
    /// Messages that are in.
    pub queued: u64,
    /// Ticks of its timer that were late; ticks, log lines and messages from outside the process for which a queue that
    /// makes senders wait had no room.
    pub missed: u64,
    /// Messages that were lost on their way from outside the process.
    pub lost: u64,
}

/// One thread's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    /// The reader waits here.
    readable: Condvar,
    /// Senders wait here for room.
    writable: Condvar,
    /// By slot: senders wait for it. Never changes.
    waits: Box<[bool]>,
    /// What has come while the reader is busy with what it was lent: see [`NOTHING`], [`MESSAGES`], [`ORDERS`].
    news: AtomicU8,
}

const NOTHING: u8 = 0;
/// Another input has something: it takes turns with what was lent.
const MESSAGES: u8 = 1;
/// There is an order, which comes before every message.
const ORDERS: u8 = 2;

#[derive(Debug, Default)]
struct State {
    inputs: Vec<Input>,
    orders: VecDeque<(SeatId, Order)>,
    /// For the listener of the input that was taken from.
    to_tell: ToTell,
    /// Inputs that had something when they were listed, in the order of their turns.
    ready: VecDeque<usize>,
    /// The input that the reader was lent messages of.
    lender: Option<usize>,
    reader_waits: bool,
    ended: bool,
    /// Past the queues.
    door: Option<ThisDoor>,
    /// What is behind the door takes nothing now: no message comes out.
    paused: bool,
    /// The reader is to look at what else it has to do.
    nudged: bool,
}

#[derive(Debug)]
struct Input {
    capacity: usize,
    policy: QueuePolicy,
    queue: VecDeque<Message>,
    /// Messages that the reader was lent, and that still take room.
    lent: usize,
    /// The source has closed; comes out after the queue.
    closing: bool,
    /// Nothing goes in any more.
    shut: bool,
    /// Nothing comes out for now.
    held: bool,
    /// Whether it is among [`State::ready`].
    listed: bool,
    /// Senders that wait for room.
    waiting: usize,
    /// Who is told what leaves it.
    listener: Option<Listener>,
    count: InputCount,
}

impl Input {
    fn new(capacity: usize, policy: QueuePolicy) -> Self {
        Self {
            capacity: capacity.max(1),
            policy,
            queue: VecDeque::new(),
            lent: 0,
            closing: false,
            shut: false,
            held: true,
            listed: false,
            waiting: 0,
            listener: None,
            count: InputCount::default(),
        }
    }

    fn has_something(&self) -> bool {
        !self.held && self.lent == 0 && (!self.queue.is_empty() || self.closing)
    }

    fn is_full(&self) -> bool {
        self.queue.len() + self.lent >= self.capacity
    }

    /// Whether waiting senders are to be woken: not for every single message that goes, which would cost a wake each.
    fn has_room_for_waiting(&self) -> bool {
        self.waiting > 0 && (self.shut || self.queue.len() + self.lent <= self.capacity / 2)
    }
}

impl Mailbox {
    /// A mailbox with these inputs: capacity and policy of each. All are held until [`Mailbox::hold`] lets them go.
    pub fn new(inputs: impl IntoIterator<Item = (usize, QueuePolicy)>) -> Self {
        let inputs = inputs
            .into_iter()
            .map(|(capacity, policy)| Input::new(capacity, policy));
        let state = State {
            inputs: inputs.collect(),
            ..State::default()
        };
        let waits = |input: &Input| input.policy == QueuePolicy::Backpressure;
        Self {
            waits: state.inputs.iter().map(waits).collect(),
            state: Mutex::new(state),
            readable: Condvar::new(),
            writable: Condvar::new(),
            news: AtomicU8::new(NOTHING),
        }
    }

    /// Whether senders wait for room in an input.
    pub fn makes_wait(&self, slot: Slot) -> bool {
        self.waits.get(slot.0).copied().unwrap_or(false)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this module panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes an input and wakes the reader if that gave it something.
    fn change<T>(&self, slot: Slot, change: impl FnOnce(&mut Input) -> T) -> Option<T> {
        self.change_locked(self.state(), slot, change)
    }

    fn change_locked<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        slot: Slot,
        change: impl FnOnce(&mut Input) -> T,
    ) -> Option<T> {
        let result = change(state.inputs.get_mut(slot.0)?);
        if state.list(slot.0) && !state.paused {
            self.tell_reader(state, MESSAGES);
        }
        Some(result)
    }

    /// Lets the reader know that there is something for it.
    fn tell_reader(&self, mut state: MutexGuard<'_, State>, news: u8) {
        self.news.fetch_max(news, Ordering::Relaxed);
        let wake = std::mem::take(&mut state.reader_waits);
        drop(state);
        if wake {
            self.readable.notify_one();
        }
    }

    /// Puts a message in, or says why not; gives it back when it is [`Pushed::Full`].
    pub fn push(&self, slot: Slot, message: Message) -> (Pushed, Option<Message>) {
        let state = match self.through(self.state(), slot, &message) {
            Ok(left) => {
                left.tell();
                return (Pushed::In, None);
            }
            Err(state) => state,
        };
        let mut dropped = None;
        let mut back = None;
        let mut left = ToTell::default();
        let pushed = self.change_locked(state, slot, |input| {
            if input.shut {
                dropped = Some(message);
                input.count.discarded += 1;
                return Pushed::Closed;
            }
            if !input.is_full() {
                input.queue.push_back(message);
                return Pushed::In;
            }
            match input.policy {
                QueuePolicy::DropOldest => {
                    dropped = input.queue.pop_front();
                    input.queue.push_back(message);
                }
                QueuePolicy::DropNewest => dropped = Some(message),
                QueuePolicy::Backpressure => {
                    back = Some(message);
                    return Pushed::Full;
                }
            }
            input.count.dropped += 1;
            left = input.left(1);
            Pushed::Dropped
        });
        // What was dropped is released here, outside the lock: its producer's code may run.
        drop(dropped);
        left.tell();
        (pushed.unwrap_or(Pushed::Closed), back)
    }

    /// Puts a message in without ever waiting: where the policy is to wait, one without room is missed, and counted.
    pub fn push_or_miss(&self, slot: Slot, message: Message) {
        let (pushed, back) = self.push(slot, message);
        if pushed == Pushed::Full {
            let left = self.change(slot, |input| {
                input.count.missed += 1;
                input.left(1)
            });
            drop(back);
            left.unwrap_or_default().tell();
        }
    }

    /// Waits until an input may have room, or somebody calls [`Mailbox::wake_senders`], at most `timeout`. `stop` is
    /// asked under the lock, so that a wake between it and the wait is not lost.
    pub fn wait_for_room(&self, slot: Slot, timeout: Duration, stop: impl Fn() -> bool) {
        let mut state = self.state();
        let Some(input) = state.inputs.get_mut(slot.0) else {
            return;
        };
        if input.shut || !input.is_full() || stop() {
            return;
        }
        input.waiting += 1;
        let (mut state, _) = self
            .writable
            .wait_timeout(state, timeout)
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(input) = state.inputs.get_mut(slot.0) {
            input.waiting -= 1;
        }
    }

    /// Wakes every sender that waits for room, so that it looks whether it has been told to stop.
    pub fn wake_senders(&self) {
        drop(self.state());
        self.writable.notify_all();
    }

    /// Counts a message that its sender gave up on while it waited for room.
    pub fn given_up(&self, slot: Slot) {
        self.change(slot, |input| input.count.discarded += 1);
    }

    /// Counts messages that were lost before they came here.
    pub fn lost(&self, slot: Slot, messages: u64) {
        self.change(slot, |input| input.count.lost += messages);
    }

    /// The input's source has closed: says so after the messages that are in.
    pub fn close(&self, slot: Slot) {
        self.change(slot, |input| {
            if !input.shut {
                input.closing = true;
            }
        });
    }

    /// Nothing more is wanted: discards what is in and refuses the rest.
    pub fn shut(&self, slot: Slot) {
        let shut = self.change(slot, |input| {
            input.count.discarded += input.queue.len() as u64;
            (std::mem::take(&mut input.queue), input.shut())
        });
        self.writable.notify_all();
        if let Some((discarded, closed)) = shut {
            drop(discarded);
            closed.tell();
        }
    }

    /// Lets messages out of an input, or holds them back while its node is made again.
    pub fn hold(&self, slot: Slot, held: bool) {
        self.change(slot, |input| input.held = held);
    }

    /// Gives an order.
    pub fn order(&self, seat: SeatId, order: Order) {
        let mut state = self.state();
        state.orders.push_back((seat, order));
        self.tell_reader(state, ORDERS);
    }

    /// Nobody needs this mailbox any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        self.tell_reader(state, MESSAGES);
    }

    /// Whether an input has a message that its node has not had yet.
    pub fn holds_one(&self, slot: Slot) -> bool {
        let state = self.state();
        let input = state.inputs.get(slot.0);
        input.is_some_and(|input| !input.queue.is_empty() || input.lent > 0)
    }

    /// Counters of an input.
    pub fn count(&self, slot: Slot) -> InputCount {
        let state = self.state();
        let Some(input) = state.inputs.get(slot.0) else {
            return InputCount::default();
        };
        InputCount {
            queued: input.queue.len() as u64,
            ..input.count
        }
    }
}

impl State {
    /// Gives an input its turn if it has something and is not waiting for it already; `true` when it was.
    fn list(&mut self, at: usize) -> bool {
        let Some(input) = self.inputs.get_mut(at) else {
            return false;
        };
        let list = !input.listed && input.has_something();
        if list {
            input.listed = true;
            self.ready.push_back(at);
        }
        list
    }
}

#[cfg(test)]
mod tests;
