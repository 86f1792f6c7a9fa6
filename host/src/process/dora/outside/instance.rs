//! One instance of a node: what its process, its connections and its seat in the engine tell each other.
//!
//! Invariant: beyond one batch nothing waits here for the node, so that the queues of the engine and their policies
//! decide what it gets; nobody waits here once the node is to stop, has ended, or reads no more. Absent: the process, the
//! wire.

use super::super::host::{NodeEnd, Taken, Wake};
use super::super::words::NodeEvent;
use super::direct::Counter;
use super::events::Events;
use super::outgoing::Outgoing;
use super::start::failed;
use crate::engine::OutsideEnd;
use crate::ids::PortName;
use crate::process::watch::Moment;
use plugin_abi::hosting::NodeFailure;
use plugin_abi::message::Message;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// An instance. Any thread.
pub struct Instance {
    pub end: OutsideEnd,
    /// Somebody else starts it, maybe never.
    dynamic: bool,
    /// What closes when it says that it sends no more; the rest when it has ended for good.
    closing: Vec<u32>,
    inputs: Vec<PortName>,
    outputs: HashMap<PortName, u32>,
    /// What it sends past this process.
    direct: BTreeMap<PortName, Counter>,
    state: Mutex<State>,
    changed: Condvar,
    outgoing: Arc<Outgoing>,
    /// How often it was heard of.
    heard: AtomicU64,
}

#[derive(Default)]
struct State {
    wake: Option<Wake>,
    subscribed: bool,
    detached: bool,
    start: Option<Result<(), String>>,
    events: Events,
    /// It reads no more.
    deaf: bool,
    halted: bool,
    refused: Option<String>,
    /// [`Instance::begun`] has said yes: the engine is told of the end.
    made: bool,
    exit: Option<Result<(), NodeFailure>>,
    /// Why its process was ended by force.
    hung: Option<String>,
    warned: bool,
}

/// Why an instance has not begun.
#[derive(Debug)]
pub enum NotBegun {
    /// The process has ended.
    Exited(Result<(), NodeFailure>),
    /// It speaks a version that is not served; the process has not ended yet.
    Refused(String),
    /// It is not wanted any more.
    Halted,
    /// Not in time.
    Late,
}

impl Instance {
    /// An instance that nobody has heard of yet.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn new(
        end: OutsideEnd,
        dynamic: bool,
        closing: &[PortName],
        direct: BTreeMap<PortName, Counter>,
    ) -> io::Result<Arc<Self>> {
        let names = |names: &[String]| {
            let names = names.iter().filter_map(|name| name.parse().ok());
            names.collect::<Vec<PortName>>()
        };
        let outputs: HashMap<_, _> = names(end.outputs()).into_iter().zip(0..).collect();
        let closing = closing.iter().filter_map(|name| outputs.get(name).copied());
        Ok(Arc::new(Self {
            inputs: names(end.inputs()),
            closing: closing.collect(),
            direct,
            outputs,
            dynamic,
            state: Mutex::default(),
            changed: Condvar::new(),
            outgoing: Outgoing::start(end.clone())?,
            heard: AtomicU64::new(0),
            end,
        }))
    }

    /// Waits until the node has subscribed.
    pub fn begun(&self, within: Duration) -> Result<(), NotBegun> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        loop {
            if let Some(exit) = &state.exit {
                return Err(NotBegun::Exited(exit.clone()));
            }
            if state.halted {
                return Err(NotBegun::Halted);
            }
            if let Some(text) = &state.refused {
                return Err(NotBegun::Refused(text.clone()));
            }
            if state.subscribed {
                state.made = true;
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotBegun::Late);
            }
            state = self.wait(state, left);
        }
    }

    /// Waits until the process has ended; `false` when it has not in time.
    pub fn wait_for_exit(&self, within: Duration) -> bool {
        self.wait_until(within, |state| state.exit.is_some())
    }

    /// Waits until the node has no connection; `false` when it has one still.
    pub fn wait_until_detached(&self, within: Duration) -> bool {
        self.wait_until(within, |state| state.wake.is_none() || state.detached)
    }

    fn wait_until(&self, within: Duration, so: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        while !so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait(state, left);
        }
        true
    }

    /// It counts as begun although nobody has connected.
    pub fn begin_without_connection(&self) {
        self.state().made = true;
    }

    /// The process has ended, and all that it sent has arrived.
    pub fn exited(&self, result: Result<(), NodeFailure>) {
        let told = {
            let mut state = self.state();
            // What it was not given is no fault of its own.
            let unbegun = matches!(state.start, Some(Err(_)));
            let result = match state.hung.take() {
                Some(text) => Err(failed(text)),
                None if unbegun => Ok(()),
                None => result,
            };
            state.exit = Some(result.clone());
            state.deaf = true;
            state.made.then_some(result)
        };
        self.changed.notify_all();
        if let Some(result) = told {
            self.outgoing.end(result);
        }
    }

    /// What the node has to answer for: it has got events, and might ask for more.
    pub fn owes(&self) -> Option<Moment> {
        let state = self.state();
        let going = matches!(state.start, Some(Ok(()))) && !state.deaf;
        let owes = going && !state.events.owe_nothing() && self.outgoing.has_room();
        let begun = self.heard.load(Ordering::Relaxed);
        owes.then_some(Moment { begun, waits: 0 })
    }

    /// Its process is about to be ended for this.
    pub fn hangs(&self, text: String) {
        self.state().hung = Some(text);
    }

    /// Nobody waits here any more.
    pub fn halt(&self) {
        self.state().halted = true;
        self.changed.notify_all();
    }

    /// The node may begin.
    pub fn go(&self) {
        let mut state = self.state();
        state.start.get_or_insert(Ok(()));
        state.wake();
    }

    /// A message for the node: waits until it asks. Those for a node that is not there are dropped.
    pub fn deliver(&self, input: u32, message: &Message) {
        let Some(input) = self.inputs.get(input as usize) else {
            return;
        };
        let mut state = self.state();
        loop {
            if state.deaf || state.events.is_last() || !state.subscribed {
                return;
            }
            if state.events.has_room() {
                break;
            }
            if state.halted {
                return;
            }
            state.events.seat_waits();
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let (input, message) = (input.clone(), message.clone());
        if state.events.push(NodeEvent::Input { input, message }) {
            state.wake();
        }
    }

    /// An input will bring nothing more.
    pub fn input_closed(&self, input: u32) {
        if let Some(input) = self.inputs.get(input as usize) {
            let input = input.clone();
            let mut state = self.state();
            if !state.deaf
                && !state.events.is_last()
                && state.events.push(NodeEvent::InputClosed { input })
            {
                state.wake();
            }
        }
    }

    /// An event that is no message's, unless too many wait.
    pub fn tell(&self, event: NodeEvent) {
        let mut state = self.state();
        let takes = state.subscribed && !state.deaf && !state.events.is_last();
        if takes && state.events.has_place() {
            // Nothing need follow it.
            if state.events.push(event) || state.events.flush() {
                state.wake();
            }
        }
    }

    /// The last event.
    pub fn last(&self, event: NodeEvent) {
        let absent = {
            let mut state = self.state();
            if state.deaf {
                state.events.end();
            }
            state.events.push_last(event);
            let reason = "the dataflow ends before it has begun";
            state.start.get_or_insert_with(|| Err(reason.to_owned()));
            state.wake();
            self.dynamic && state.wake.is_none()
        };
        if absent {
            // Nobody comes who could be told.
            self.outgoing.end(Ok(()));
        }
    }

    /// Nothing follows for now: what is there goes to the node.
    pub fn flush(&self) {
        let state = self.state();
        if state.events.flush() {
            state.wake();
        }
    }

    /// The seat has done with it.
    pub fn dropped(&self) {
        let mut state = self.state();
        (state.deaf, state.halted) = (true, true);
        state.events.end();
        state.wake();
        drop(state);
        self.changed.notify_all();
        self.outgoing.close();
    }

    /// A process says that it is this node.
    ///
    /// # Errors
    /// It comes too late: the text that it prints.
    pub fn attach(&self, wake: Wake) -> Result<(), String> {
        let mut state = self.state();
        let node = self.end.node();
        if state.events.is_last() || state.exit.is_some() {
            return Err(format!("node `{node}` is ending, or its dataflow is"));
        }
        if state.subscribed {
            return Err(format!("node `{node}` has been connected before"));
        }
        state.detached = false;
        self.outgoing.attached(wake.clone());
        state.wake = Some(wake);
        Ok(())
    }

    /// A process that says it is this node was refused with this text. When the node is there that was somebody else.
    pub fn refuse(&self, text: &str) {
        let mut state = self.state();
        if state.wake.is_none() {
            state.refused.get_or_insert_with(|| text.to_owned());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// What it was refused with.
    pub fn refusal(&self) -> Option<String> {
        self.state().refused.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn output(&self, name: &PortName) -> Option<u32> {
        let found = self.outputs.get(name).copied();
        if found.is_none() && !std::mem::replace(&mut self.state().warned, true) {
            let text = format!(
                "a message is dropped: the descriptor lists no output `{name}` of node `{}`; add it to `outputs`",
                self.end.node()
            );
            self.end.warn(&text);
        }
        found
    }
}

impl State {
    fn wake(&self) {
        if let Some(wake) = &self.wake {
            wake.wake();
        }
    }
}

/// What the server tells, on its thread, on which nobody may wait.
impl NodeEnd for Instance {
    fn subscribed(&self) {
        self.state().subscribed = true;
        self.changed.notify_all();
    }

    fn started(&self) -> Option<Result<(), String>> {
        self.state().start.clone()
    }

    fn take(&self, most: usize) -> Taken {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let (taken, wake_seat) = self.state().events.take(most);
        if wake_seat {
            self.changed.notify_all();
        }
        taken
    }

    fn send(&self, output: &PortName, message: Message) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        if let Some(output) = self.output(output) {
            self.outgoing.send(output, message);
        }
    }

    fn sent_directly(&self, output: &PortName) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        if let Some(counter) = self.direct.get(output) {
            counter.add();
        }
    }

    fn has_room(&self) -> bool {
        self.outgoing.has_room()
    }

    fn close_outputs(&self, outputs: &[PortName]) {
        let outputs = outputs.iter().filter_map(|name| self.output(name));
        // Every node closes all of its outputs when it ends.
        for output in outputs.filter(|output| self.closing.contains(output)) {
            self.outgoing.close_output(output);
        }
    }

    fn outputs_done(&self) {
        for output in &self.closing {
            self.outgoing.close_output(*output);
        }
    }

    fn events_dropped(&self) {
        let mut state = self.state();
        state.deaf = true;
        state.events.clear();
        drop(state);
        self.changed.notify_all();
    }

    fn fault(&self, text: &str) {
        self.end.warn(text);
    }

    fn detached(&self) {
        let ends = {
            let mut state = self.state();
            state.detached = true;
            if !state.subscribed {
                // It may try again.
                state.wake = None;
            }
            state.deaf |= state.subscribed;
            self.dynamic && state.subscribed
        };
        self.changed.notify_all();
        if ends {
            self.outgoing.end(Ok(()));
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
