//! Credits: how far a sender may go before its readers have caught up, and how far they have come. Both ends' sums, without
//! the network.
//!
//! A credit has two numbers: messages up to one may be sent, those up to the other have come. Both only rise, so that credits
//! may be lost, repeated and come out of order. Invariant: an input of queue size `n` never has more than `n` messages to
//! hold, on the way or queued; a message that a reader has not passed is kept by its sender (see `lane`).

use super::sender::Sequence;
use crate::ids::MachineId;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No limit.
const UNLIMITED: Sequence = Sequence::MAX;

/// A reader that misses a message asks for it after so long again, then after twice that: what it asked for needs time.
const AGAIN: Duration = Duration::from_millis(100);
/// How often that is doubled, at most.
const DOUBLED: u32 = 4;
/// After so many bytes a sender hears that they have come, so that it keeps them no longer.
const HEAVY: u64 = 4 << 20;
/// A sender that asks and hears twice that nothing more has come sends it again.
const ASKED: u8 = 2;

/// What a reader tells its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credit {
    /// Messages up to this one may be sent.
    pub limit: Sequence,
    /// All up to this one have come, or will be missed by nobody.
    pub passed: Sequence,
    /// Later ones have come before the next one, which is to be sent again.
    pub missing: bool,
}

impl Credit {
    const LENGTH: usize = 17;
    /// Of who waits for nothing.
    pub(super) const UNLIMITED: Self = Self {
        limit: UNLIMITED,
        passed: UNLIMITED,
        missing: false,
    };

    /// Form: `limit` and `passed` as `u64` little-endian, then a byte that is 1 when one is missing.
    pub(super) fn encode(self) -> [u8; Self::LENGTH] {
        let mut out = [u8::from(self.missing); Self::LENGTH];
        out[..8].copy_from_slice(&self.limit.to_le_bytes());
        out[8..16].copy_from_slice(&self.passed.to_le_bytes());
        out
    }

    /// `None` when it is none.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (limit, rest) = bytes.split_first_chunk()?;
        let (passed, rest) = rest.split_first_chunk()?;
        let [missing @ (0 | 1)] = *rest else {
            return None;
        };
        Some(Self {
            limit: Sequence::from_le_bytes(*limit),
            passed: Sequence::from_le_bytes(*passed),
            missing: missing == 1,
        })
    }

    /// What both say, in whatever order they come.
    pub(super) fn join(&mut self, other: Self) {
        self.limit = self.limit.max(other.limit);
        self.missing = match self.passed.cmp(&other.passed) {
            Ordering::Less => other.missing,
            Ordering::Equal => self.missing || other.missing,
            Ordering::Greater => self.missing,
        };
        self.passed = self.passed.max(other.passed);
    }
}

/// The sender's end: what each machine said that must be waited for.
#[derive(Debug, Default)]
pub(super) struct Window(BTreeMap<MachineId, Standing>);

#[derive(Debug, Default)]
struct Standing {
    limit: Sequence,
    passed: Sequence,
    /// How often it said when asked that nothing more has come.
    unmoved: u8,
}

impl Window {
    pub fn new(machines: impl IntoIterator<Item = MachineId>) -> Self {
        let standing = |machine| (machine, Standing::default());
        Self(machines.into_iter().map(standing).collect())
    }

    /// The last message that may be sent now.
    pub fn limit(&self) -> Sequence {
        let limits = self.0.values().map(|standing| standing.limit);
        limits.min().unwrap_or(UNLIMITED)
    }

    /// All have passed this one. Whoever never answered was sent nothing.
    pub fn passed(&self) -> Sequence {
        let there = self.0.values().filter(|standing| standing.limit > 0);
        let passed = there.map(|standing| standing.passed);
        passed.min().unwrap_or(UNLIMITED)
    }

    /// Takes a credit; from which message on it is to be sent again, up to the last, for this machine: also for one that is
    /// not waited for any more, and goes on.
    pub fn grant(
        &mut self,
        machine: &MachineId,
        credit: Credit,
        asked: bool,
        last: Sequence,
    ) -> Option<Sequence> {
        let Some(standing) = self.0.get_mut(machine) else {
            return (credit.missing && credit.passed < last).then(|| credit.passed + 1);
        };
        standing.limit = standing.limit.max(credit.limit);
        if credit.passed > standing.passed || credit.passed >= last {
            standing.unmoved = 0;
        } else if credit.passed == standing.passed {
            standing.unmoved += u8::from(asked);
        }
        standing.passed = standing.passed.max(credit.passed);
        if credit.passed < standing.passed || credit.passed >= last {
            return None;
        }
        let again = credit.missing || standing.unmoved >= ASKED;
        again.then(|| {
            standing.unmoved = 0;
            standing.passed + 1
        })
    }

    /// Waits for a machine no more.
    pub fn forget(&mut self, machine: &MachineId) {
        self.0.remove(machine);
    }

    /// Waits for nobody any more.
    pub fn forget_all(&mut self) {
        self.0.clear();
    }

    /// The machines that hold the sender up before the next message, or have not passed the last.
    pub fn behind(&self, next: Sequence, last: Sequence) -> Vec<MachineId> {
        let behind = |standing: &Standing| {
            standing.limit < next || (standing.limit > 0 && standing.passed < last)
        };
        let found = self.0.iter().filter(|(_, standing)| behind(standing));
        found.map(|(machine, _)| machine.clone()).collect()
    }
}

/// The reader's end, for the inputs of one machine that read one output with `backpressure`. Clones are the same. Any
/// thread.
#[derive(Clone)]
pub struct Credits(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Tells the sender; never called under the lock, and must not wait.
    notify: Box<dyn Fn(Credit) + Send + Sync>,
}

struct State {
    inputs: Vec<Input>,
    /// Messages that came to no input: lost on the way.
    missed: Sequence,
    /// The limit that the sender was last told.
    told: Sequence,
    /// The last message that has come, with all before it that will come.
    passed: Sequence,
    /// Bytes that have come since the sender was last told.
    untold: u64,
    /// When the message behind which one was last asked for, and how often.
    again: Option<(Instant, Sequence, u32)>,
}

struct Input {
    size: u64,
    taken: Sequence,
    closed: bool,
}

impl std::fmt::Debug for Credits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credits")
            .field(&self.state().credit(false))
            .finish()
    }
}

impl Credits {
    /// `sizes` are those of the inputs' queues; `notify` tells the sender, and must not wait.
    pub fn new(sizes: &[usize], notify: impl Fn(Credit) + Send + Sync + 'static) -> Self {
        let input = |size: &usize| Input {
            size: (*size).max(1) as u64,
            taken: 0,
            closed: false,
        };
        let mut state = State {
            inputs: sizes.iter().map(input).collect(),
            missed: 0,
            told: 0,
            passed: 0,
            untold: 0,
            again: None,
        };
        // What the sender learns when it looks for its readers.
        state.told = state.limit();
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            notify: Box::new(notify),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in this module panics while it holds the lock.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An input, by its place in [`ReaderSpec::credits`](super::ReaderSpec::credits), has so many messages fewer in its
    /// queue. Never waits.
    pub fn taken(&self, input: usize, messages: u64) {
        self.change(|state| {
            if let Some(input) = state.inputs.get_mut(input) {
                input.taken += messages;
            }
        });
    }

    /// An input takes no more messages: the sender does not wait for it. Never waits.
    pub fn closed(&self, input: usize) {
        self.change(|state| {
            if let Some(input) = state.inputs.get_mut(input) {
                input.closed = true;
            }
        });
    }

    /// All inputs take no more: their reader is gone.
    pub(super) fn close(&self) {
        self.change(|state| {
            state
                .inputs
                .iter_mut()
                .for_each(|input| input.closed = true)
        });
    }

    /// Messages have been lost before they came to an input.
    pub(super) fn missed(&self, messages: u64) {
        self.change(|state| state.missed += messages);
    }

    /// The messages up to this one have come, or will never come. The sender is told at once when it waits for that: of the
    /// last one, and of large ones.
    pub(super) fn passed(&self, number: Sequence, bytes: u64, last: bool) {
        let mut state = self.state();
        state.passed = number;
        state.untold += bytes;
        let tells = last || state.untold >= HEAVY;
        let credit = tells.then(|| state.tell(false));
        drop(state);
        if let Some(credit) = credit {
            (self.0.notify)(credit);
        }
    }

    /// The next message is missing: it is asked for, unless that was a moment ago.
    pub(super) fn missing(&self, now: Instant) {
        let mut state = self.state();
        let passed = state.passed;
        let times = match state.again {
            Some((asked, after, times)) if after == passed => {
                if now < asked + AGAIN * 2_u32.pow(times) {
                    return;
                }
                (times + 1).min(DOUBLED)
            }
            _ => 0,
        };
        state.again = Some((now, passed, times));
        let credit = state.tell(true);
        drop(state);
        (self.0.notify)(credit);
    }

    /// The credit as it is, for a sender that asks.
    pub(super) fn asked(&self) -> Credit {
        self.state().tell(false)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let limit = state.limit();
        // Half a queue at a time: a credit for each message would be a second stream of messages.
        if limit.saturating_sub(state.told) < state.step() {
            return;
        }
        let credit = state.tell(false);
        drop(state);
        (self.0.notify)(credit);
    }
}

impl State {
    fn open(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().filter(|input| !input.closed)
    }

    /// What the sender is told now.
    fn tell(&mut self, missing: bool) -> Credit {
        self.told = self.limit();
        self.untold = 0;
        self.credit(missing)
    }

    fn credit(&self, missing: bool) -> Credit {
        match self.limit() {
            UNLIMITED => Credit::UNLIMITED,
            limit => Credit {
                limit,
                passed: self.passed,
                missing,
            },
        }
    }

    fn limit(&self) -> Sequence {
        let limit = |input: &Input| {
            let passed = input.taken.saturating_add(self.missed);
            passed.saturating_add(input.size)
        };
        self.open().map(limit).min().unwrap_or(UNLIMITED)
    }

    fn step(&self) -> u64 {
        let smallest = self.open().map(|input| input.size).min();
        (smallest.unwrap_or(1) / 2).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    fn credits(sizes: &[usize]) -> (Credits, Arc<Mutex<Vec<Sequence>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let notify = move |credit: Credit| heard.lock().unwrap().push(credit.limit);
        (Credits::new(sizes, notify), told)
    }

    fn limit(limit: Sequence) -> Credit {
        Credit {
            limit,
            ..Credit::default()
        }
    }

    #[test]
    fn a_credit_comes_with_every_half_queue() {
        let (credits, told) = credits(&[4]);
        assert_eq!(credits.asked().limit, 4);
        for _ in 0..5 {
            credits.taken(0, 1);
        }
        assert_eq!(*told.lock().unwrap(), [6, 8]);
        assert_eq!(credits.asked().limit, 9);
        credits.missed(2);
        assert_eq!(*told.lock().unwrap(), [6, 8, 11]);
    }

    #[test]
    fn the_slowest_input_counts_until_it_has_closed() {
        let (credits, told) = credits(&[1, 3]);
        credits.taken(1, 3);
        assert!(told.lock().unwrap().is_empty());
        credits.taken(0, 1);
        assert_eq!(*told.lock().unwrap(), [2]);
        credits.closed(0);
        assert_eq!(*told.lock().unwrap(), [2, 6]);
        credits.closed(1);
        assert_eq!(told.lock().unwrap().last(), Some(&UNLIMITED));
    }

    #[test]
    fn the_slowest_machine_counts_until_it_is_forgotten() {
        let machine = |name: &str| name.parse::<MachineId>().unwrap();
        let mut window = Window::new(["A", "B"].map(machine));
        let mut grant = |name: &str, credit| {
            window.grant(&machine(name), limit(credit), false, 0);
            window.limit()
        };
        assert_eq!([grant("A", 5), grant("B", 3)], [0, 3]);
        // Late and from a stranger.
        assert_eq!([grant("B", 2), grant("C", 1)], [3, 3]);
        assert_eq!(window.behind(4, 0), [machine("B")]);
        window.forget(&machine("B"));
        assert_eq!(window.limit(), 5);
        window.forget(&machine("A"));
        assert_eq!(window.limit(), UNLIMITED);
    }

    #[test]
    fn what_a_machine_misses_is_sent_again_once_it_says_so_or_is_asked_twice() {
        let machine = "A".parse::<MachineId>().unwrap();
        let mut window = Window::new([machine.clone()]);
        let passed = |passed, missing| Credit {
            limit: 100,
            passed,
            missing,
        };
        let mut grant = |credit, asked| {
            let again = window.grant(&machine, credit, asked, 9);
            (again, window.passed())
        };
        assert_eq!(grant(passed(3, false), false), (None, 3));
        assert_eq!(grant(passed(4, true), false), (Some(5), 4));
        // Late: 4 has come.
        assert_eq!(grant(passed(3, true), false), (None, 4));
        assert_eq!(grant(passed(4, false), true), (None, 4));
        assert_eq!(grant(passed(4, false), false), (None, 4));
        assert_eq!(grant(passed(4, false), true), (Some(5), 4));
        assert_eq!(grant(passed(4, false), true), (None, 4));
        assert_eq!(grant(passed(5, false), true), (None, 5));
        assert_eq!(grant(passed(9, true), true), (None, 9));
        assert_eq!(window.behind(9, 9), []);
        assert_eq!(window.behind(9, 10), std::slice::from_ref(&machine));
        window.forget(&machine);
        assert_eq!(window.passed(), UNLIMITED);
        // It may go on, and is served while there is something.
        let again =
            |window: &mut Window, missing| window.grant(&machine, passed(5, missing), true, 9);
        assert_eq!(again(&mut window, true), Some(6));
        assert_eq!(again(&mut window, false), None);
    }

    #[test]
    fn a_message_is_asked_for_once_in_a_while() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let credits = Credits::new(&[8], move |credit| heard.lock().unwrap().push(credit));
        let begun = Instant::now();
        credits.passed(3, HEAVY - 1, false);
        let missing = |after, missing| Credit {
            limit: 8,
            passed: after,
            missing,
        };
        for millis in [0, 99, 100, 299, 300] {
            credits.missing(begun + Duration::from_millis(millis));
        }
        credits.passed(4, HEAVY - 1, false);
        credits.missing(begun + Duration::from_millis(301));
        credits.passed(5, HEAVY, false);
        credits.passed(6, 1, true);
        credits.close();
        let expected = [
            missing(3, true),
            missing(3, true),
            missing(3, true),
            missing(4, true),
            missing(5, false),
            missing(6, false),
            Credit::UNLIMITED,
        ];
        assert_eq!(*told.lock().unwrap(), expected);
    }

    #[test]
    fn credits_come_back_and_other_bytes_are_refused() {
        for missing in [true, false] {
            let credit = Credit {
                limit: 7,
                passed: 1 << 40,
                missing,
            };
            let bytes = credit.encode();
            assert_eq!(Credit::decode(&bytes), Some(credit));
            for end in 0..bytes.len() {
                assert_eq!(Credit::decode(&bytes[..end]), None);
            }
        }
        assert_eq!(Credit::decode(&[2; 17]), None);
        assert_eq!(Credit::decode(&[0; 18]), None);
    }

    /// Any order of sending, taking, losing messages and losing credits: queues keep their size, and nothing sticks.
    #[test]
    fn queues_keep_their_size_and_all_messages_arrive() {
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut below = |end: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % end
        };
        for _ in 0..500 {
            let sizes = [1 + below(5) as usize, 1 + below(20) as usize];
            let (credits, told) = credits(&sizes);
            let machine: MachineId = "A".parse().unwrap();
            let mut window = Window::new([machine.clone()]);
            window.grant(&machine, credits.asked(), true, 0);
            let mut queues = [const { VecDeque::<u64>::new() }; 2];
            let (mut sent, mut steps) = (0, 0);
            while sent < 200 {
                steps += 1;
                assert!(steps < 20_000, "stuck after {sent}");
                match below(8) {
                    0..3 if sent < window.limit() => {
                        sent += 1;
                        if below(10) == 0 {
                            credits.missed(1);
                        } else {
                            queues.iter_mut().for_each(|queue| queue.push_back(sent));
                        }
                    }
                    0..3 if below(20) == 0 => {
                        window.grant(&machine, credits.asked(), true, 0);
                    }
                    input @ 3..5 => {
                        let input = input as usize - 3;
                        if queues[input].pop_front().is_some() {
                            credits.taken(input, 1);
                        }
                    }
                    _ => {
                        for credit in told.lock().unwrap().drain(..) {
                            if below(4) > 0 {
                                window.grant(&machine, limit(credit), false, 0);
                            }
                        }
                    }
                }
                for (queue, size) in queues.iter().zip(sizes) {
                    assert!(queue.len() <= size, "{} in {size}", queue.len());
                }
            }
        }
    }
}
