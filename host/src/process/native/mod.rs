//! A node that is a process of its own and speaks our wire: the daemon's side.
//!
//! Invariant: an instance has ended for the engine when its process has ended and all that it sent has been handed on; a
//! process that does not end when its node has is ended by force. Absent: how a process is made ([`Spawn`]), and what is
//! started.

mod instance;
mod own;
mod reader;
mod watch;

pub use own::OwnProcess;

use crate::engine::{Body, Door, Ending, Outside, OutsideCounts, OutsideEnd, OutsideEvent, Passed};
use instance::Instance;
pub use instance::RECORD;
use plugin_abi::hosting::{NodeFailure, Room};
use plugin_abi::message::Message;
use plugin_abi::node::Stop;
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::sys::Object;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Messages that a node may be given ahead when all of its inputs wait for it anyway (`queue_policy: backpressure`). For
/// any other node it is 1: a message that has left the queue cannot be dropped by its policy.
pub const AHEAD: u32 = 32;

/// Makes the process of a node. Any thread.
pub trait Spawn: Send + Sync + fmt::Debug {
    /// Starts the process with its end of the connection, as its standard input if it is a process of its own. `ended` is to be called once, on any thread, when it has ended and
    /// what it has printed has been read. `end` takes what it prints.
    ///
    /// # Errors
    /// Why there is no process; `ended` is not called then.
    fn spawn(
        &self,
        connection: Object,
        end: &OutsideEnd,
        ended: OnEnd,
    ) -> Result<Box<dyn Process>, NodeFailure>;
}

/// Told how a process has ended.
pub type OnEnd = Box<dyn FnOnce(ProcessEnd) + Send>;

/// A process that runs. Dropping it may end it.
pub trait Process: Send {
    /// Its node has said that it has ended, or that it could not be made: a process of its own ends by itself now.
    fn node_ended(&self) {}

    /// Ends it, and all that it has started, by force. Never waits; may be called again.
    fn kill(&self);

    /// As [`Process::kill`], also where others need it: its node is stuck, which is told with this text. First its thread
    /// says where it is, if it can be asked, which may take a moment.
    fn end(&self, why: &str, thread: Option<u32>);
}

/// How a process has ended.
#[derive(Debug, Clone)]
pub struct ProcessEnd {
    /// In words that follow "ended with": `exit code 3`, `SIGSEGV`.
    pub how: String,
    /// By itself, with the code 0.
    pub success: bool,
    /// A crash or a signal, that is, not by its own code's will.
    pub crashed: bool,
    /// The node whose callback has crashed it, if it says so.
    pub node: Option<String>,
    /// What to say beside it, such as the last lines of its standard error.
    pub causes: Vec<String>,
}

/// What node is to be run.
#[derive(Debug, Clone)]
pub struct NativeSpec {
    /// The program, for messages.
    pub program: PathBuf,
    /// The plugin's file, when the program is a host process; else nothing.
    pub plugin: String,
    /// The node kind; nothing where there is only one.
    pub kind: String,
    /// The config: JSON text.
    pub config: String,
    /// How many messages it may be given ahead: 1, or [`AHEAD`].
    pub window: u32,
    /// How long the process may take until it answers the greeting. What its node does to be made takes as long as it
    /// takes.
    pub start_timeout: Duration,
    /// How long a callback may take, if there is an end to it.
    pub callback_timeout: Option<Duration>,
}

/// A node that is a process of its own. Each instance is a new process.
pub struct Native {
    spec: NativeSpec,
    spawn: Arc<dyn Spawn>,
    pool: Pool,
    stopped: AtomicBool,
    /// By output: whether anybody reads it, as far as it was said.
    wanted: Mutex<BTreeMap<u32, bool>>,
    current: Mutex<Option<Arc<Instance>>>,
    counts: Arc<Mutex<OutsideCounts>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Native {
    /// The node, whose long messages lie in `pool`: all nodes of a process share one.
    pub fn new(spec: NativeSpec, spawn: Arc<dyn Spawn>, pool: Pool) -> Self {
        Self {
            spec,
            spawn,
            pool,
            stopped: AtomicBool::new(false),
            wanted: Mutex::default(),
            current: Mutex::default(),
            counts: Arc::default(),
        }
    }

    fn current(&self) -> Option<Arc<Instance>> {
        lock(&self.current).clone()
    }
}

impl Outside for Native {
    fn create(&self, end: OutsideEnd) -> Result<Box<dyn Body>, NodeFailure> {
        let instance = Instance::start(&self.spec, &*self.spawn, &self.pool, &end, &self.counts)?;
        *lock(&self.current) = Some(instance.clone());
        if self.stopped.load(Ordering::Acquire) {
            instance.stop();
        }
        let made = instance.make(&self.spec, &end);
        if let Err(failure) = made {
            instance.kill();
            return Err(failure);
        }
        for (output, wanted) in &*lock(&self.wanted) {
            instance.wanted(*output, *wanted);
        }
        Ok(Box::new(Running { instance, end }))
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(instance) = self.current() {
            instance.stop();
        }
    }

    fn retire(&self, _ending: &Ending) {
        // One that has ended is not there any more; any other has had its time.
        if let Some(instance) = self.current() {
            instance.kill();
        }
    }

    fn wanted(&self, output: u32, wanted: bool) {
        lock(&self.wanted).insert(output, wanted);
        if let Some(instance) = self.current() {
            instance.wanted(output, wanted);
        }
    }

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        self.pool.room(len)
    }

    fn counts(&self) -> OutsideCounts {
        lock(&self.counts).clone()
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// The running instance, for the node's thread.
struct Running {
    instance: Arc<Instance>,
    end: OutsideEnd,
}

impl Running {
    fn input(&self, input: u32, message: &Message) {
        if let Err(error) = self.instance.input(input, message) {
            let inputs = self.end.inputs();
            let name = inputs.get(input as usize).map_or("?", String::as_str);
            self.end.warn(&format!("input `{name}`: {error}"));
        }
    }
}

impl Body for Running {
    fn go(&mut self) {
        self.instance.go();
    }

    fn event(&mut self, event: OutsideEvent<'_>) {
        self.instance.level(&self.end);
        match event {
            OutsideEvent::Input { input, message } => self.input(input, message),
            OutsideEvent::InputClosed { input } => self.instance.closed(input),
            OutsideEvent::Stop(why) => self.instance.last(why),
        }
    }

    fn idle(&mut self) {
        self.instance.flush();
    }

    fn door(&self) -> Option<Arc<dyn Door>> {
        Some(self.instance.clone())
    }
}

impl Door for Instance {
    fn pass(&self, input: u32, message: &Message) -> Passed {
        Instance::pass(self, input, message)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The engine has done with it: after its end this changes nothing.
        self.instance.kill();
    }
}

/// Whether it was the node that was asked to stop, not its inputs that have ended.
fn is_asked(why: Stop) -> bool {
    why == Stop::Requested
}
