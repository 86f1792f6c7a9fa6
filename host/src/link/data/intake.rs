//! What comes from a sender on another machine, put in order: numbers to messages, losses and the end. Without the network.
//!
//! Invariant: messages come in the order of their numbers, each once; a missing number is a loss that is counted when a
//! later one comes; whatever the bytes are, they cost no more than their decoding. Absent: where they come from, and queues.

use super::attachment::{self, Kind};
use super::credits::Credits;
use super::sender::Sequence;
use crate::codec::DecodeError;
use plugin_abi::message::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a reader gets.
#[derive(Debug)]
pub enum Arrived {
    /// A message.
    Message(Message),
    /// So many messages were lost before what comes next.
    Lost(u64),
    /// A message could not be read; it counts as broken, not as lost.
    Broken(String),
    /// The sender has closed the output.
    Ended,
}

/// Counters of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReaderCount {
    /// Messages that were handed over.
    pub received: u64,
    /// Messages that never came.
    pub lost: u64,
    /// Messages that could not be read.
    pub broken: u64,
}

/// Takes what comes. Any thread.
#[derive(Debug)]
pub struct Intake {
    /// Held while a message is handed over, which keeps them in order.
    place: Mutex<Place>,
    received: AtomicU64,
    lost: AtomicU64,
    broken: AtomicU64,
}

/// How far the messages are.
#[derive(Debug)]
struct Place {
    /// The number that comes next; `None` when any may.
    expected: Option<Sequence>,
    ended: bool,
}

impl Intake {
    /// `from_start`: whether it is there before the first message, so that a missing first one is a loss.
    pub fn new(from_start: bool) -> Self {
        Self {
            place: Mutex::new(Place::new(from_start)),
            received: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            broken: AtomicU64::new(0),
        }
    }

    /// What came so far.
    pub fn count(&self) -> ReaderCount {
        ReaderCount {
            received: self.received.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
        }
    }

    /// Takes what came: the bytes beside a message, and what makes the message of its data and its metadata, which is
    /// called only when there is one. `handle` gets what that is, in order; what was lost is taken off the credits.
    pub fn take(
        &self,
        beside: &[u8],
        message: impl FnOnce(&[u8]) -> Result<Message, DecodeError>,
        credits: Option<&Credits>,
        handle: &dyn Fn(Arrived),
    ) {
        let Some((kind, number, meta)) = attachment::decode(beside) else {
            self.broken.fetch_add(1, Ordering::Relaxed);
            return handle(Arrived::Broken("it has no number".into()));
        };
        // Before the lock: this may copy much.
        let message = (kind == Kind::Message).then(|| message(meta));
        // A panic of a handler must not end the reading of others.
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut missed) = place.pass(number, kind) else {
            return;
        };
        if missed > 0 {
            self.lost.fetch_add(missed, Ordering::Relaxed);
            handle(Arrived::Lost(missed));
        }
        match message {
            Some(Ok(message)) => {
                self.received.fetch_add(1, Ordering::Relaxed);
                handle(Arrived::Message(message));
            }
            Some(Err(error)) => {
                self.broken.fetch_add(1, Ordering::Relaxed);
                missed += 1;
                handle(Arrived::Broken(error.to_string()));
            }
            None => handle(Arrived::Ended),
        }
        drop(place);
        if let Some(credits) = credits.filter(|_| missed > 0) {
            credits.missed(missed);
        }
    }
}

impl Place {
    fn new(from_start: bool) -> Self {
        Self {
            expected: from_start.then_some(1),
            ended: false,
        }
    }

    /// How many were lost before this one; `None` when it has come or been counted already.
    fn pass(&mut self, number: Sequence, kind: Kind) -> Option<u64> {
        let expected = self.expected.unwrap_or(number);
        let lost = number.checked_sub(expected).filter(|_| !self.ended)?;
        self.ended = kind == Kind::End;
        self.expected = Some(number.saturating_add(1));
        Some(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_and_what_comes_twice_or_late_is_not_taken() {
        let mut place = Place::new(true);
        let passed = [2, 3, 3, 7, 5, 8].map(|number| place.pass(number, Kind::Message));
        assert_eq!(passed, [Some(1), Some(0), None, Some(3), None, Some(0)]);
        assert_eq!(place.pass(11, Kind::End), Some(2));
        assert_eq!(place.pass(12, Kind::Message), None);
    }

    #[test]
    fn one_who_looks_on_misses_nothing_before_it_came() {
        let mut place = Place::new(false);
        assert_eq!(place.pass(100, Kind::Message), Some(0));
        assert_eq!(place.pass(102, Kind::Message), Some(1));
    }
}
