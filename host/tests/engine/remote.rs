//! A share of a dataflow: inputs that are fed from outside the process, outputs that are read there, the hold before the
//! start, and what is told meanwhile.

mod held;
mod inputs;
mod joined;
mod outlets;
mod progress;
mod shares;

use crate::harness::DEADLINE;
use host::engine::{Dataflow, Outlet, OutletPushed, RemoteInput, Taken};
use host::ids::{NodeId, PortName};
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn node(id: &str) -> NodeId {
    id.parse().expect("a node id")
}

fn port(name: &str) -> PortName {
    name.parse().expect("a port name")
}

/// Attaches an outlet to an output that exists.
fn attach(dataflow: &Dataflow, of: &str, output: &str, outlet: Arc<dyn Outlet>) {
    let readers = format!("input `reader/in` on machine `there` of `{of}`");
    assert!(dataflow.attach(&node(of), &port(output), readers.into(), outlet));
}

/// The input of that name.
fn input(dataflow: &Dataflow, of: &str, name: &str) -> RemoteInput {
    let mut inputs = dataflow.remote_inputs().into_iter();
    let found = inputs.find(|input| input.node.as_str() == of && input.input.as_str() == name);
    found.expect("an input from outside")
}

/// A queue in place of another machine.
#[derive(Debug)]
struct Memory {
    capacity: usize,
    /// Whether a full queue makes its sender wait; else the oldest message is dropped.
    waits: bool,
    state: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Message>,
    closed: bool,
    waiting: usize,
    nudged: usize,
}

impl Memory {
    fn new(capacity: usize, waits: bool) -> Arc<Self> {
        Arc::new(Self {
            capacity,
            waits,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Waits until the queue is as wanted.
    fn wait_for(&self, wanted: impl Fn(&Queue) -> bool) -> MutexGuard<'_, Queue> {
        let until = Instant::now() + DEADLINE;
        let mut state = lock(&self.state);
        while !wanted(&state) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "in vain: {state:?}");
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// The next message; `None` after the end.
    fn take(&self) -> Option<Message> {
        let mut state = self.wait_for(|state| state.closed || !state.messages.is_empty());
        let message = state.messages.pop_front();
        self.changed.notify_all();
        message
    }

    /// All that comes until the end.
    fn rest(&self) -> Vec<Message> {
        std::iter::from_fn(|| self.take()).collect()
    }

    fn len(&self) -> usize {
        lock(&self.state).messages.len()
    }
}

impl Outlet for Memory {
    fn push(&self, message: Message) -> OutletPushed {
        let mut state = lock(&self.state);
        if state.closed {
            return OutletPushed::Closed;
        }
        let full = state.messages.len() >= self.capacity;
        if full && self.waits {
            return OutletPushed::Full(message);
        }
        if full {
            state.messages.pop_front();
        }
        state.messages.push_back(message);
        self.changed.notify_all();
        match full {
            true => OutletPushed::Dropped,
            false => OutletPushed::In,
        }
    }

    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool) {
        let mut state = lock(&self.state);
        if state.closed || state.messages.len() < self.capacity || stop() {
            return;
        }
        state.waiting += 1;
        self.changed.notify_all();
        let waited = self.changed.wait_timeout(state, patience);
        waited.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    fn nudge(&self) {
        lock(&self.state).nudged += 1;
        self.changed.notify_all();
    }

    fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }
}

/// A way from an output of one dataflow to an input of another, which goes no further than that input has room.
#[derive(Debug)]
struct Wire {
    input: RemoteInput,
    state: Mutex<Credit>,
    changed: Condvar,
}

#[derive(Debug)]
struct Credit {
    sent: u64,
    limit: u64,
    closed: bool,
}

impl Wire {
    /// To an input that holds `size` messages and makes its sender wait.
    fn new(input: RemoteInput, size: u64) -> Arc<Self> {
        let wire = Arc::new(Self {
            input: input.clone(),
            state: Mutex::new(Credit {
                sent: 0,
                limit: size,
                closed: false,
            }),
            changed: Condvar::new(),
        });
        let of_listener = Arc::downgrade(&wire);
        input.on_taken(Arc::new(move |taken| {
            if let Some(wire) = of_listener.upgrade() {
                let mut credit = lock(&wire.state);
                credit.limit = match taken {
                    Taken::Messages(messages) => credit.limit.saturating_add(messages),
                    Taken::Closed => u64::MAX,
                };
                wire.changed.notify_all();
            }
        }));
        wire
    }
}

impl Outlet for Wire {
    fn push(&self, message: Message) -> OutletPushed {
        let mut credit = lock(&self.state);
        if credit.closed {
            return OutletPushed::Closed;
        }
        if credit.sent >= credit.limit {
            return OutletPushed::Full(message);
        }
        credit.sent += 1;
        drop(credit);
        // One thread sends, so the order stays.
        self.input.push(message);
        OutletPushed::In
    }

    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool) {
        let credit = lock(&self.state);
        if credit.sent >= credit.limit && !credit.closed && !stop() {
            drop(self.changed.wait_timeout(credit, patience));
        }
    }

    fn nudge(&self) {
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    fn close(&self) {
        let first = !std::mem::replace(&mut lock(&self.state).closed, true);
        if first {
            self.input.close();
        }
        self.changed.notify_all();
    }
}
