//! What comes from a sender on another machine, put in order: numbers to messages, losses and the end. Without the network.
//!
//! Invariant: messages come in the order of their numbers, each once; a missing number is a loss that is counted when a
//! later one comes, with credits only when the sender says so: what comes before it then is not taken, and is sent again with
//! it. Whatever the bytes are, they cost no more than their decoding. Absent: where they come from, and queues.

use super::attachment::{self, Kind};
use super::credits::Credits;
use super::sender::Sequence;
use crate::codec::DecodeError;
use plugin_abi::message::Message;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

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
        let Some(mut missed) = place.ahead(number) else {
            return;
        };
        let is_missing = missed > 0 && kind != Kind::Gone;
        if let Some(credits) = credits.filter(|_| is_missing) {
            return credits.missing(Instant::now());
        }
        place.pass(number, kind);
        if let Some(credits) = credits {
            let message = message.as_ref().and_then(|message| message.as_ref().ok());
            let bytes = message
                .and_then(Message::plain)
                .map_or(0, |(_, bytes)| bytes.len());
            credits.passed(number, bytes as u64, kind == Kind::End);
        }
        missed += u64::from(matches!(kind, Kind::Lost | Kind::Gone));
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
            None if kind == Kind::End => handle(Arrived::Ended),
            None => {}
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

    /// How many are missing before this one; `None` when it has come or been counted already.
    fn ahead(&self, number: Sequence) -> Option<u64> {
        let expected = self.expected.unwrap_or(number);
        number.checked_sub(expected).filter(|_| !self.ended)
    }

    /// This one is taken.
    fn pass(&mut self, number: Sequence, kind: Kind) {
        self.ended = kind == Kind::End;
        self.expected = Some(number.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes messages of these numbers; what came of it.
    fn take(intake: &Intake, credits: Option<&Credits>, numbers: &[(Sequence, Kind)]) -> String {
        let told = std::cell::RefCell::new(String::new());
        for (number, kind) in numbers {
            let beside = attachment::encode(*kind, *number, &[]);
            let message =
                |_: &[u8]| Ok(Message::from_text(Default::default(), "x", &[]).expect("a text"));
            intake.take(&beside, message, credits, &|arrived| {
                *told.borrow_mut() += &match arrived {
                    Arrived::Message(_) => format!("{number} "),
                    Arrived::Lost(lost) => format!("lost {lost} "),
                    Arrived::Broken(why) => why,
                    Arrived::Ended => "end".into(),
                };
            });
        }
        told.into_inner()
    }

    fn messages(numbers: &[Sequence]) -> Vec<(Sequence, Kind)> {
        let message = |number: &Sequence| (*number, Kind::Message);
        numbers.iter().map(message).collect()
    }

    #[test]
    fn gaps_are_counted_and_what_comes_twice_or_late_is_not_taken() {
        let intake = Intake::new(true);
        let told = take(&intake, None, &messages(&[2, 3, 3, 7, 5, 8]));
        assert_eq!(told, "lost 1 2 3 lost 3 7 8 ");
        let told = take(&intake, None, &[(9, Kind::Gone), (10, Kind::Message)]);
        assert_eq!(told, "lost 1 10 ");
        let told = take(&intake, None, &[(12, Kind::End), (13, Kind::Message)]);
        assert_eq!(told, "lost 1 end");
        assert_eq!((intake.count().received, intake.count().lost), (5, 6));
    }

    #[test]
    fn one_who_looks_on_misses_nothing_before_it_came() {
        let told = take(&Intake::new(false), None, &messages(&[100, 102]));
        assert_eq!(told, "100 lost 1 102 ");
    }

    #[test]
    fn with_credits_what_is_missing_is_asked_for_and_its_followers_with_it() {
        let asked = std::sync::Arc::new(AtomicU64::new(0));
        let heard = asked.clone();
        let credits = Credits::new(&[100], move |credit| {
            heard.fetch_add(u64::from(credit.missing), Ordering::Relaxed);
        });
        let intake = Intake::new(true);
        let come = |numbers: &[Sequence]| take(&intake, Some(&credits), &messages(numbers));
        assert_eq!(come(&[1, 2, 4, 5]), "1 2 ");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(credits.asked().passed, 2);
        assert_eq!(come(&[3, 4, 4, 5]), "3 4 5 ");
        assert_eq!(take(&intake, Some(&credits), &[(7, Kind::End)]), "");
        let rest = [(6, Kind::Lost), (7, Kind::End)];
        assert_eq!(take(&intake, Some(&credits), &rest), "lost 1 end");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!((intake.count().received, intake.count().lost), (5, 1));
    }

    #[test]
    fn what_its_sender_has_not_any_more_is_lost() {
        let credits = Credits::new(&[100], |_| {});
        let intake = Intake::new(true);
        let come = |numbers: &[(Sequence, Kind)]| take(&intake, Some(&credits), numbers);
        assert_eq!(come(&messages(&[1, 5])), "1 ");
        assert_eq!(come(&[(3, Kind::Gone), (5, Kind::Message)]), "lost 2 ");
        assert_eq!(come(&messages(&[4, 5])), "4 5 ");
        assert_eq!(come(&[(5, Kind::Gone), (6, Kind::End)]), "end");
        assert_eq!(credits.asked().passed, 6);
    }
}
