//! The bounded queue of one output on its way out.
//!
//! Policy: without credits a full queue loses its oldest message; with credits it takes nothing more until there is room
//! and credit, and keeps what it has sent until all readers have passed it: while the engine changes its routes, what is
//! on its way may be lost. Invariant: messages have rising numbers from 1, also those that are lost here; never more are kept
//! than there is credit for. Absent: threads.

use super::credits::{Credit, Window};
use super::sender::{ASK_AFTER, Sequence};
use crate::ids::MachineId;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most messages that are taken out at a time.
const TURN: usize = 32;

/// How often the time after which a silent reader is asked is doubled, at most.
const DOUBLED: u32 = 4;

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
    /// One that was published before, once more.
    Again(Sequence, Message),
    /// One that could not be published never comes.
    Lost(Sequence),
    /// Nothing up to this number is there any more, though somebody asks for it.
    Gone(Sequence),
    /// The output has ended; the number that another message would have had.
    End(Sequence),
}

/// A message, or what stands for one that could not be published.
type Kept = Option<Message>;

#[derive(Debug)]
pub(super) struct Lane {
    queue: VecDeque<(Sequence, Message)>,
    capacity: usize,
    /// The number of the next message.
    next: Sequence,
    window: Option<Window>,
    /// Sent, but not passed by all who are waited for.
    kept: VecDeque<(Sequence, Kept)>,
    /// From which number on what is kept is to be sent again.
    again: Option<Sequence>,
    /// Passed by all. To let go of one calls whoever made it.
    spent: Vec<Kept>,
    /// Since when a message waits for a credit, or since the credit was last asked for.
    stalled: Option<Instant>,
    /// Since when nothing has been sent or passed, though something is kept, or since that was last asked for.
    unheard: Option<Instant>,
    /// How often it was asked for meanwhile.
    asked: u32,
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
            kept: VecDeque::new(),
            again: None,
            spent: Vec::new(),
            stalled: None,
            unheard: None,
            asked: 0,
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
        if let Some(next) = self.take_again() {
            return Some(next);
        }
        if let Some((number, message)) = self.queue.pop_front() {
            let passed = self.window.as_ref().map(Window::passed);
            if passed.is_some_and(|passed| passed < number) {
                self.kept.push_back((number, Some(message.clone())));
                self.unheard = None;
            }
            return Some(Next::Message(number, message));
        }
        let ends = self.closing && !self.over;
        self.over |= ends;
        ends.then_some(Next::End(self.next))
    }

    fn take_again(&mut self) -> Option<Next> {
        let from = self.again?;
        let kept = self.kept.front().map(|(number, _)| *number);
        let queued = self.queue.front().map(|(number, _)| *number);
        let first = kept.or(queued).unwrap_or(self.next);
        if from < first {
            self.again = Some(first);
            return Some(Next::Gone(first - 1));
        }
        let index = self.kept.partition_point(|(number, _)| *number < from);
        let Some((number, message)) = self.kept.get(index) else {
            self.again = None;
            return self.over.then_some(Next::End(self.next));
        };
        self.again = Some(number + 1);
        Some(match message {
            Some(message) => Next::Again(*number, message.clone()),
            None => Next::Lost(*number),
        })
    }

    /// The last number that was taken out; the end has one, too.
    fn last(&self) -> Sequence {
        match self.queue.front() {
            Some((number, _)) => number - 1,
            None => self.next - u64::from(!self.over),
        }
    }

    /// A message could not be sent and never will be.
    pub fn give_up(&mut self, number: Sequence) {
        let index = self.kept.partition_point(|(kept, _)| *kept < number);
        if let Some((_, kept)) = self.kept.get_mut(index).filter(|(kept, _)| *kept == number) {
            self.spent.push(kept.take());
        }
    }

    /// What is to be dropped where nothing waits for it.
    pub fn spent(&mut self) -> Vec<Kept> {
        std::mem::take(&mut self.spent)
    }

    /// Whether a credit is missing.
    fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    pub fn is_busy(&self) -> bool {
        !self.queue.is_empty() || (self.closing && !self.over) || self.again.is_some()
    }

    /// Whether all is out, and whoever is waited for has all.
    pub fn is_over(&self) -> bool {
        self.over && self.again.is_none() && !self.is_unpassed()
    }

    fn is_unpassed(&self) -> bool {
        let window = self.window.as_ref();
        window.is_some_and(|window| window.passed() < self.last())
    }

    /// Whether something is waited for that may have to be asked for; see [`Lane::overdue`].
    pub fn is_waiting(&self) -> bool {
        self.is_stalled() || self.is_unpassed()
    }

    /// Takes nothing more; the end comes out after what is in.
    pub fn close(&mut self) {
        self.closing = true;
        self.stalled = None;
    }

    /// A machine says where it is, perhaps because it was asked.
    pub fn grant(&mut self, machine: &MachineId, credit: Credit, asked: bool) {
        let last = self.last();
        let Some(window) = &mut self.window else {
            return;
        };
        if let Some(from) = window.grant(machine, credit, asked, last) {
            self.again = Some(self.again.map_or(from, |again| again.min(from)));
        }
        self.let_go();
    }

    pub fn forget(&mut self, machine: &MachineId) {
        if let Some(window) = &mut self.window {
            window.forget(machine);
        }
        self.let_go();
    }

    /// Waits for nobody any more: there is no time left.
    pub fn abandon(&mut self) {
        self.window.iter_mut().for_each(Window::forget_all);
        self.let_go();
    }

    /// Keeps no longer what all have passed.
    fn let_go(&mut self) {
        let Some(window) = &self.window else {
            return;
        };
        let passed = window.passed();
        while let Some((_, message)) = self.kept.pop_front_if(|(kept, _)| *kept <= passed) {
            self.spent.push(message);
            self.unheard = None;
        }
    }

    /// Machines that have been silent for long and are to be asked; `None` when nothing is waited for.
    pub fn overdue(&mut self, now: Instant) -> Option<Vec<MachineId>> {
        if self.has_credit() {
            self.stalled = None;
        }
        if !self.is_unpassed() {
            self.unheard = None;
        } else if self.unheard.is_none() {
            (self.unheard, self.asked) = (Some(now), 0);
        }
        let stalled = is_overdue(&mut self.stalled, now, ASK_AFTER);
        let unheard = is_overdue(&mut self.unheard, now, ASK_AFTER * 2_u32.pow(self.asked));
        if unheard {
            self.asked = (self.asked + 1).min(DOUBLED);
        }
        let window = self.window.as_ref().filter(|_| self.is_waiting())?;
        Some(match stalled || unheard {
            true => window.behind(self.next, self.last()),
            false => Vec::new(),
        })
    }
}

/// Whether that is long ago; if so, it begins anew.
fn is_overdue(since: &mut Option<Instant>, now: Instant, after: Duration) -> bool {
    let overdue = since.is_some_and(|since| now.saturating_duration_since(since) >= after);
    if overdue {
        *since = Some(now);
    }
    overdue
}

#[cfg(test)]
mod tests {
    use super::super::attachment::{self, Kind};
    use super::super::credits::Credits;
    use super::super::intake::{Arrived, Intake};
    use super::*;
    use plugin_abi::meta::Timestamp;
    use std::cell::RefCell;
    use std::sync::{Arc, Mutex};

    fn message(text: &str) -> Message {
        Message::from_text(Timestamp::default(), text, &[]).unwrap()
    }

    fn numbers(lane: &mut Lane) -> Vec<(Sequence, String)> {
        let mut out = Vec::new();
        while let Some(next) = lane.take() {
            out.push(match next {
                Next::Message(number, message) => (number, message.text().unwrap().into()),
                Next::Again(number, message) => {
                    (number, format!("{} again", message.text().unwrap()))
                }
                Next::Lost(number) => (number, "lost".into()),
                Next::Gone(number) => (number, "gone".into()),
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
        let credit = Credit {
            limit: 3,
            ..Credit::default()
        };
        lane.grant(&machine, credit, true);
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

    #[test]
    fn what_is_not_passed_is_kept_and_sent_again_and_the_end_too() {
        let machine: MachineId = "A".parse().unwrap();
        let mut now = Instant::now();
        let mut lane = Lane::new(9, Some(Window::new([machine.clone()])));
        let credit = |passed, missing| Credit {
            limit: 9,
            passed,
            missing,
        };
        lane.grant(&machine, credit(0, false), true);
        for text in ["a", "b", "c"] {
            assert!(matches!(lane.push(message(text), now), Pushed::In));
        }
        assert_eq!(numbers(&mut lane), texts(&[(1, "a"), (2, "b"), (3, "c")]));
        lane.grant(&machine, credit(1, true), false);
        assert!(lane.is_busy() && lane.is_waiting());
        assert_eq!(numbers(&mut lane), texts(&[(2, "b again"), (3, "c again")]));
        lane.close();
        assert_eq!(numbers(&mut lane), texts(&[(4, "end")]));
        lane.grant(&machine, credit(2, false), false);
        // Nobody says any more: asked after a while, and believed when it says so twice.
        for (after, asked) in [(0, 0), (199, 0), (1, 1), (399, 0), (1, 1)] {
            now += Duration::from_millis(after);
            assert_eq!(lane.overdue(now).unwrap().len(), asked, "{after}");
            if asked > 0 {
                lane.grant(&machine, credit(2, false), true);
            }
        }
        assert_eq!(numbers(&mut lane), texts(&[(3, "c again"), (4, "end")]));
        assert!(!lane.is_over());
        lane.grant(&machine, credit(4, false), false);
        assert!(lane.is_over() && lane.kept.is_empty());
        assert_eq!(lane.overdue(now), None);
    }

    #[test]
    fn one_that_goes_on_though_nobody_waits_for_it_is_told_what_is_gone() {
        let [a, b] = ["A", "B"].map(|name| name.parse::<MachineId>().unwrap());
        let now = Instant::now();
        let mut lane = Lane::new(9, Some(Window::new([a.clone(), b.clone()])));
        let credit = |passed, missing| Credit {
            limit: 9,
            passed,
            missing,
        };
        lane.grant(&a, credit(0, false), true);
        lane.grant(&b, credit(0, false), true);
        for text in ["a", "b", "c", "d"] {
            assert!(matches!(lane.push(message(text), now), Pushed::In));
        }
        numbers(&mut lane);
        lane.give_up(3);
        lane.forget(&b);
        lane.grant(&a, credit(2, false), false);
        assert_eq!(lane.spent().len(), 3);
        lane.grant(&b, credit(1, true), false);
        assert_eq!(
            numbers(&mut lane),
            texts(&[(2, "gone"), (3, "lost"), (4, "d again")])
        );
        lane.close();
        assert_eq!(numbers(&mut lane), texts(&[(5, "end")]));
        assert!(!lane.is_over());
        lane.abandon();
        assert!(lane.is_over() && lane.kept.is_empty());
        lane.grant(&b, credit(2, true), false);
        assert_eq!(numbers(&mut lane), texts(&[(4, "gone"), (5, "end")]));
    }

    /// A cable that loses a fifth of all messages, of what readers say and of their answers.
    #[test]
    fn whatever_is_lost_on_the_way_all_arrives_once_and_in_order() {
        const COUNT: u64 = 60;
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |end: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % end
        };
        let machine: MachineId = "A".parse().unwrap();
        for _ in 0..100 {
            let mut now = Instant::now();
            let mut lane = Lane::new(4, Some(Window::new([machine.clone()])));
            let said = Arc::new(Mutex::new(VecDeque::new()));
            let says = said.clone();
            let credits = Credits::new(&[1 + below(8) as usize], move |credit| {
                says.lock().unwrap().push_back(credit);
            });
            let intake = Intake::new(true);
            let arrived = RefCell::new(Vec::new());
            let (mut pushed, mut steps) = (0, 0);
            let mut cable: VecDeque<(Sequence, Kind)> = VecDeque::new();
            lane.grant(&machine, credits.asked(), true);
            while !lane.is_over() {
                steps += 1;
                assert!(steps < 100_000, "stuck after {pushed}: {lane:?}");
                let lost = below(5) == 0;
                match below(6) {
                    0 if pushed < COUNT => {
                        let name = (pushed + 1).to_string();
                        pushed += u64::from(matches!(lane.push(message(&name), now), Pushed::In));
                        if pushed == COUNT {
                            lane.close();
                        }
                    }
                    1 => cable.extend(lane.take().filter(|_| !lost).map(|next| match next {
                        Next::Message(number, _) | Next::Again(number, _) => {
                            (number, Kind::Message)
                        }
                        Next::Lost(number) => (number, Kind::Lost),
                        Next::Gone(number) => (number, Kind::Gone),
                        Next::End(number) => (number, Kind::End),
                    })),
                    2 => {
                        let Some((number, kind)) = cable.pop_front() else {
                            continue;
                        };
                        let beside = attachment::encode(kind, number, &[]);
                        let body = |_: &[u8]| Ok(message("x"));
                        intake.take(&beside, body, Some(&credits), &|come| {
                            if let Arrived::Message(_) = come {
                                arrived.borrow_mut().push(number);
                                credits.taken(0, 1);
                            }
                        });
                    }
                    3 => {
                        let credit = said.lock().unwrap().pop_front().filter(|_| !lost);
                        if let Some(credit) = credit {
                            lane.grant(&machine, credit, false);
                        }
                    }
                    4 => {
                        now += Duration::from_millis(20);
                        let asked = lane.overdue(now).is_some_and(|asked| !asked.is_empty());
                        if asked && !lost {
                            lane.grant(&machine, credits.asked(), true);
                        }
                    }
                    _ => {}
                }
            }
            let expected: Vec<_> = (1..=COUNT).collect();
            assert_eq!(*arrived.borrow(), expected);
            assert_eq!(intake.count().lost, 0);
        }
    }
}
