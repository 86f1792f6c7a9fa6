//! The bounded queue of one output on its way out.
//!
//! Policy: without credits a full queue loses its oldest message; with credits it takes nothing more until there is room
//! and credit. Invariant: messages have rising numbers from 1, also those that are lost here. Absent: threads.

use super::credits::Window;
use super::sender::{ASK_AFTER, Sequence};
use crate::ids::MachineId;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::time::Instant;

/// Most messages that are taken out at a time.
const TURN: usize = 32;

/// What became of a message.
#[derive(Debug)]
pub enum Pushed {
    /// It is in.
    In,
    /// It is in, and the oldest one was lost for it.
    Dropped,
    /// Nobody takes it: the output was closed.
    Closed,
    /// There is no room or no credit, and the readers are to be waited for: here it is back.
    Full(Message),
}

/// What is next.
#[derive(Debug)]
pub(super) enum Next {
    Message(Sequence, Message),
    /// The output has ended; the number that another message would have had.
    End(Sequence),
}

#[derive(Debug)]
pub(super) struct Lane {
    queue: VecDeque<(Sequence, Message)>,
    capacity: usize,
    /// The number of the next message.
    next: Sequence,
    window: Option<Window>,
    /// Since when a message waits for a credit, or since the credit was last asked for.
    stalled: Option<Instant>,
    closing: bool,
    /// Whether the end was taken out too.
    over: bool,
    /// Messages that were lost here.
    pub dropped: u64,
}

impl Lane {
    /// `window` for one that waits for its readers.
    pub fn new(capacity: usize, window: Option<Window>) -> Self {
        Self {
            queue: VecDeque::new(),
            capacity: capacity.max(1),
            next: 1,
            window,
            stalled: None,
            closing: false,
            over: false,
            dropped: 0,
        }
    }

    fn has_credit(&self) -> bool {
        let limit = self.window.as_ref().map(Window::limit);
        limit.is_none_or(|limit| self.next <= limit)
    }

    pub fn has_room(&self) -> bool {
        self.closing
            || self.window.is_none()
            || (self.queue.len() < self.capacity && self.has_credit())
    }

    pub fn push(&mut self, message: Message, now: Instant) -> Pushed {
        if self.closing {
            return Pushed::Closed;
        }
        if !self.has_room() {
            if !self.has_credit() {
                self.stalled.get_or_insert(now);
            }
            return Pushed::Full(message);
        }
        self.stalled = None;
        let full = self.queue.len() >= self.capacity;
        if full {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back((self.next, message));
        self.next += 1;
        match full {
            true => Pushed::Dropped,
            false => Pushed::In,
        }
    }

    /// Lets a message pass that need not wait in the queue: its number. Only when nothing else is in or on its way.
    pub fn pass(&mut self) -> Option<Sequence> {
        let free = self.window.is_none() && self.queue.is_empty() && !self.closing;
        let number = self.next;
        self.next += u64::from(free);
        free.then_some(number)
    }

    /// How many are taken out at a time: few enough that the queue is hardly longer by them.
    pub fn turn(&self) -> usize {
        (self.capacity / 8).clamp(1, TURN)
    }

    pub fn take(&mut self) -> Option<Next> {
        if let Some((number, message)) = self.queue.pop_front() {
            return Some(Next::Message(number, message));
        }
        let ends = self.closing && !self.over;
        self.over |= ends;
        ends.then_some(Next::End(self.next))
    }

    /// Whether a credit is missing.
    pub fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || (self.closing && !self.over)
    }

    /// Takes nothing more; the end comes out after what is in.
    pub fn close(&mut self) {
        self.closing = true;
        self.stalled = None;
    }

    pub fn grant(&mut self, machine: &MachineId, credit: Sequence) {
        if let Some(window) = &mut self.window {
            window.grant(machine, credit);
        }
    }

    pub fn forget(&mut self, machine: &MachineId) {
        if let Some(window) = &mut self.window {
            window.forget(machine);
        }
    }

    /// Machines whose credit has been missing for long and is to be asked for; `None` when nothing is missing.
    pub fn overdue(&mut self, now: Instant) -> Option<Vec<MachineId>> {
        if self.has_credit() {
            self.stalled = None;
        }
        let since = self.stalled?;
        if now.saturating_duration_since(since) < ASK_AFTER {
            return Some(Vec::new());
        }
        self.stalled = Some(now);
        self.window.as_ref().map(|window| window.behind(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::meta::Timestamp;
    use std::time::Duration;

    fn message(text: &str) -> Message {
        Message::from_text(Timestamp::default(), text, &[]).unwrap()
    }

    fn numbers(lane: &mut Lane) -> Vec<(Sequence, String)> {
        let mut out = Vec::new();
        while let Some(next) = lane.take() {
            out.push(match next {
                Next::Message(number, message) => (number, message.text().unwrap().into()),
                Next::End(number) => (number, "end".into()),
            });
        }
        out
    }

    fn texts(expected: &[(Sequence, &str)]) -> Vec<(Sequence, String)> {
        expected
            .iter()
            .map(|(n, text)| (*n, (*text).into()))
            .collect()
    }

    #[test]
    fn without_credits_the_oldest_is_lost_and_its_number_with_it() {
        let now = Instant::now();
        let mut lane = Lane::new(2, None);
        for text in ["a", "b"] {
            assert!(matches!(lane.push(message(text), now), Pushed::In));
        }
        assert!(matches!(lane.push(message("c"), now), Pushed::Dropped));
        assert!(lane.has_room() && lane.dropped == 1);
        lane.close();
        assert!(matches!(lane.push(message("d"), now), Pushed::Closed));
        assert_eq!(numbers(&mut lane), texts(&[(2, "b"), (3, "c"), (4, "end")]));
        assert!(!lane.is_busy());
    }

    #[test]
    fn with_credits_nothing_is_lost_and_a_missing_credit_is_asked_for() {
        let machine: MachineId = "A".parse().unwrap();
        let start = Instant::now();
        let mut lane = Lane::new(2, Some(Window::new([machine.clone()])));
        assert!(matches!(lane.push(message("a"), start), Pushed::Full(_)));
        assert_eq!(lane.overdue(start), Some(vec![]));
        assert_eq!(lane.overdue(start + ASK_AFTER), Some(vec![machine.clone()]));
        // Not again at once.
        let soon = start + ASK_AFTER + Duration::from_millis(1);
        assert_eq!(lane.overdue(soon), Some(vec![]));
        lane.grant(&machine, 3);
        assert_eq!(lane.overdue(soon), None);
        for text in ["a", "b"] {
            assert!(matches!(lane.push(message(text), soon), Pushed::In));
        }
        // The queue is full, although there is credit: nothing to ask for.
        assert!(matches!(lane.push(message("c"), soon), Pushed::Full(_)));
        assert_eq!(lane.overdue(soon), None);
        assert_eq!(numbers(&mut lane), texts(&[(1, "a"), (2, "b")]));
        assert!(matches!(lane.push(message("c"), soon), Pushed::In));
        assert!(matches!(lane.push(message("d"), soon), Pushed::Full(_)));
        lane.forget(&machine);
        assert!(lane.has_room());
    }
}
