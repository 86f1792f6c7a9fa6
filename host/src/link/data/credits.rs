//! Credits: how far a sender may go before its readers have caught up. Both ends' sums, without the network.
//!
//! A credit is a number: messages up to it may be sent. It only rises, so that credits may be lost, repeated and come
//! out of order. Invariant: an input of queue size `n` never has more than `n` messages to hold, on the way or queued.

use super::sender::Sequence;
use crate::ids::MachineId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// No limit.
const UNLIMITED: Sequence = Sequence::MAX;

/// The sender's end: the credit of each machine that must be waited for.
#[derive(Debug, Default)]
pub(super) struct Window(BTreeMap<MachineId, Sequence>);

impl Window {
    pub fn new(machines: impl IntoIterator<Item = MachineId>) -> Self {
        Self(machines.into_iter().map(|machine| (machine, 0)).collect())
    }

    /// The last message that may be sent now.
    pub fn limit(&self) -> Sequence {
        self.0.values().copied().min().unwrap_or(UNLIMITED)
    }

    /// Takes a credit; whether the limit has risen.
    pub fn grant(&mut self, machine: &MachineId, credit: Sequence) -> bool {
        let before = self.limit();
        if let Some(known) = self.0.get_mut(machine) {
            *known = credit.max(*known);
        }
        self.limit() > before
    }

    /// Waits for a machine no more.
    pub fn forget(&mut self, machine: &MachineId) {
        self.0.remove(machine);
    }

    /// The machines that hold the sender up before this message.
    pub fn behind(&self, next: Sequence) -> Vec<MachineId> {
        let behind = self.0.iter().filter(|(_, credit)| **credit < next);
        behind.map(|(machine, _)| machine.clone()).collect()
    }
}

/// The reader's end, for the inputs of one machine that read one output with `backpressure`. Clones are the same. Any
/// thread.
#[derive(Clone)]
pub struct Credits(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Tells the sender of a higher credit; never called under the lock, and must not wait.
    notify: Box<dyn Fn(Sequence) + Send + Sync>,
}

struct State {
    inputs: Vec<Input>,
    /// Messages that came to no input: lost on the way.
    missed: Sequence,
    /// The credit that the sender was last told.
    told: Sequence,
}

struct Input {
    size: u64,
    taken: Sequence,
    closed: bool,
}

impl std::fmt::Debug for Credits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credits")
            .field(&self.state().credit())
            .finish()
    }
}

impl Credits {
    /// `sizes` are those of the inputs' queues; `notify` tells the sender of a higher credit, and must not wait.
    pub fn new(sizes: &[usize], notify: impl Fn(Sequence) + Send + Sync + 'static) -> Self {
        let input = |size: &usize| Input {
            size: (*size).max(1) as u64,
            taken: 0,
            closed: false,
        };
        let mut state = State {
            inputs: sizes.iter().map(input).collect(),
            missed: 0,
            told: 0,
        };
        // What the sender learns when it looks for its readers.
        state.told = state.credit();
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

    /// Messages have been lost before they came to an input.
    pub(super) fn missed(&self, messages: u64) {
        self.change(|state| state.missed += messages);
    }

    /// The credit as it is, for a sender that asks.
    pub(super) fn asked(&self) -> Sequence {
        let mut state = self.state();
        state.told = state.credit();
        state.told
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let credit = state.credit();
        // Half a queue at a time: a credit for each message would be a second stream of messages.
        if credit.saturating_sub(state.told) < state.step() {
            return;
        }
        state.told = credit;
        drop(state);
        (self.0.notify)(credit);
    }
}

impl State {
    fn open(&self) -> impl Iterator<Item = &Input> {
        self.inputs.iter().filter(|input| !input.closed)
    }

    fn credit(&self) -> Sequence {
        let credit = |input: &Input| {
            let passed = input.taken.saturating_add(self.missed);
            passed.saturating_add(input.size)
        };
        self.open().map(credit).min().unwrap_or(UNLIMITED)
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
        let notify = move |credit| heard.lock().unwrap().push(credit);
        (Credits::new(sizes, notify), told)
    }

    #[test]
    fn a_credit_comes_with_every_half_queue() {
        let (credits, told) = credits(&[4]);
        assert_eq!(credits.asked(), 4);
        for _ in 0..5 {
            credits.taken(0, 1);
        }
        assert_eq!(*told.lock().unwrap(), [6, 8]);
        assert_eq!(credits.asked(), 9);
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
        assert_eq!(window.limit(), 0);
        assert!(!window.grant(&machine("A"), 5));
        assert!(window.grant(&machine("B"), 3));
        // Late and from a stranger.
        assert!(!window.grant(&machine("B"), 2) && !window.grant(&machine("C"), 1));
        assert_eq!((window.limit(), window.behind(4)), (3, vec![machine("B")]));
        window.forget(&machine("B"));
        assert_eq!(window.limit(), 5);
        window.forget(&machine("A"));
        assert_eq!(window.limit(), UNLIMITED);
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
            window.grant(&machine, credits.asked());
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
                        window.grant(&machine, credits.asked());
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
                                window.grant(&machine, credit);
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
