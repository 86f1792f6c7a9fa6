//! The bounded mailbox of one thread: a queue per input of its nodes, and what the engine tells them.
//!
//! Invariant: an input never holds more messages than its capacity; what its policy drops is counted; messages of one
//! input come out in the order in which they went in, and inputs take turns. A close comes out after the messages before
//! it; an order of the engine comes out before all messages. Absent: who reads, and what the messages are for.
//!
//! A mutex and a condition variable: measured, this wakes a reader faster than any channel, because the futex wake is
//! nearly the whole cost. The wake is skipped while the reader is awake.

use super::SeatId;
use crate::descriptor::QueuePolicy;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// A thread of the node's own says that it is done.
    Finish,
    /// A thread of the node's own says that it has failed.
    Fail,
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
    /// Messages that were still in when the input was closed for good.
    pub discarded: u64,
    /// Messages that are in.
    pub queued: u64,
}

/// One thread's mailbox.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    /// The reader waits here.
    readable: Condvar,
    /// Senders wait here for room.
    writable: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inputs: Vec<Input>,
    orders: VecDeque<(SeatId, Order)>,
    /// The input that is asked next.
    turn: usize,
    /// Inputs that hold something, so that an empty mailbox is known without a search.
    filled: usize,
    reader_waits: bool,
    senders_waiting: usize,
    ended: bool,
}

#[derive(Debug)]
struct Input {
    capacity: usize,
    policy: QueuePolicy,
    queue: VecDeque<Message>,
    /// The source has closed; comes out after the queue.
    closing: bool,
    /// Nothing goes in any more.
    shut: bool,
    /// Nothing comes out for now.
    held: bool,
    count: InputCount,
}

impl Input {
    fn has_something(&self) -> bool {
        !self.held && (!self.queue.is_empty() || self.closing)
    }
}

impl Mailbox {
    /// A mailbox with these inputs: capacity and policy of each. All are held until [`Mailbox::release`].
    pub fn new(inputs: impl IntoIterator<Item = (usize, QueuePolicy)>) -> Self {
        let inputs = inputs.into_iter().map(|(capacity, policy)| Input {
            capacity: capacity.max(1),
            policy,
            queue: VecDeque::new(),
            closing: false,
            shut: false,
            held: true,
            count: InputCount::default(),
        });
        let state = State {
            inputs: inputs.collect(),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            readable: Condvar::new(),
            writable: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this module panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes an input and wakes the reader if that gave it something.
    fn change<T>(&self, slot: Slot, change: impl FnOnce(&mut Input) -> T) -> Option<T> {
        let mut state = self.state();
        let input = state.inputs.get_mut(slot.0)?;
        let before = input.has_something();
        let result = change(input);
        let after = input.has_something();
        match (before, after) {
            (false, true) => state.filled += 1,
            (true, false) => state.filled -= 1,
            _ => {}
        }
        let wake = after && state.reader_waits;
        if wake {
            state.reader_waits = false;
        }
        drop(state);
        if wake {
            self.readable.notify_one();
        }
        Some(result)
    }

    /// Puts a message in, or says why not; gives it back when it is [`Pushed::Full`].
    pub fn push(&self, slot: Slot, message: Message) -> (Pushed, Option<Message>) {
        let mut dropped = None;
        let mut back = None;
        let pushed = self.change(slot, |input| {
            if input.shut {
                dropped = Some(message);
                return Pushed::Closed;
            }
            if input.queue.len() < input.capacity {
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
            Pushed::Dropped
        });
        // What was dropped is released here, outside the lock: its producer's code may run.
        drop(dropped);
        (pushed.unwrap_or(Pushed::Closed), back)
    }

    /// Waits until an input may have room, or somebody calls [`Mailbox::wake_senders`], at most `timeout`. `stop` is
    /// asked under the lock, so that a wake between it and the wait is not lost.
    pub fn wait_for_room(&self, slot: Slot, timeout: Duration, stop: impl Fn() -> bool) {
        let mut state = self.state();
        let full = |state: &State| {
            state
                .inputs
                .get(slot.0)
                .is_some_and(|input| !input.shut && input.queue.len() >= input.capacity)
        };
        if !full(&state) || stop() {
            return;
        }
        state.senders_waiting += 1;
        let (mut state, _) = self
            .writable
            .wait_timeout(state, timeout)
            .unwrap_or_else(PoisonError::into_inner);
        state.senders_waiting -= 1;
    }

    /// Wakes every sender that waits for room, so that it looks whether it has been told to stop.
    pub fn wake_senders(&self) {
        drop(self.state());
        self.writable.notify_all();
    }

    /// The input's source has closed: says so after the messages that are in.
    pub fn close(&self, slot: Slot) {
        self.change(slot, |input| {
            if !input.shut {
                input.closing = true;
            }
        });
    }

    /// The node has ended for good: discards what is in and refuses the rest.
    pub fn shut(&self, slot: Slot) {
        let discarded = self.change(slot, |input| {
            input.shut = true;
            input.closing = false;
            input.count.discarded += input.queue.len() as u64;
            std::mem::take(&mut input.queue)
        });
        drop(discarded);
        self.writable.notify_all();
    }

    /// Lets messages out of an input, or holds them back while its node is made again.
    pub fn hold(&self, slot: Slot, held: bool) {
        self.change(slot, |input| input.held = held);
    }

    /// Gives an order.
    pub fn order(&self, seat: SeatId, order: Order) {
        let mut state = self.state();
        state.orders.push_back((seat, order));
        self.wake_reader(state);
    }

    /// Nobody needs this mailbox any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        self.wake_reader(state);
    }

    fn wake_reader(&self, mut state: MutexGuard<'_, State>) {
        let wake = std::mem::take(&mut state.reader_waits);
        drop(state);
        if wake {
            self.readable.notify_one();
        }
    }

    /// The next thing, waiting for it until `deadline`. One reader.
    pub fn take(&self, deadline: Option<Instant>) -> Option<Delivery> {
        let mut state = self.state();
        loop {
            if let Some(delivery) = state.next() {
                let room = state.senders_waiting > 0;
                drop(state);
                if room {
                    self.writable.notify_all();
                }
                return Some(delivery);
            }
            state.reader_waits = true;
            state =
                match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                    None => self
                        .readable
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner),
                    Some(Duration::ZERO) => {
                        state.reader_waits = false;
                        return None;
                    }
                    Some(left) => {
                        self.readable
                            .wait_timeout(state, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                };
        }
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
    fn next(&mut self) -> Option<Delivery> {
        if let Some((seat, order)) = self.orders.pop_front() {
            return Some(Delivery::Order(seat, order));
        }
        if self.filled > 0 {
            let count = self.inputs.len();
            for step in 0..count {
                let at = (self.turn + step) % count;
                let Some(input) = self
                    .inputs
                    .get_mut(at)
                    .filter(|input| input.has_something())
                else {
                    continue;
                };
                self.turn = (at + 1) % count;
                let delivery = match input.queue.pop_front() {
                    Some(message) => {
                        input.count.taken += 1;
                        Delivery::Message(Slot(at), message)
                    }
                    None => {
                        input.closing = false;
                        Delivery::Closed(Slot(at))
                    }
                };
                if !input.has_something() {
                    self.filled -= 1;
                }
                return Some(delivery);
            }
        }
        self.ended.then_some(Delivery::End)
    }
}
