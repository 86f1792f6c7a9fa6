//! A host process that several nodes share: the daemon's side.
//!
//! It is started when the first of its nodes is made, and again when one is made after it has crashed; each instance of a
//! node has a connection of its own. Invariant: an instance's end is told once, when its node has ended or the process
//! has. When all nodes have ended for good the process ends by itself, or by force after [`ENDING`]. Absent: what is said
//! on an instance's connection (`native`), and what the process does (`hosted`).

use super::{HostSpec, ToHost};
use crate::engine::{Body, Ending, Outside, OutsideCounts, OutsideEnd};
use crate::ids::DataflowId;
use crate::logs::Stream;
use crate::process::child::{Child, Hooks, Launch};
use crate::process::native::{Native, NativeSpec, OnEnd, Process, ProcessEnd, RECORD, Spawn};
use crate::process::program::Problem;
use plugin_abi::hosting::{NodeFailure, Room};
use plugin_abi::wire::VERSION;
use plugin_abi::wire::channel::{Channel, Incoming, Side};
use plugin_abi::wire::frame::{Control, Greeting};
use plugin_abi::wire::memory::Pool;
use plugin_abi::wire::sys::{Object, Stream as Connection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a process may take to end when its nodes have.
const ENDING: Duration = Duration::from_secs(5);

/// Who takes what the process prints: stream and line. Any thread.
pub type OnPrinted = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// A process that several nodes of a dataflow share.
pub struct SharedProcess {
    name: String,
    spec: HostSpec,
    launch: Launch,
    pool: Pool,
    printed: OnPrinted,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    live: Option<Live>,
    /// Counts the processes.
    generation: u64,
    /// Nodes that have ended for good.
    retired: BTreeSet<usize>,
}

struct Live {
    generation: u64,
    child: Arc<Child>,
    control: Arc<Channel>,
    /// Its reading half, on which nothing comes: dropping it would end the connection.
    _incoming: Incoming,
    /// Who is to be told of the end of each node's instance.
    serving: BTreeMap<usize, OnEnd>,
    /// Nodes that are not waited for any more.
    given_up: BTreeSet<usize>,
    /// Which node it was ended for, and why.
    stuck: Option<(usize, String)>,
}

impl SharedProcess {
    /// A process of this name, which is started by `launch` when it is needed.
    pub fn new(
        name: String,
        spec: HostSpec,
        launch: Launch,
        pool: Pool,
        printed: OnPrinted,
    ) -> Arc<Self> {
        Arc::new(Self {
            name,
            spec,
            launch,
            pool,
            printed,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Its node of this index in the specification.
    pub fn node(self: &Arc<Self>, index: usize, spec: NativeSpec) -> Arc<dyn Outside> {
        let place = Place {
            process: self.clone(),
            index,
        };
        Arc::new(SharedNode {
            native: Native::new(spec, Arc::new(place), self.pool.clone()),
            process: self.clone(),
            index,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the process.
    fn start(self: &Arc<Self>, dataflow: DataflowId, state: &mut State) -> Result<(), NodeFailure> {
        let failed = |error: &dyn std::fmt::Display| {
            NodeFailure::new(format!("host process `{}`: {error}", self.name))
        };
        let (stream, theirs) = Connection::pair().map_err(|error| failed(&error))?;
        let (control, incoming) = Channel::new(stream, Side::Daemon, Pool::default());
        // Before the process is there: it knows by them who has started it.
        let greeting = Control::Greeting(Greeting {
            wire: VERSION,
            record: RECORD.as_bytes(),
        });
        control.send(&greeting).map_err(|error| failed(&error))?;
        state.generation += 1;
        let generation = state.generation;
        let (printed, process) = (self.printed.clone(), Arc::downgrade(self));
        let hooks = Hooks {
            on_line: Box::new(move |stream, line| printed(stream, line)),
            on_exit: Box::new(move |exit| {
                if let Some(process) = process.upgrade() {
                    process.exited(generation, &(&exit).into());
                }
            }),
        };
        let child = theirs
            .into_stdin()
            .and_then(|stdin| Child::spawn_with(&self.launch, stdin, hooks));
        let child = child.map_err(|error| failed(&Problem::of_start(&self.launch, &error)))?;
        let live = Live {
            generation,
            child: Arc::new(child),
            control,
            _incoming: incoming,
            serving: BTreeMap::new(),
            given_up: BTreeSet::new(),
            stuck: None,
        };
        let spec = ToHost::Spec(dataflow, Box::new(self.spec.clone()));
        live.order(&spec, None).map_err(|error| failed(&error))?;
        for node in &state.retired {
            live.order(&ToHost::Retire(*node), None)
                .map_err(|error| failed(&error))?;
        }
        state.live = Some(live);
        Ok(())
    }

    /// Has the process serve an instance of a node.
    fn serve(
        self: &Arc<Self>,
        index: usize,
        connection: Object,
        end: &OutsideEnd,
        ended: OnEnd,
    ) -> Result<(), NodeFailure> {
        let mut state = self.state();
        if state.live.is_none() {
            self.start(end.dataflow(), &mut state)?;
        }
        let Some(live) = &mut state.live else {
            return Err(NodeFailure::new("its host process has ended"));
        };
        let served = live.order(&ToHost::Serve(index), Some(connection));
        served
            .map_err(|error| NodeFailure::new(format!("host process `{}`: {error}", self.name)))?;
        live.given_up.remove(&index);
        live.serving.insert(index, ended);
        Ok(())
    }

    /// The process has ended, and with it all of its nodes.
    fn exited(&self, generation: u64, end: &ProcessEnd) {
        let mut state = self.state();
        let ended = state.live.take_if(|live| live.generation == generation);
        drop(state);
        self.changed.notify_all();
        let Some(live) = ended else {
            return;
        };
        for (index, tell) in live.serving {
            let how = format!("{} of its host process `{}`", end.how, self.name);
            let mut end = ProcessEnd { how, ..end.clone() };
            if let Some((stuck, why)) = &live.stuck
                && *stuck != index
                && let Some(node) = self.spec.part.nodes.get(*stuck)
            {
                end.causes
                    .insert(0, format!("node `{}` in it {why}", node.id));
            }
            if let Some(node) = &end.node
                && self
                    .spec
                    .part
                    .nodes
                    .get(index)
                    .is_none_or(|of| of.id.as_str() != node)
            {
                end.causes.insert(0, format!("node `{node}` in it crashed"));
            }
            tell(end);
        }
    }

    /// A node has ended, though the process has not.
    fn node_ended(&self, index: usize) {
        let mut state = self.state();
        let tell = state
            .live
            .as_mut()
            .and_then(|live| live.serving.remove(&index));
        drop(state);
        if let Some(tell) = tell {
            tell(ProcessEnd {
                how: "exit code 0".into(),
                success: true,
                crashed: false,
                node: None,
                causes: Vec::new(),
            });
        }
    }

    /// A node is not waited for any more. The process is ended by force when none of its nodes is.
    fn give_up(&self, index: usize) {
        let mut state = self.state();
        if let Some(live) = &mut state.live
            && live.serving.contains_key(&index)
        {
            live.given_up.insert(index);
            if live.serving.keys().all(|node| live.given_up.contains(node)) {
                live.child.kill();
            }
        }
    }

    /// A node is stuck: the process is ended for it, and all others in it too.
    fn end(&self, index: usize, why: &str, thread: Option<u32>) {
        let mut state = self.state();
        let live = state.live.as_mut();
        let Some(live) = live.filter(|live| live.serving.contains_key(&index)) else {
            return;
        };
        live.stuck.get_or_insert((index, why.to_owned()));
        let child = live.child.clone();
        // Its other nodes go on until it is told.
        drop(state);
        if let Some(thread) = thread {
            child.ask_stack(thread);
        }
        child.kill();
    }

    /// A node has ended for good.
    fn retire(self: &Arc<Self>, index: usize) {
        let mut state = self.state();
        state.retired.insert(index);
        let all = state.retired.len() == self.spec.part.nodes.len();
        let Some(live) = &state.live else {
            return;
        };
        // A process that is gone has no readers either.
        let _ = live.order(&ToHost::Retire(index), None);
        if !all {
            return;
        }
        live.control.close();
        let (generation, child) = (live.generation, live.child.clone());
        drop(state);
        let process = self.clone();
        let thread = std::thread::Builder::new().name("dora-ending".into());
        let waited = thread.spawn({
            let child = child.clone();
            move || process.wait_for_exit(generation, &child)
        });
        if waited.is_err() {
            child.kill();
        }
    }

    fn wait_for_exit(&self, generation: u64, child: &Child) {
        let running = |state: &mut State| {
            let live = state.live.as_ref();
            live.is_some_and(|live| live.generation == generation)
        };
        let waited = self
            .changed
            .wait_timeout_while(self.state(), ENDING, running);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(state);
        if waited.timed_out() {
            child.kill();
        }
    }
}

impl Live {
    fn order(&self, order: &ToHost, connection: Option<Object>) -> Result<(), String> {
        let json = serde_json::to_vec(order).map_err(|error| error.to_string())?;
        let name = connection.as_ref().map_or(0, Object::name);
        let order = Control::Order {
            connection: name,
            json: &json,
        };
        let put = match connection {
            Some(connection) => self.control.put_with(&order, connection),
            None => self.control.put(&order),
        };
        put.and_then(|()| self.control.flush(&|| false))
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

impl std::fmt::Debug for SharedProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedProcess")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Where a node's instances run.
#[derive(Debug, Clone)]
struct Place {
    process: Arc<SharedProcess>,
    index: usize,
}

impl Spawn for Place {
    fn spawn(
        &self,
        connection: Object,
        end: &OutsideEnd,
        ended: OnEnd,
    ) -> Result<Box<dyn Process>, NodeFailure> {
        self.process.serve(self.index, connection, end, ended)?;
        Ok(Box::new(self.clone()))
    }
}

impl Process for Place {
    fn node_ended(&self) {
        self.process.node_ended(self.index);
    }

    fn kill(&self) {
        self.process.give_up(self.index);
    }

    fn end(&self, why: &str, thread: Option<u32>) {
        self.process.end(self.index, why, thread);
    }
}

/// A node of a shared process.
#[derive(Debug)]
struct SharedNode {
    native: Native,
    process: Arc<SharedProcess>,
    index: usize,
}

impl Outside for SharedNode {
    fn create(&self, end: OutsideEnd) -> Result<Box<dyn Body>, NodeFailure> {
        self.native.create(end)
    }

    fn stop(&self) {
        self.native.stop();
    }

    fn retire(&self, ending: &Ending) {
        self.native.retire(ending);
        self.process.retire(self.index);
    }

    fn wanted(&self, output: u32, wanted: bool) {
        self.native.wanted(output, wanted);
    }

    fn room(&self, len: usize) -> Option<Box<dyn Room>> {
        self.native.room(len)
    }

    fn counts(&self) -> OutsideCounts {
        self.native.counts()
    }
}
