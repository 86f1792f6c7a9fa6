//! One process of a node: what is written to it, and what its threads share.
//!
//! Invariant: the process is given no more messages than it has asked for; whoever waits here wakes when the node is to
//! stop and when the process has ended. Absent: what it sends (`reader`).

use super::{NativeSpec, Process, ProcessEnd, Spawn, is_asked, lock, reader, watch};
use crate::engine::{Crash, LastMessage, OutsideCounts, OutsideEnd, Passed};
use crate::plugin;
use plugin_abi::handshake::Record;
use plugin_abi::hosting::NodeFailure;
use plugin_abi::message::Message;
use plugin_abi::meta::Timestamp;
use plugin_abi::node::Stop;
use plugin_abi::wire::channel::{Attempt, Channel, Side};
use plugin_abi::wire::frame::{Create, Ended, Frame, Greeting, ToNode};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::page::Page;
use plugin_abi::wire::sys::Stream;
use plugin_abi::wire::{VERSION, WireError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What the daemon says of itself.
pub static RECORD: Record = Record::new(
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_VERSION"),
    cfg!(panic = "unwind"),
    cfg!(debug_assertions),
);

/// How often who waits long looks for itself.
const LOOK: Duration = Duration::from_secs(1);

/// One process of a node. Any thread.
pub(super) struct Instance {
    pub(super) channel: Arc<Channel>,
    pub(super) page: Page,
    pub(super) counts: Arc<Mutex<OutsideCounts>>,
    process: Mutex<Option<Box<dyn Process>>>,
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
    /// The level that the node was told last.
    level: AtomicU32,
    window: u32,
    /// How often its thread that reads has begun to wait for a reader of the node's, and has gone on: odd while it waits.
    held_up: AtomicU32,
    /// Dropped when the process has ended: nobody watches it any more.
    watched: Mutex<Option<Sender<()>>>,
    /// Whether anybody watches it.
    pub(super) is_watched: bool,
    /// What it runs.
    file: PathBuf,
    last: Last,
}

/// The message that it was given last.
#[derive(Debug, Default)]
struct Last {
    /// One more than the input's index.
    input: AtomicU32,
    values: AtomicU64,
    time: AtomicU64,
}

impl Last {
    fn set(&self, input: u32, message: &Message) {
        self.values.store(message.len() as u64, Ordering::Relaxed);
        self.time.store(message.timestamp().time, Ordering::Relaxed);
        self.input.store(input.wrapping_add(1), Ordering::Relaxed);
    }

    fn get(&self, inputs: &[String]) -> Option<LastMessage> {
        let input = self.input.load(Ordering::Relaxed).checked_sub(1)?;
        let sent = Timestamp {
            time: self.time.load(Ordering::Relaxed),
            ..Timestamp::default()
        };
        let values = self.values.load(Ordering::Relaxed);
        let name = inputs.get(input as usize)?;
        Some(LastMessage::of_meta(name, values, sent, &[]))
    }
}

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct State {
    /// What its record says, or why it does not fit.
    pub(super) hello: Option<Result<(), NodeFailure>>,
    /// Whether the node has been made.
    pub(super) made: Option<Result<(), NodeFailure>>,
    /// How many more messages it takes.
    pub(super) credits: u32,
    /// How its node has ended.
    pub(super) ended: Option<Ended>,
    /// Whether nothing more comes from it.
    pub(super) silent: bool,
    /// How the process has ended.
    pub(super) exit: Option<ProcessEnd>,
    /// Why it was ended: a callback took too long.
    hung: Option<String>,
    /// Whether the engine has been told of its end, or never will be.
    over: bool,
    /// Whether the engine knows the instance, and is to be told of its end.
    known: bool,
    /// How the instance has ended, until the engine is told.
    result: Option<Result<(), NodeFailure>>,
}

impl Instance {
    /// Starts the process and the thread that reads what it sends.
    pub(super) fn start(
        spec: &NativeSpec,
        spawn: &dyn Spawn,
        pool: &Pool,
        end: &OutsideEnd,
        counts: &Arc<Mutex<OutsideCounts>>,
    ) -> Result<Arc<Self>, NodeFailure> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            NodeFailure::new(format!("{}: {what}: {error}", spec.program.display()))
        };
        let (stream, theirs) =
            Stream::pair().map_err(|error| failed("no connection to it can be made", &error))?;
        let (object, page) =
            Page::new().map_err(|error| failed("no memory to share with it", &error))?;
        let (channel, incoming) = Channel::new(stream, Side::Daemon, pool.clone());
        let instance = Arc::new(Self {
            channel,
            page,
            counts: counts.clone(),
            process: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            level: AtomicU32::new(end.level().load(Ordering::Relaxed)),
            window: spec.window.max(1),
            held_up: AtomicU32::new(0),
            watched: Mutex::default(),
            is_watched: spec.callback_timeout.is_some(),
            file: match spec.plugin.as_str() {
                "" => spec.program.clone(),
                plugin => plugin.into(),
            },
            last: Last::default(),
        });
        // Before the process is there: it knows by them who has started it.
        let greeting = ToNode::Greeting(Greeting {
            wire: VERSION,
            record: RECORD.as_bytes(),
        });
        let written = instance.channel.send(&greeting);
        written.map_err(|error| failed("the connection to it", &error))?;
        let exited = instance.clone();
        let process = spawn.spawn(theirs, end, Box::new(move |how| exited.exited(how)))?;
        *lock(&instance.process) = Some(process);
        let create = ToNode::Create(Box::new(instance.create(spec, end, object.name())));
        let written = instance.channel.put_with(&create, object);
        written.map_err(|error| failed("the node to be made", &error))?;
        let (reading, of_reader, program) = (instance.clone(), end.clone(), spec.program.clone());
        let started = std::thread::Builder::new()
            .name(format!("wire of {}", end.node()))
            .spawn(move || reader::run(&reading, incoming, &of_reader, &program));
        if let Err(error) = started {
            instance.kill();
            return Err(failed("no thread to read from it", &error));
        }
        if let Some(most) = spec.callback_timeout {
            let (watched, alive) = mpsc::channel();
            *lock(&instance.watched) = Some(watched);
            if let Err(error) = watch::start(&instance, most, end, alive) {
                instance.kill();
                return Err(failed("no thread to watch it", &error));
            }
            if instance.state().exit.is_some() {
                // Already, and nobody was watching.
                lock(&instance.watched).take();
            }
        }
        Ok(instance)
    }

    fn create(&self, spec: &NativeSpec, end: &OutsideEnd, page: u128) -> Create {
        Create {
            node_id: end.node().to_string(),
            dataflow_id: end.dataflow().to_string(),
            plugin: spec.plugin.clone(),
            kind: spec.kind.clone(),
            config: spec.config.clone(),
            inputs: end.inputs().to_vec(),
            outputs: end.outputs().to_vec(),
            restart_count: end.restart_count(),
            level: self.level.load(Ordering::Relaxed),
            window: self.window,
            clock: *Uuid::now_v7().as_bytes(),
            page,
        }
    }

    /// Waits until the node has been made.
    pub(super) fn make(&self, spec: &NativeSpec, end: &OutsideEnd) -> Result<(), NodeFailure> {
        let program = spec.program.display();
        self.write_all(&|| self.is_stopping() || end.is_stopping() || self.state().silent);
        let until = Instant::now() + spec.start_timeout;
        let mut state = lock(&self.state);
        loop {
            if let Some(Err(failure)) = &state.hello {
                return Err(failure.clone());
            }
            if let Some(made) = state.made.clone() {
                state.known = made.is_ok();
                drop(state);
                self.tell(end);
                return made.map_err(|failure| match failure.panicked {
                    true => self.reported(failure, end),
                    false => failure,
                });
            }
            if self.is_stopping() || end.is_stopping() {
                return Err(NodeFailure::new("asked to stop while it was made"));
            }
            // Its own words come first, its end when there are none.
            if state.silent && state.exit.is_some() {
                let failure = self.without_words(&state, end);
                drop(state);
                return Err(self.reported(failure, end));
            }
            if state.hello.is_none() && !state.silent && Instant::now() >= until {
                return Err(NodeFailure::new(format!(
                    "{program}: has not answered within {:?}; is it a node of dora?",
                    spec.start_timeout
                )));
            }
            state = self.wait(state);
        }
    }

    /// Why a process has ended that has not said how its node has.
    pub(super) fn without_words(&self, state: &State, end: &OutsideEnd) -> NodeFailure {
        let Some(exit) = &state.exit else {
            return NodeFailure::new("its process has closed the connection and does not end");
        };
        if let Some(hung) = &state.hung {
            return NodeFailure {
                causes: exit.causes.clone(),
                ..NodeFailure::new(format!("its process {hung}"))
            };
        }
        let (how, within) = (&exit.how, reader::within(&self.page, end.inputs()));
        let text = match exit.crashed {
            true => format!("its process ended with {how}{within}"),
            false => format!("its process ended with {how}{within}; a node must not call exit"),
        };
        NodeFailure {
            causes: exit.causes.clone(),
            ..NodeFailure::new(text)
        }
    }

    /// A panic, or a failure of a process that has not said how its node has ended, with the place of a report; not of one
    /// that has had its time.
    pub(super) fn reported(&self, mut failure: NodeFailure, end: &OutsideEnd) -> NodeFailure {
        let state = self.state();
        let crashed = state.exit.is_some() && (state.hung.is_some() || !self.is_stopping());
        drop(state);
        if crashed || failure.panicked {
            let crash = Crash {
                how: match failure.panicked {
                    true => failure.to_string(),
                    false => failure.text.clone(),
                },
                code: plugin::about_file(&self.file),
                message: self.last.get(end.inputs()),
                trace: match failure.panicked {
                    true => std::mem::take(&mut failure.frames),
                    false => failure.causes.clone(),
                },
            };
            if let Some(place) = end.crashed(crash) {
                failure.causes.insert(0, place);
            }
        }
        failure
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state, for those who wait for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits for a change, or a while.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait_timeout(state, LOOK);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// It takes more messages; `true` when it took none before.
    pub(super) fn grant(&self, messages: u32) -> bool {
        let (most, mut before) = (self.window, 0);
        self.change(|state| {
            before = state.credits;
            state.credits = state.credits.saturating_add(messages).min(most);
        });
        before == 0
    }

    /// Takes one message's credit, and says how many are left.
    fn spend(&self) -> u32 {
        let mut state = self.state();
        state.credits = state.credits.saturating_sub(1);
        state.credits
    }

    /// The instance has ended. The engine is told when it knows the instance, and once.
    pub(super) fn over(&self, result: Result<(), NodeFailure>, end: &OutsideEnd) {
        self.change(|state| state.result = Some(result));
        self.tell(end);
        self.change(|state| state.over = true);
    }

    fn tell(&self, end: &OutsideEnd) {
        let mut state = self.state();
        let result = if state.known {
            state.result.take()
        } else {
            None
        };
        drop(state);
        if let Some(result) = result {
            end.ended(result);
        }
    }

    /// Its thread that reads may wait now for a reader of the node's, or goes on.
    pub(super) fn held_up(&self) {
        self.held_up.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the node has waited for its readers; nothing while it does.
    pub(super) fn waits(&self) -> Option<u64> {
        let (here, there) = (self.held_up.load(Ordering::Relaxed), self.page.waits());
        let waiting = here % 2 == 1 || there % 2 == 1;
        (!waiting).then(|| u64::from(here) << 32 | u64::from(there))
    }

    /// Its node is stuck: the process is ended, and that is told with this text.
    pub(super) fn hangs(&self, text: &str) {
        self.change(|state| state.hung = Some(text.to_owned()));
        if let Some(process) = &*lock(&self.process) {
            process.end(text, self.page.thread());
        }
        self.stop();
    }

    fn exited(&self, how: ProcessEnd) {
        lock(&self.watched).take();
        // What it has written is read to its end, also when something that it has started holds the connection open.
        self.channel.interrupt();
        self.change(|state| state.exit = Some(how));
    }

    /// Its node has ended, or was not made.
    pub(super) fn node_ended(&self) {
        if let Some(process) = &*lock(&self.process) {
            process.node_ended();
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Whoever waits for the node returns.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Ends the process by force.
    pub(super) fn kill(&self) {
        if let Some(process) = &*lock(&self.process) {
            process.kill();
        }
        self.stop();
    }

    /// Tells the node whether an output is read. Never waits.
    pub(super) fn wanted(&self, output: u32, wanted: bool) {
        self.soon(&ToNode::Wanted { output, wanted });
    }

    /// Tells the node which lines of its log are wanted, if that has changed. Never waits.
    pub(super) fn level(&self, end: &OutsideEnd) {
        let level = end.level().load(Ordering::Relaxed);
        if self.level.swap(level, Ordering::Relaxed) != level {
            self.soon(&ToNode::Level(level));
        }
    }

    fn soon<'a>(&self, frame: &impl Frame<'a>) {
        // One that has ended hears nothing; how it ended comes the other way.
        let _ = self.channel.send_soon(frame);
    }

    pub(super) fn go(&self) {
        let _ = self.channel.send(&ToNode::Go);
    }

    /// Gives it a message, and returns when it takes the next one: a message stays in its queue, where its policy rules and
    /// where the next instance finds it, until then. Not after its end or a request to stop.
    pub(super) fn input(&self, input: u32, message: &Message) -> Result<(), WireError> {
        if !self.wait_for_credit() {
            return Ok(());
        }
        self.last.set(input, message);
        // Before it is put: somebody else may write it at once, and the node's credit for it comes back.
        let left = self.spend();
        let give_up = || self.is_stopping() || self.state().silent;
        let put = self.channel.put_message(input, message, &give_up);
        if let Err(error @ WireError::Encode(_)) = put {
            self.grant(1);
            return Err(error);
        }
        if left == 0 {
            // It gives credit for what it has got.
            self.flush();
            self.wait_for_credit();
        }
        Ok(())
    }

    /// Gives it a message at once, on any thread, if it takes one and nothing is to be written before it.
    pub(super) fn pass(&self, input: u32, message: &Message) -> Passed {
        let mut state = self.state();
        if state.credits == 0 || state.over || self.is_stopping() {
            return Passed::No;
        }
        // Before it is written: the node's credit for it comes back.
        state.credits -= 1;
        let left = state.credits;
        drop(state);
        self.last.set(input, message);
        match self.channel.try_message(input, message) {
            Ok(Attempt::Written { whole }) => Passed::Through {
                full: left == 0,
                behind: !whole,
            },
            // What is wrong with the message or the connection its own thread finds out, and says.
            Ok(Attempt::NotNow) | Err(_) => {
                self.grant(1);
                Passed::No
            }
        }
    }

    /// Waits until it takes a message; `false` when it takes none any more.
    fn wait_for_credit(&self) -> bool {
        let mut state = self.state();
        loop {
            if self.is_stopping() || state.over {
                return false;
            }
            if state.credits > 0 {
                return true;
            }
            state = self.wait(state);
        }
    }

    pub(super) fn closed(&self, input: u32) {
        let _ = self.channel.put(&ToNode::Closed(input));
    }

    /// Its last event.
    pub(super) fn last(&self, why: Stop) {
        let _ = self.channel.put(&ToNode::Stop(why));
        if is_asked(why) {
            // The engine counts the time from here on, and nothing else follows.
            self.write_all(&|| self.state().silent);
        } else {
            self.flush();
        }
    }

    /// Writes what was put together.
    pub(super) fn flush(&self) {
        self.write_all(&|| self.is_stopping() || self.state().silent);
    }

    fn write_all(&self, give_up: &dyn Fn() -> bool) {
        let _ = self.channel.flush(give_up);
    }
}
