//! A thread that publishes what the queues of its outputs hold.
//!
//! Invariant: whoever pushes never waits unless it asks to; outputs take turns, so that none starves; each queue is bounded
//! (see `lane`). The thread is there because the engine blocks whoever publishes while a connection is full. To wake it
//! takes longer than to publish, so what surely has room (see `room`) is published by whoever pushes it, unless others wait
//! before it. Absent: the engine; see `output`.

use super::attachment::Kind;
use super::credits::Credit;
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

/// An output that has heard of no credit for so long, or of nothing that was passed, asks: what was said, or sent, may have
/// been lost.
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
    /// Says what is no message: that no more come, or which never come. May wait too.
    fn say(&self, kind: Kind, number: Sequence);
    /// Asks a machine for its credit; the answer is a grant. Does not wait.
    fn ask(&self, machine: &MachineId);
}

/// Publishes the messages of its outputs on a thread of its own. The thread ends when this and all its outputs are
/// dropped and what waited was published; whether readers have got it is not waited for then.
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
    /// Queues that wait for their readers, each once.
    waiting: Vec<Arc<Queue>>,
    /// When those are looked at again.
    look: Option<Instant>,
    /// The thread waits.
    idle: bool,
    /// Queues that are not over.
    open: usize,
    ended: bool,
    /// Readers are not waited for any more.
    abandoned: bool,
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
    /// It is among those that wait for their readers.
    watched: bool,
    /// All is over; told once.
    ended: bool,
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

    /// Waits until what waits was published, readers that are waited for have it all, and the thread has ended; all outputs
    /// must have been closed. `false` when that took longer than the deadline; then it ends when it can.
    pub async fn finish(mut self, deadline: Duration) -> bool {
        self.thread.end();
        tokio::time::timeout(deadline, &mut self.ended)
            .await
            .is_ok()
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.thread
            .change(|state| (state.ended, state.abandoned) = (true, true));
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

    /// There is another queue, until it is over.
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
            for next in turn.drain(..) {
                queue.publish(next);
            }
            let after = queue.turn_is_over();
            let mut state = self.state();
            state.open -= usize::from(after.ended);
            if after.watch {
                state.waiting.push(queue.clone());
            }
            if after.busy {
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
                // They hold this thread's state.
                let over = std::mem::take(&mut state.waiting);
                drop(state);
                drop(over);
                return None;
            }
            let open = state.open;
            state = self.look(state);
            if !state.ready.is_empty() || state.open < open {
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
            state = match state.look {
                None => self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    let woken = self.work.wait_timeout(state, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.idle = false;
        }
    }

    /// Lets those that wait for their readers ask them, every now and then.
    fn look<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.waiting.is_empty() {
            state.look = None;
            return state;
        }
        let now = Instant::now();
        let abandoned = state.abandoned;
        if now < *state.look.get_or_insert(now + ASK_AFTER) && !abandoned {
            return state;
        }
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        let mut ended = 0;
        let waiting = waiting.into_iter().filter(|queue| {
            let after = queue.ask(now, abandoned);
            ended += usize::from(after.ended);
            after.watch
        });
        let waiting: Vec<_> = waiting.collect();
        state = self.state();
        state.open -= ended;
        state.waiting.extend(waiting);
        state.look = (!state.waiting.is_empty()).then(|| now + ASK_AFTER);
        state
    }
}

/// What a queue needs of the thread.
struct After {
    /// It has more to publish.
    busy: bool,
    /// It is to be among those that wait for their readers.
    watch: bool,
    /// It is over, from now on.
    ended: bool,
}

impl Held {
    /// Whether it is over, once.
    fn has_ended(&mut self) -> bool {
        !self.ended && self.lane.is_over() && {
            self.ended = true;
            true
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
                watched: false,
                ended: false,
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
            // Nobody is waited for here.
            if self.turn_is_over().busy {
                thread.change(|state| state.ready.push_back(self.clone()));
            }
            return Pushed::In;
        }
        let pushed = state.lane.push(message, now);
        if let Pushed::Full(_) = pushed {
            if state.lane.is_waiting() && !std::mem::replace(&mut state.watched, true) {
                drop(state);
                thread.change(|state| state.waiting.push(self.clone()));
            }
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
            Next::Message(number, message) => {
                let done = self.wire.publish(number, &message);
                self.published(done);
                if !done {
                    let mut state = self.state();
                    state.lane.give_up(number);
                    let spent = state.lane.spent();
                    drop(state);
                    drop(spent);
                    self.wire.say(Kind::Lost, number);
                }
            }
            // What comes of it is seen as the first time.
            Next::Again(number, message) => drop(self.wire.publish(number, &message)),
            Next::Lost(number) => self.wire.say(Kind::Lost, number),
            Next::Gone(number) => self.wire.say(Kind::Gone, number),
            Next::End(number) => self.wire.say(Kind::End, number),
        }
    }

    fn published(&self, done: bool) {
        let count = if done { &self.sent } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// What was taken out has been published; what there is to do after it, which the caller is to see to.
    fn turn_is_over(&self) -> After {
        let mut state = self.state();
        state.scheduled = state.lane.is_busy();
        let watch = state.lane.is_waiting() && !std::mem::replace(&mut state.watched, true);
        After {
            busy: state.scheduled,
            watch,
            ended: state.has_ended(),
        }
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

    /// A machine says where it is, perhaps because it was asked.
    pub fn grant(
        self: &Arc<Self>,
        machine: &MachineId,
        credit: Credit,
        asked: bool,
        thread: &Thread,
    ) {
        self.heard(thread, |lane| lane.grant(machine, credit, asked));
    }

    pub fn forget(self: &Arc<Self>, machine: &MachineId, thread: &Thread) {
        self.heard(thread, |lane| lane.forget(machine));
    }

    fn heard(self: &Arc<Self>, thread: &Thread, change: impl FnOnce(&mut Lane)) {
        let mut state = self.state();
        change(&mut state.lane);
        let (ended, spent) = (state.has_ended(), state.lane.spent());
        self.schedule(state, thread);
        self.nudge();
        drop(spent);
        if ended {
            thread.change(|state| state.open -= 1);
        }
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

    /// Asks those who are to be asked.
    fn ask(&self, now: Instant, abandoned: bool) -> After {
        let mut state = self.state();
        if abandoned {
            state.lane.abandon();
        }
        let spent = state.lane.spent();
        let overdue = state.lane.overdue(now);
        state.watched = overdue.is_some();
        let after = After {
            busy: false,
            watch: state.watched,
            ended: state.has_ended(),
        };
        self.tell_room(state);
        drop(spent);
        for machine in overdue.iter().flatten() {
            self.wire.ask(machine);
        }
        after
    }
}

#[cfg(test)]
mod tests {
    use super::super::credits::Window;
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

        fn say(&self, _: Kind, number: Sequence) {
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

    #[test]
    fn a_reader_without_a_word_is_not_waited_for_at_the_end_and_nothing_is_held() {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        let machine: MachineId = "A".parse().unwrap();
        let notes = Arc::new(Notes::default());
        let sender = Sender::new("test").unwrap();
        let lane = Lane::new(4, Some(Window::new([machine.clone()])));
        let queue = Arc::new(Queue::new(lane, Box::new(notes.clone())));
        sender.thread.open();
        let credit = Credit {
            limit: 4,
            ..Credit::default()
        };
        queue.grant(&machine, credit, true, &sender.thread);
        let message = Message::from_text(Timestamp::default(), "x", &[]).unwrap();
        assert!(matches!(queue.push(message, &sender.thread), Pushed::In));
        queue.close(&sender.thread);
        assert!(!runtime.block_on(sender.finish(Duration::from_millis(20))));
        // The thread ends, and lets go of what it watched.
        let held = Arc::downgrade(&queue);
        drop(queue);
        let until = Instant::now() + Duration::from_secs(10);
        while held.strong_count() > 0 {
            assert!(Instant::now() < until, "it is held");
            std::thread::yield_now();
        }
        assert_eq!(*notes.published.lock().unwrap(), [1, 2]);
    }
}
