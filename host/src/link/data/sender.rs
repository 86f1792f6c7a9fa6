//! A thread that publishes what the queues of its outputs hold.
//!
//! Invariant: whoever pushes never waits unless it asks to; outputs take turns, so that none starves; each queue is bounded
//! (see `lane`). The thread is there because the engine blocks whoever publishes while a connection is full. To wake it
//! takes longer than to publish, so what surely has room (see `room`) is published by whoever pushes it, unless others wait
//! before it. Absent: the engine; see `output`.

use super::lane::{Lane, Next, Pushed};
use crate::ids::MachineId;
use crate::lookout::Lookout;
use plugin_abi::message::Message;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Whether [`Wire::publish_now`] would not wait; takes the room for it.
    fn has_room(&self, message: &Message, now: Instant) -> bool;
    /// The same as [`Wire::publish`] where there is room.
    fn publish_now(&self, number: Sequence, message: &Message) -> bool;
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
    /// Something has changed since the thread has begun to look out.
    news: AtomicBool,
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
    state: Mutex<Held>,
    room: Condvar,
    wire: Box<dyn Wire>,
    sent: AtomicU64,
    failed: AtomicU64,
}

struct Held {
    lane: Lane,
    /// It is among the ready ones, or somebody publishes from it: nobody else may, or messages would overtake each other.
    scheduled: bool,
    /// How many wait for room. To wake nobody costs as much as to wake somebody.
    waiting: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Queue").field(&self.state().lane).finish()
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
        self.news.store(true, Ordering::Relaxed);
        let idle = state.idle;
        drop(state);
        if idle {
            self.work.notify_one();
        }
    }

    fn run(&self) {
        let mut turn = Vec::new();
        let mut lookout = Lookout::default();
        while let Some(queue) = self.next(&mut lookout) {
            queue.take_turn(&mut turn);
            let over = matches!(turn.last(), Some(Next::End(_)));
            for next in turn.drain(..) {
                queue.publish(next);
            }
            let busy = queue.turn_is_over();
            let mut state = self.state();
            state.open -= usize::from(over);
            if busy {
                state.ready.push_back(queue);
            }
        }
    }

    /// Waits for a queue with something in it; `None` at the end.
    fn next(&self, lookout: &mut Lookout) -> Option<Arc<Queue>> {
        let mut looked_out = false;
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
            if !std::mem::replace(&mut looked_out, true) && lookout.is_worth(Instant::now()) {
                self.news.store(false, Ordering::Relaxed);
                drop(state);
                lookout.look(|| self.news.load(Ordering::Relaxed));
                state = self.state();
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
            state: Mutex::new(Held {
                lane,
                scheduled: false,
                waiting: 0,
            }),
            room: Condvar::new(),
            wire,
            sent: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, Held> {
        // As above.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(self: &Arc<Self>, message: Message, thread: &Thread) -> Pushed {
        let now = Instant::now();
        let mut state = self.state();
        if !state.scheduled
            && self.wire.has_room(&message, now)
            && let Some(number) = state.lane.pass()
        {
            state.scheduled = true;
            drop(state);
            self.published(self.wire.publish_now(number, &message));
            if self.turn_is_over() {
                thread.change(|state| state.ready.push_back(self.clone()));
            }
            return Pushed::In;
        }
        let pushed = state.lane.push(message, now);
        if let Pushed::Full(_) = pushed {
            if !state.lane.is_stalled() {
                return pushed;
            }
            drop(state);
            thread.change(|state| {
                if !state.stalled.iter().any(|other| Arc::ptr_eq(other, self)) {
                    state.stalled.push(self.clone());
                }
            });
            return pushed;
        }
        self.schedule(state, thread);
        pushed
    }

    /// Takes out what is to be published next.
    fn take_turn(&self, turn: &mut Vec<Next>) {
        let mut state = self.state();
        while turn.len() < state.lane.turn()
            && let Some(next) = state.lane.take()
        {
            turn.push(next);
        }
        self.tell_room(state);
    }

    fn publish(&self, next: Next) {
        match next {
            Next::Message(number, message) => self.published(self.wire.publish(number, &message)),
            Next::End(number) => self.wire.end(number),
        }
    }

    fn published(&self, done: bool) {
        let count = if done { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What was taken out has been published; whether there is more, which the caller is to see to.
    fn turn_is_over(&self) -> bool {
        let mut state = self.state();
        state.scheduled = state.lane.is_busy();
        state.scheduled
    }

    /// Puts the queue among those with something in them, unless it is there.
    fn schedule(self: &Arc<Self>, mut state: MutexGuard<'_, Held>, thread: &Thread) {
        let ready = state.lane.is_busy() && !state.scheduled;
        state.scheduled |= ready;
        drop(state);
        if ready {
            thread.change(|state| state.ready.push_back(self.clone()));
        }
    }

    /// Waits until there may be room, until `stop`, or until the time is over. `stop` is asked again after
    /// [`Self::nudge`].
    pub fn wait_for_room(&self, patience: Duration, stop: impl Fn() -> bool) {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.lane.has_room() || left.is_zero() || stop() {
                return;
            }
            state.waiting += 1;
            let woken = self.room.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
        }
    }

    /// Makes those who wait for room look again.
    fn tell_room(&self, state: MutexGuard<'_, Held>) {
        let waiting = state.waiting > 0;
        drop(state);
        if waiting {
            self.room.notify_all();
        }
    }

    /// Makes those who wait for room ask whether they are to stop.
    pub fn nudge(&self) {
        self.tell_room(self.state());
    }

    pub fn grant(&self, machine: &MachineId, credit: Sequence) {
        let mut state = self.state();
        state.lane.grant(machine, credit);
        self.tell_room(state);
    }

    pub fn forget(&self, machine: &MachineId) {
        let mut state = self.state();
        state.lane.forget(machine);
        self.tell_room(state);
    }

    pub fn close(self: &Arc<Self>, thread: &Thread) {
        let mut state = self.state();
        state.lane.close();
        self.schedule(state, thread);
        self.nudge();
    }

    pub fn count(&self) -> SentCount {
        SentCount {
            sent: self.sent.load(Ordering::Relaxed),
            dropped: self.state().lane.dropped,
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// Asks for credits that are missing; whether any are.
    fn ask_if_overdue(&self) -> bool {
        let overdue = self.state().lane.overdue(Instant::now());
        for machine in overdue.iter().flatten() {
            self.wire.ask(machine);
        }
        overdue.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::meta::Timestamp;
    use std::sync::atomic::AtomicUsize;

    /// Notes what is published, by number; a third of it has room at once.
    #[derive(Default)]
    struct Notes {
        published: Mutex<Vec<Sequence>>,
        asked: AtomicUsize,
        at_once: AtomicUsize,
    }

    impl Wire for Arc<Notes> {
        fn publish(&self, number: Sequence, _: &Message) -> bool {
            self.published.lock().unwrap().push(number);
            true
        }

        fn has_room(&self, _: &Message, _: Instant) -> bool {
            self.asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
        }

        fn publish_now(&self, number: Sequence, message: &Message) -> bool {
            self.at_once.fetch_add(1, Ordering::Relaxed);
            self.publish(number, message)
        }

        fn end(&self, number: Sequence) {
            self.published.lock().unwrap().push(number);
        }

        fn ask(&self, _: &MachineId) {}
    }

    #[test]
    fn what_is_published_at_once_overtakes_nothing_and_the_end_is_last() {
        const EACH: u64 = 2_000;
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let notes = Arc::new(Notes::default());
        let sender = Sender::new("test").unwrap();
        let lane = Lane::new(2 * EACH as usize, None);
        let queue = Arc::new(Queue::new(lane, Box::new(notes.clone())));
        sender.thread.open();
        let message = Message::from_text(Timestamp::default(), "x", &[]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for number in 0..EACH {
                        let pushed = queue.push(message.clone(), &sender.thread);
                        assert!(matches!(pushed, Pushed::In));
                        if number % 7 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        queue.close(&sender.thread);
        assert!(runtime.block_on(sender.finish(Duration::from_secs(10))));
        let expected: Vec<_> = (1..=2 * EACH + 1).collect();
        assert_eq!(*notes.published.lock().unwrap(), expected);
        assert!(notes.at_once.load(Ordering::Relaxed) > 0);
        assert_eq!(queue.count().sent, 2 * EACH);
    }
}
