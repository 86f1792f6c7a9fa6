//! A thread that publishes what the queues of its outputs hold.
//!
//! Invariant: whoever pushes never waits unless it asks to; outputs take turns, so that none starves; each queue is bounded
//! (see `lane`). The thread is there because the engine blocks whoever publishes while a connection is full. Absent: the
//! engine; see `output`.

use super::lane::{Lane, Next, Pushed};
use crate::ids::MachineId;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A message's number: the first of an output is 1.
pub(super) type Sequence = u64;

/// An output that has had no credit for so long asks for it: a credit may have been lost.
pub(super) const ASK_AFTER: Duration = Duration::from_millis(200);

/// Counters of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentCount {
    /// Messages that were published.
    pub sent: u64,
    /// Messages that were lost because the queue was full.
    pub dropped: u64,
    /// Messages that could not be written or published.
    pub failed: u64,
}

/// What an output publishes with.
pub(super) trait Wire: Send + Sync {
    /// May wait for room on a connection. Whether it was published.
    fn publish(&self, number: Sequence, message: &Message) -> bool;
    /// Says that no more messages come. May wait too.
    fn end(&self, number: Sequence);
    /// Asks a machine for its credit; the answer is a grant. Does not wait.
    fn ask(&self, machine: &MachineId);
}

/// Publishes the messages of its outputs on a thread of its own. The thread ends when this and all its outputs are
/// dropped and what waited was published.
#[derive(Debug)]
pub struct Sender {
    pub(super) thread: Arc<Thread>,
    ended: oneshot::Receiver<()>,
}

/// What the thread and those who give it work share.
#[derive(Debug, Default)]
pub(super) struct Thread {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Queues with something in them, each once.
    ready: VecDeque<Arc<Queue>>,
    /// Queues that wait for credits.
    stalled: Vec<Arc<Queue>>,
    /// The thread waits.
    idle: bool,
    /// Queues that are not over.
    open: usize,
    ended: bool,
}

/// An output's queue.
pub(super) struct Queue {
    /// The queue, and whether it is among the ready ones or being looked at.
    lane: Mutex<(Lane, bool)>,
    room: Condvar,
    wire: Box<dyn Wire>,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queue").field(&self.lane().0).finish()
    }
}

impl Sender {
    /// Starts the thread. `name` is the thread's.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(name: &str) -> std::io::Result<Self> {
        let shared = Arc::new(Thread::default());
        let (done, ended) = oneshot::channel();
        let thread = shared.clone();
        std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                thread.run();
                drop(done);
            })?;
        Ok(Self {
            thread: shared,
            ended,
        })
    }

    /// Waits until what waits was published and the thread has ended; all outputs must have been closed. `false` when
    /// that took longer than the deadline; then it ends when it can.
    pub async fn finish(mut self, deadline: Duration) -> bool {
        self.thread.end();
        tokio::time::timeout(deadline, &mut self.ended)
            .await
            .is_ok()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.thread.end();
    }
}

impl Thread {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// There is another queue, until its end was published.
    pub fn open(&self) {
        self.change(|state| state.open += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let idle = state.idle;
        drop(state);
        if idle {
            self.work.notify_one();
        }
    }

    fn run(&self) {
        while let Some(queue) = self.next() {
            let (next, busy) = {
                let mut lane = queue.lane();
                let next = lane.0.take();
                lane.1 = lane.0.is_busy();
                (next, lane.1)
            };
            queue.room.notify_all();
            let over = matches!(next, Some(Next::End(_)));
            match next {
                Some(Next::Message(number, message)) => {
                    let done = queue.wire.publish(number, &message);
                    let count = if done { &queue.sent } else { &queue.failed };
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Some(Next::End(number)) => queue.wire.end(number),
                None => {}
            }
            let mut state = self.state();
            state.open -= usize::from(over);
            if busy {
                state.ready.push_back(queue);
            }
        }
    }

    /// Waits for a queue with something in it; `None` at the end.
    fn next(&self) -> Option<Arc<Queue>> {
        let mut state = self.state();
        loop {
            if let Some(queue) = state.ready.pop_front() {
                return Some(queue);
            }
            if state.ended && state.open == 0 {
                return None;
            }
            let stalled = std::mem::take(&mut state.stalled);
            if !stalled.is_empty() {
                drop(state);
                let kept = stalled.into_iter().filter(|queue| queue.ask_if_overdue());
                let kept: Vec<_> = kept.collect();
                state = self.state();
                state.stalled.extend(kept);
            }
            if !state.ready.is_empty() {
                continue;
            }
            state.idle = true;
            state = match state.stalled.is_empty() {
                true => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                false => {
                    let woken = self.work.wait_timeout(state, ASK_AFTER);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.idle = false;
        }
    }
}

impl Queue {
    /// A queue whose messages go over a wire.
    pub fn new(lane: Lane, wire: Box<dyn Wire>) -> Self {
        Self {
            lane: Mutex::new((lane, false)),
            room: Condvar::new(),
            wire,
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn lane(&self) -> MutexGuard<'_, (Lane, bool)> {
        // As above.
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(self: &Arc<Self>, message: Message, thread: &Thread) -> Pushed {
        let mut lane = self.lane();
        let pushed = lane.0.push(message, Instant::now());
        if let Pushed::Full(_) = pushed {
            if !lane.0.is_stalled() {
                return pushed;
            }
            drop(lane);
            thread.change(|state| {
                if !state.stalled.iter().any(|other| Arc::ptr_eq(other, self)) {
                    state.stalled.push(self.clone());
                }
            });
            return pushed;
        }
        self.schedule(lane, thread);
        pushed
    }

    /// Puts the queue among those with something in them, unless it is there.
    fn schedule(self: &Arc<Self>, mut lane: MutexGuard<'_, (Lane, bool)>, thread: &Thread) {
        let busy = lane.0.is_busy();
        let scheduled = std::mem::replace(&mut lane.1, busy);
        drop(lane);
        if busy && !scheduled {
            thread.change(|state| state.ready.push_back(self.clone()));
        }
    }

    /// Waits until there may be room, until `stop`, or until the time is over. `stop` is asked again after
    /// [`Self::nudge`].
    pub fn wait_for_room(&self, patience: Duration, stop: impl Fn() -> bool) {
        let until = Instant::now() + patience;
        let mut lane = self.lane();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if lane.0.has_room() || left.is_zero() || stop() {
                return;
            }
            let woken = self.room.wait_timeout(lane, left);
            lane = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Makes those who wait for room look again.
    pub fn nudge(&self) {
        drop(self.lane());
        self.room.notify_all();
    }

    pub fn grant(&self, machine: &MachineId, credit: Sequence) {
        self.lane().0.grant(machine, credit);
        self.room.notify_all();
    }

    pub fn forget(&self, machine: &MachineId) {
        self.lane().0.forget(machine);
        self.room.notify_all();
    }

    pub fn close(self: &Arc<Self>, thread: &Thread) {
        let mut lane = self.lane();
        lane.0.close();
        self.schedule(lane, thread);
        self.room.notify_all();
    }

    pub fn count(&self) -> SentCount {
        SentCount {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.lane().0.dropped,
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Asks for credits that are missing; whether any are.
    fn ask_if_overdue(&self) -> bool {
        let overdue = self.lane().0.overdue(Instant::now());
        for machine in overdue.iter().flatten() {
            self.wire.ask(machine);
        }
        overdue.is_some()
    }
}
