//! The reader's side of a mailbox: turns, orders, and what it is lent.
//!
//! Invariant: what was lent is handed out before anything else of the same input, and takes turns with other inputs.
//! Absent: senders.

use super::{Delivery, Input, MESSAGES, Mailbox, NOTHING, ORDERS, Slot, State};
use crate::descriptor::QueuePolicy;
use crate::lookout::Lookout;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most messages that the reader is lent at once.
const MOST_LENT: usize = 64;

/// Messages that the reader was lent: only the reader has them.
#[derive(Debug, Default)]
pub struct Lent {
    slot: Option<Slot>,
    messages: VecDeque<Message>,
    /// Whether another input may go first.
    others_turn: bool,
    lookout: Lookout,
}

/// Whether a message that has come inline may go on at once.
#[derive(Debug)]
pub enum Pass {
    /// This one was queued before and goes first; ask again.
    After(Message),
    /// It may, and has been counted.
    Now,
    /// The input takes no more; it has been counted as discarded.
    Shut,
}

impl Lent {
    fn next(&mut self) -> Option<Delivery> {
        let message = self.messages.pop_front()?;
        self.others_turn = true;
        Some(Delivery::Message(self.slot?, message))
    }
}

/// The reader's side. One reader, always with the same [`Lent`].
impl Mailbox {
    /// The next thing, waiting for it until `deadline`, or until what went through the door needs this thread.
    pub fn take(&self, lent: &mut Lent, deadline: Option<Instant>) -> Option<Delivery> {
        let news = self.news.load(Ordering::Relaxed);
        if news == NOTHING || (news == MESSAGES && !lent.others_turn) {
            // Without the lock.
            if let Some(delivery) = lent.next() {
                return Some(delivery);
            }
        }
        lent.others_turn = false;
        let mut looked_out = false;
        let mut state = self.state();
        loop {
            let mut room = lent.messages.is_empty() && state.settle();
            if let Some(delivery) = state.next(lent, &mut room).or_else(|| lent.next()) {
                self.news.store(state.news(), Ordering::Relaxed);
                let to_tell = std::mem::take(&mut state.to_tell);
                drop(state);
                if room {
                    self.writable.notify_all();
                }
                to_tell.tell();
                return Some(delivery);
            }
            if room {
                self.writable.notify_all();
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) || std::mem::take(&mut state.nudged) {
                return None;
            }
            if !std::mem::replace(&mut looked_out, true) && lent.lookout.is_worth(Instant::now()) {
                drop(state);
                let something = || self.news.load(Ordering::Relaxed) != NOTHING;
                lent.lookout.look(something);
                state = self.state();
                continue;
            }
            state.reader_waits = true;
            let waited = match left {
                None => self.readable.wait(state),
                Some(left) => match self.readable.wait_timeout(state, left) {
                    Ok((state, _)) => Ok(state),
                    Err(poisoned) => Err(PoisonError::new(poisoned.into_inner().0)),
                },
            };
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.reader_waits = false;
        }
    }

    /// What a message that has come inline finds. Its input is none that lends.
    pub fn pass(&self, slot: Slot) -> Pass {
        let mut state = self.state();
        let Some(input) = state.inputs.get_mut(slot.0) else {
            return Pass::Shut;
        };
        if input.shut {
            input.count.discarded += 1;
            return Pass::Shut;
        }
        input.count.taken += 1;
        match input.queue.pop_front() {
            Some(earlier) => Pass::After(earlier),
            None => Pass::Now,
        }
    }

    /// Puts what was lent back to where it came from.
    pub fn give_back(&self, lent: &mut Lent) {
        let Some(slot) = lent.slot.filter(|_| !lent.messages.is_empty()) else {
            return;
        };
        let discarded = self.change(slot, |input| {
            input.count.taken -= lent.messages.len() as u64;
            input.lent = 0;
            if input.shut {
                input.count.discarded += lent.messages.len() as u64;
                return std::mem::take(&mut lent.messages);
            }
            while let Some(message) = lent.messages.pop_back() {
                input.queue.push_front(message);
            }
            VecDeque::new()
        });
        drop(discarded);
    }
}

impl State {
    /// The reader has had all that it was lent. `true` when senders are to be woken.
    fn settle(&mut self) -> bool {
        let Some(at) = self.lender.take() else {
            return false;
        };
        let room = self.inputs.get_mut(at).is_some_and(|input| {
            input.lent = 0;
            input.has_room_for_waiting()
        });
        self.list(at);
        room
    }

    /// What comes out next, except for what was lent. Sets `room` when senders are to be woken.
    fn next(&mut self, lent: &mut Lent, room: &mut bool) -> Option<Delivery> {
        if let Some((seat, order)) = self.orders.pop_front() {
            return Some(Delivery::Order(seat, order));
        }
        while !self.paused
            && let Some(at) = self.ready.pop_front()
        {
            let Some(input) = self.inputs.get_mut(at) else {
                continue;
            };
            input.listed = false;
            if !input.has_something() {
                continue;
            }
            let delivery = match input.queue.pop_front() {
                Some(message) => {
                    input.count.taken += 1;
                    self.to_tell = input.left(1);
                    if self.ready.is_empty() && lent.messages.is_empty() {
                        input.lend(Slot(at), lent);
                        self.lender = (input.lent > 0).then_some(at);
                    }
                    Delivery::Message(Slot(at), message)
                }
                None => {
                    self.to_tell = input.shut();
                    Delivery::Closed(Slot(at))
                }
            };
            *room |= input.has_room_for_waiting();
            self.list(at);
            return Some(delivery);
        }
        // What was lent comes before the end.
        (self.ended && lent.messages.is_empty()).then_some(Delivery::End)
    }

    fn news(&self) -> u8 {
        match (self.orders.is_empty(), self.ready.is_empty()) {
            (false, _) => ORDERS,
            (true, false) if !self.paused => MESSAGES,
            (true, _) => NOTHING,
        }
    }
}

impl Input {
    /// Lends the reader what is in, but at most half of what there is room for: with all of it, its sender and its reader
    /// would work in turns.
    fn lend(&mut self, slot: Slot, lent: &mut Lent) {
        // Who listens is told of every message when it leaves, which one that was lent has not yet.
        if self.policy != QueuePolicy::Backpressure || self.listener.is_some() {
            return;
        }
        let count = self.queue.len().min(self.capacity / 2).min(MOST_LENT);
        lent.slot = Some(slot);
        lent.messages.extend(self.queue.drain(..count));
        self.lent = count;
        self.count.taken += count as u64;
    }
}
