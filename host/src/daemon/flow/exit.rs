//! An output on its way to other machines, from the start on.
//!
//! Invariant: nothing is published before all readers have been found; until then it waits in a bounded queue, which
//! loses its oldest message, or makes the sender wait where a reader has `backpressure`. Messages keep their order.

use super::losses::Losses;
use crate::engine::{Outlet, OutletPushed};
use crate::ids::{MachineId, PortName};
use crate::link::{Output, Pushed};
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Exit {
    output: Output,
    gate: Mutex<Gate>,
    opened: Condvar,
    /// Whether the gate is open: then nobody looks at it.
    open: AtomicBool,
    capacity: usize,
    /// Whether readers are waited for.
    waits: bool,
    losses: Arc<Losses>,
    /// What is said of a message that had no room.
    dropped: String,
}

#[derive(Debug, Default)]
struct Gate {
    waiting: VecDeque<Message>,
    open: bool,
    closed: bool,
}

impl Exit {
    /// `capacity` is at most what the output and its readers have room for; `name` is the output's.
    pub fn new(
        output: Output,
        name: &PortName,
        capacity: usize,
        waits: bool,
        losses: Arc<Losses>,
    ) -> Self {
        Self {
            output,
            gate: Mutex::default(),
            opened: Condvar::new(),
            open: AtomicBool::new(false),
            capacity: capacity.max(1),
            waits,
            losses,
            dropped: format!("of output `{name}` dropped before they left this machine"),
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Nothing panics while it holds the lock.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The readers that do not answer within the deadline.
    pub async fn missing(&self, deadline: Duration) -> Vec<MachineId> {
        self.output.missing(deadline).await
    }

    /// All readers are there: publishes what waits, and everything else from now on.
    pub fn let_out(&self) {
        let mut gate = self.gate();
        for message in std::mem::take(&mut gate.waiting) {
            // There is room for as many as could wait.
            self.output.push(message);
        }
        gate.open = true;
        self.open.store(true, Ordering::Release);
        if gate.closed {
            self.output.close();
        }
        drop(gate);
        self.opened.notify_all();
    }

    /// Waits for a machine no more.
    pub fn forget(&self, machine: &MachineId) {
        self.output.forget(machine);
    }

    /// Ends it, whether its readers were found or not.
    pub fn end(&self) {
        self.close();
        self.output.close();
        self.losses.flush();
    }

    fn pass(&self, message: Message) -> OutletPushed {
        match self.output.push(message) {
            Pushed::In => OutletPushed::In,
            Pushed::Dropped => {
                self.losses.count(1, &self.dropped);
                OutletPushed::Dropped
            }
            Pushed::Closed => OutletPushed::Closed,
            Pushed::Full(message) => OutletPushed::Full(message),
        }
    }
}

impl Outlet for Exit {
    fn push(&self, message: Message) -> OutletPushed {
        if self.open.load(Ordering::Acquire) {
            return self.pass(message);
        }
        let mut gate = self.gate();
        if gate.open {
            drop(gate);
            return self.pass(message);
        }
        if gate.closed {
            return OutletPushed::Closed;
        }
        let full = gate.waiting.len() >= self.capacity;
        if full && self.waits {
            return OutletPushed::Full(message);
        }
        let oldest = if full { gate.waiting.pop_front() } else { None };
        gate.waiting.push_back(message);
        drop(gate);
        match oldest {
            Some(_) => OutletPushed::Dropped,
            None => OutletPushed::In,
        }
    }

    fn wait_for_room(&self, patience: Duration, stop: &dyn Fn() -> bool) {
        let until = Instant::now() + patience;
        let mut gate = self.gate();
        while !gate.open && !gate.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stop() {
                return;
            }
            let woken = self.opened.wait_timeout(gate, left);
            gate = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(gate);
        let left = until.saturating_duration_since(Instant::now());
        self.output.wait_for_room(left, stop);
    }

    fn nudge(&self) {
        drop(self.gate());
        self.opened.notify_all();
        self.output.nudge();
    }

    fn close(&self) {
        let mut gate = self.gate();
        gate.closed = true;
        if gate.open {
            self.output.close();
        }
        drop(gate);
        self.opened.notify_all();
    }
}
