//! Unmodified dora nodes as nodes outside of the engine.
//!
//! An instance is a process that is started, connects to the server and subscribes; then its seat in the engine hands it
//! events, and what it sends goes into the engine. A dynamic node's process is somebody else's: there is an instance at
//! once, and messages are dropped until it has connected. Invariant: an instance's end is told after all that its process
//! has sent; no process outlives its node. Absent: sockets (`server`), processes (`child`).

mod descriptor;
mod direct;
mod events;
mod instance;
mod outgoing;
mod registry;
mod start;
mod watch;

pub use descriptor::dora_descriptor;
pub use direct::{Counter, Direct, plan as direct_plan};
pub use registry::{Registry, Say};

use super::launch::{Launch, LaunchInput};
use super::words::NodeEvent;
use crate::descriptor::{Node, QueuePolicy, RestartPolicy};
use crate::engine::{Body, Ending, Outside, OutsideCounts, OutsideEnd, OutsideEvent, Upstream};
use crate::ids::{DataflowId, NodeId, PortName};
use crate::logs::Stream;
use crate::process::child::{Child, Hooks, Launch as Command};
use crate::process::lines::Lines;
use crate::process::program::Problem;
use crate::sys::leftovers;
use crate::tail::Tail;

use instance::{Instance, NotBegun};
use plugin_abi::hosting::NodeFailure;
use plugin_abi::node::Stop;
use serde_json::Value;
use start::{failed, is_frame, outcome, reported, set_environment};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a process may take to subscribe: it may install packages or load a model before.
pub const START: Duration = Duration::from_secs(300);
/// After so long without a subscription, the log says what is waited for.
const UNUSUAL: Duration = Duration::from_secs(15);
/// How long a process that was refused may take to say so and end.
const REFUSED: Duration = Duration::from_secs(5);
/// Lines of standard error that are kept for the message about a failure.
const LAST_WORDS: usize = 12;
/// How long the connections of a process that has ended may stay: somebody else holds them.
const DETACH: Duration = Duration::from_secs(5);
/// What a process that has not stopped in time has between the request of the system and its force.
const KILL: Duration = Duration::from_secs(5);
/// Messages that a node itself may queue on an input with `backpressure`: it must not drop any, and 0.x nodes know no
/// other way to say so.
const LOSSLESS_QUEUE: usize = 1_000_000;

/// Where nodes connect.
pub trait Port: Send + Sync + std::fmt::Debug {
    /// The address for a node; dynamic ones look at a certain port.
    ///
    /// # Errors
    /// Why there is none.
    fn address(&self, dynamic: bool) -> Result<SocketAddr, String>;

    /// Ends a node's connections.
    fn dismiss(&self, dataflow: DataflowId, node: &NodeId);
}

/// A dora node, and how it is run. Any thread.
pub struct DoraNode {
    node: Node,
    /// `None` for one that somebody else starts.
    command: Option<Command>,
    /// What the node may read of its dataflow.
    descriptor: Arc<Value>,
    direct: Direct,
    registry: Arc<Registry>,
    port: Arc<dyn Port>,
    start: Duration,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    halted: bool,
    instance: Option<Arc<Instance>>,
    child: Option<Arc<Child>>,
}

impl DoraNode {
    /// A node that is run by `command`; without one somebody else starts it. `descriptor` is what
    /// [`dora_descriptor`] makes, `direct` what [`direct_plan`] does.
    pub fn new(
        node: &Node,
        command: Option<Command>,
        descriptor: Arc<Value>,
        direct: Direct,
        registry: Arc<Registry>,
        port: Arc<dyn Port>,
    ) -> Self {
        Self {
            node: node.clone(),
            command,
            descriptor,
            direct,
            registry,
            port,
            start: START,
            current: Mutex::default(),
        }
    }

    /// The same with another time for its process to subscribe.
    pub fn starting_within(self, start: Duration) -> Self {
        Self { start, ..self }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        lock(&self.current)
    }

    fn launch(&self, end: &OutsideEnd) -> Result<Launch, String> {
        let dynamic = self.command.is_none();
        let inputs = self.node.inputs.iter().map(|(name, spec)| LaunchInput {
            input: name.clone(),
            source: spec.source.to_string(),
            queue: match spec.policy {
                QueuePolicy::Backpressure => LOSSLESS_QUEUE,
                _ => spec.queue_size.get(),
            },
        });
        Ok(Launch {
            dataflow: end.dataflow(),
            node: end.node().clone(),
            inputs: inputs.collect(),
            outputs: self.outputs(),
            address: self.port.address(dynamic)?,
            descriptor: Value::clone(&self.descriptor),
            dynamic,
            restarts: end.restart_count(),
            direct: self.direct.readers.clone(),
        })
    }

    /// What the node itself sends.
    fn outputs(&self) -> Vec<PortName> {
        let listed = self.node.outputs.iter().flatten();
        listed.map(|output| output.value.clone()).collect()
    }

    /// Starts the process, whose end the instance is told.
    fn spawn(
        &self,
        command: &Command,
        launch: &Launch,
        instance: &Arc<Instance>,
    ) -> Result<Arc<Child>, String> {
        let mut command = command.clone();
        set_environment(&mut command, launch, &self.direct);
        let (ending, port) = (instance.clone(), self.port.clone());
        let lines = Lines::new(instance.end.clone(), &self.node.logs);
        let said = Arc::new(Mutex::new(Tail::new(LAST_WORDS)));
        let (last_words, program) = (said.clone(), command.program.clone());
        let hooks = Hooks {
            on_line: Box::new(move |stream, line| {
                if stream == Stream::Stderr && !is_frame(line) {
                    lock(&said).push(line);
                }
                lines.take(stream, line);
            }),
            on_exit: Box::new(move |exit| {
                if !ending.wait_until_detached(DETACH) {
                    // A descendant holds them.
                    port.dismiss(ending.end.dataflow(), ending.end.node());
                    ending.wait_until_detached(DETACH);
                }
                // Of itself, and of those before it whose memory it had mapped; not all that end well clean up.
                leftovers::sweep_sessions();
                let (said, _) = lock(&last_words).clone().into_lines();
                let outcome = outcome(&exit, ending.refusal(), &said);
                let crashed = exit.crash().is_some() && !exit.killed;
                ending.exited(match crashed {
                    true => outcome.map_err(|failure| reported(failure, &program, &ending.end)),
                    false => outcome,
                });
            }),
        };
        let child = Child::spawn(&command, hooks);
        let child = child.map_err(|error| Problem::of_start(&command, &error).to_string());
        child.map(Arc::new)
    }

    /// Waits until the process has subscribed.
    fn begun(&self, instance: &Instance) -> Result<(), NodeFailure> {
        let mut result = instance.begun(UNUSUAL.min(self.start));
        if matches!(result, Err(NotBegun::Late)) {
            let text = format!(
                "its process has made no dora node for {UNUSUAL:?}, and nothing begins before; it has {:?} altogether",
                self.start
            );
            instance.end.warn(&text);
            result = instance.begun(self.start.saturating_sub(UNUSUAL));
        }
        match result {
            Ok(()) => Ok(()),
            Err(NotBegun::Exited(Err(failure))) => Err(NodeFailure {
                text: match instance.refusal() {
                    Some(_) => failure.text,
                    None => format!("exited before initializing dora: {}", failure.text),
                },
                ..failure
            }),
            Err(NotBegun::Exited(Ok(()))) => Err(failed(
                "exited before initializing dora, with exit code 0: a program in `path` must make a dora node",
            )),
            Err(NotBegun::Refused(text)) => {
                // It says so itself, too.
                instance.wait_for_exit(REFUSED);
                Err(failed(text))
            }
            Err(NotBegun::Halted) => Err(failed("stopped before it had connected")),
            Err(NotBegun::Late) => Err(failed(format!(
                "its process has not connected within {:?}: no dora node was made in it",
                self.start
            ))),
        }
    }

    /// Ends the process: asks it, and kills it when it has not ended in a while.
    fn end_by_force(child: Arc<Child>, instance: Arc<Instance>) {
        if instance.wait_for_exit(Duration::ZERO) {
            return;
        }
        child.terminate();
        let waiting = child.clone();
        let wait = move || {
            if !instance.wait_for_exit(KILL) {
                waiting.kill();
            }
        };
        let thread = std::thread::Builder::new().name("dora-kill".to_owned());
        if thread.spawn(wait).is_err() {
            child.kill();
        }
    }
}

impl Outside for DoraNode {
    fn create(&self, end: OutsideEnd) -> Result<Box<dyn Body>, NodeFailure> {
        let launch = self.launch(&end).map_err(failed)?;
        let mut closing = match self.node.restart.policy {
            RestartPolicy::Never => launch.outputs.clone(),
            // The next instance sends on them.
            _ => Vec::new(),
        };
        // What it has printed may come later than its word that it sends no more.
        closing.retain(|output| !self.node.runtime_outputs().any(|other| other == output));
        let instance = Instance::new(end, launch.dynamic, &closing, self.direct.sent.clone());
        let instance = instance.map_err(|error| failed(format!("no thread: {error}")))?;
        {
            let mut current = self.current();
            current.instance = Some(instance.clone());
            if current.halted {
                instance.halt();
            }
        }
        let session = self.direct.port;
        self.registry
            .expect(instance.clone(), launch.clone(), session);
        let body = DoraBody {
            instance: instance.clone(),
            registry: self.registry.clone(),
        };
        let Some(command) = &self.command else {
            instance.begin_without_connection();
            return Ok(Box::new(body));
        };
        let child = self.spawn(command, &launch, &instance).map_err(failed)?;
        self.current().child = Some(child.clone());
        match self.begun(&instance) {
            Ok(()) => {
                if let Some(most) = self.node.health_check_timeout {
                    let watched = watch::start(&instance, &child, most);
                    watched.map_err(|error| failed(format!("no thread: {error}")))?;
                }
                Ok(Box::new(body))
            }
            Err(failure) => {
                child.kill();
                Err(failure)
            }
        }
    }

    fn stop(&self) {
        let mut current = self.current();
        current.halted = true;
        if let Some(instance) = &current.instance {
            instance.halt();
        }
    }

    fn upstream(&self, news: Upstream<'_>) {
        let Some(instance) = self.current().instance.clone() else {
            return;
        };
        instance.tell(match news {
            Upstream::Failed {
                node,
                inputs,
                error,
            } => NodeEvent::NodeFailed {
                node: node.clone(),
                inputs: inputs.iter().filter_map(|it| it.parse().ok()).collect(),
                error: error.to_owned(),
            },
            Upstream::Restarts { node } => NodeEvent::NodeRestarted { node: node.clone() },
        });
    }

    fn is_optional(&self) -> bool {
        self.command.is_none()
    }

    fn counts(&self) -> OutsideCounts {
        let counted = |counters: &BTreeMap<PortName, Counter>| {
            let counters = counters.iter();
            counters
                .map(|(name, count)| (name.to_string(), count.get()))
                .collect()
        };
        OutsideCounts {
            taken: counted(&self.direct.taken),
            sent: counted(&self.direct.sent),
            ..OutsideCounts::default()
        }
    }

    fn retire(&self, _: &Ending) {
        let mut current = self.current();
        let (instance, child) = (current.instance.take(), current.child.take());
        drop(current);
        let Some(instance) = instance else {
            return;
        };
        self.registry.forget(&instance);
        match child {
            Some(child) => Self::end_by_force(child, instance),
            None => self
                .port
                .dismiss(instance.end.dataflow(), instance.end.node()),
        }
    }
}

impl std::fmt::Debug for DoraNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoraNode")
            .field("node", &self.node.id)
            .finish_non_exhaustive()
    }
}

/// The seat's side of an instance.
struct DoraBody {
    instance: Arc<Instance>,
    registry: Arc<Registry>,
}

impl Body for DoraBody {
    fn go(&mut self) {
        self.instance.go();
    }

    fn event(&mut self, event: OutsideEvent<'_>) {
        match event {
            OutsideEvent::Input { input, message } => self.instance.deliver(input, message),
            OutsideEvent::InputClosed { input } => self.instance.input_closed(input),
            OutsideEvent::Stop(Stop::Requested) => self.instance.last(NodeEvent::Stop),
            OutsideEvent::Stop(Stop::InputsClosed) => {
                self.instance.last(NodeEvent::AllInputsClosed);
            }
        }
    }

    fn idle(&mut self) {
        self.instance.flush();
    }
}

impl Drop for DoraBody {
    fn drop(&mut self) {
        self.registry.forget(&self.instance);
        self.instance.dropped();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
