//! Random operations, compared with a model that is too simple to be wrong.

use super::taken::Heard;
use super::*;
use std::sync::Arc;

const RUNS: u64 = if cfg!(miri) { 10 } else { 3_000 };
const STEPS: usize = 120;

/// One input as its user sees it.
struct Model {
    capacity: usize,
    policy: QueuePolicy,
    /// What is in, with what the reader was lent and has not had yet.
    queue: VecDeque<u64>,
    closing: bool,
    shut: bool,
    held: bool,
    pushed: u64,
    taken: u64,
    dropped: u64,
    discarded: u64,
    /// Deliveries of other inputs while this one had something.
    passed_over: usize,
}

impl Model {
    fn new(random: &mut fastrand::Rng) -> Self {
        let policies = [DropOldest, DropNewest, Backpressure, Backpressure];
        Self {
            capacity: random.usize(1..12),
            policy: policies[random.usize(..policies.len())],
            queue: VecDeque::new(),
            closing: false,
            shut: false,
            held: true,
            pushed: 0,
            taken: 0,
            dropped: 0,
            discarded: 0,
            passed_over: 0,
        }
    }

    fn has_something(&self) -> bool {
        !self.held && (!self.queue.is_empty() || self.closing)
    }
}

struct Run {
    random: fastrand::Rng,
    mailbox: Arc<Mailbox>,
    /// Of each input that has a listener, what that has heard.
    heard: Vec<Option<Heard>>,
    lent: Lent,
    models: Vec<Model>,
    orders: VecDeque<usize>,
    next: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let models: Vec<_> = (0..random.usize(1..5))
            .map(|_| Model::new(&mut random))
            .collect();
        let inputs = models.iter().map(|model| (model.capacity, model.policy));
        let mailbox = Arc::new(Mailbox::new(inputs));
        let heard = (0..models.len()).map(|at| {
            random.bool().then(|| {
                let heard = Heard::default();
                heard.listen(&mailbox, Slot(at));
                heard
            })
        });
        Self {
            heard: heard.collect(),
            mailbox,
            random,
            lent: Lent::default(),
            models,
            orders: VecDeque::new(),
            next: 0,
        }
    }

    fn step(&mut self) {
        let at = self.random.usize(..self.models.len());
        match self.random.u8(0..100) {
            0..45 => self.push(at),
            45..85 => self.take(),
            85..92 => self.hold(at, false),
            92..94 => self.hold(at, true),
            94..96 => {
                self.mailbox.order(SeatId(at), Order::Go);
                self.orders.push_back(at);
            }
            96..98 => {
                self.mailbox.close(Slot(at));
                let model = &mut self.models[at];
                model.closing |= !model.shut;
            }
            _ => self.shut(at),
        }
    }

    fn push(&mut self, at: usize) {
        self.next += 1;
        let (pushed, back) = self.mailbox.push(Slot(at), numbered(self.next));
        let model = &mut self.models[at];
        let full = model.queue.len() >= model.capacity;
        let expected = match model.policy {
            _ if model.shut => {
                model.discarded += 1;
                Pushed::Closed
            }
            _ if !full => Pushed::In,
            Backpressure => Pushed::Full,
            DropOldest | DropNewest => Pushed::Dropped,
        };
        // What was lent takes room until the reader has had all of it.
        let lent = pushed == Pushed::Full
            && model.policy == Backpressure
            && !model.shut
            && self.heard[at].is_none();
        assert!(pushed == expected || lent, "{pushed:?}, not {expected:?}");
        assert_eq!(back.is_some(), pushed == Pushed::Full);
        model.pushed += u64::from(pushed != Pushed::Full);
        match pushed {
            Pushed::In => model.queue.push_back(self.next),
            Pushed::Dropped => {
                model.dropped += 1;
                if model.policy == DropOldest {
                    model.queue.pop_front();
                    model.queue.push_back(self.next);
                }
            }
            Pushed::Closed | Pushed::Full => {}
        }
        assert!(model.queue.len() <= model.capacity);
    }

    fn take(&mut self) {
        let delivery = self.mailbox.take(&mut self.lent, Some(Instant::now()));
        if let Some(expected) = self.orders.pop_front() {
            let Some(Delivery::Order(seat, Order::Go)) = delivery else {
                panic!("an order before all else, not {delivery:?}");
            };
            assert_eq!(seat.0, expected);
            return;
        }
        let at = match delivery {
            None => {
                assert!(!self.models.iter().any(Model::has_something));
                return;
            }
            Some(Delivery::Message(slot, message)) => {
                let model = &mut self.models[slot.0];
                assert_eq!(model.queue.pop_front(), Some(number(&message)));
                model.taken += 1;
                slot.0
            }
            Some(Delivery::Closed(slot)) => {
                let model = &mut self.models[slot.0];
                assert!(model.queue.is_empty() && model.closing);
                (model.closing, model.shut) = (false, true);
                slot.0
            }
            other => panic!("unexpected {other:?}"),
        };
        self.check_turns(at);
    }

    /// Nobody waits for more than a turn of each other input, twice when something was lent.
    fn check_turns(&mut self, at: usize) {
        let most = 2 * self.models.len();
        for (other, model) in self.models.iter_mut().enumerate() {
            if other == at || !model.has_something() {
                model.passed_over = 0;
            } else {
                model.passed_over += 1;
                assert!(model.passed_over <= most, "input {other} starves");
            }
        }
    }

    /// As a worker does it: what was lent is given back when an input is held.
    fn hold(&mut self, at: usize, held: bool) {
        self.mailbox.hold(Slot(at), held);
        if held {
            self.mailbox.give_back(&mut self.lent);
        }
        self.models[at].held = held;
    }

    fn shut(&mut self, at: usize) {
        self.mailbox.give_back(&mut self.lent);
        self.mailbox.shut(Slot(at));
        let model = &mut self.models[at];
        model.discarded += model.queue.len() as u64;
        model.queue.clear();
        (model.shut, model.closing) = (true, false);
    }

    fn check(&mut self) {
        self.mailbox.give_back(&mut self.lent);
        for (at, model) in self.models.iter().enumerate() {
            let expected = InputCount {
                taken: model.taken,
                dropped: model.dropped,
                discarded: model.discarded,
                queued: model.queue.len() as u64,
                missed: 0,
                lost: 0,
            };
            let count = self.mailbox.count(Slot(at));
            assert_eq!(count, expected, "input {at}");
            let sum = count.taken + count.dropped + count.discarded + count.queued;
            assert_eq!(sum, model.pushed);
            if let Some(heard) = &self.heard[at] {
                let left = model.taken + model.dropped;
                assert_eq!(heard.sums(), (left, usize::from(model.shut)), "input {at}");
            }
        }
    }
}

#[test]
fn random_operations_do_what_the_model_says() {
    for seed in 0..RUNS {
        let outcome = std::panic::catch_unwind(|| {
            let mut run = Run::new(seed);
            for _ in 0..STEPS {
                run.step();
            }
            run.check();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
