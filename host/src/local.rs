//! A dataflow's nodes in this process: the engine, the log and the loader joined, without sockets.
//!
//! Invariant: every line of the nodes, of their libraries and of the engine goes to the one hub. Absent: the command
//! line, and other machines' nodes (`daemon`).

mod called;
mod died;

use crate::descriptor::{Descriptor, LogLevel, Node, Source};
use crate::engine::{
    Calls, Command, Crash, Dataflow, EngineLog, LogInput, LogOutput, Plan, Report, StartError,
};
use crate::ids::{DataflowId, MachineId, NodeId};
use crate::logs::{CrashReport, Level, Limit, LogHub, Origin, Record, Rotation, Selection};
use crate::plugin::preflight::Isolation;
use crate::plugin::{self, Loader, LoaderOptions};
use crate::process::dora::outside::Say;
use crate::process::processes::Processes;
use crate::process::{LaunchOptions, Launcher};
use called::Called;
pub use died::{pointing, report_of};
use plugin_abi::hosting::LogLine;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::SystemTime;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

/// The loader of this process's plugins; the lines of their libraries go to the hub.
pub fn loader(hub: &LogHub) -> Loader {
    let lines = hub.clone();
    Loader::new(LoaderOptions {
        isolation: Isolation::Shared,
        in_place: plugin::in_place_wanted(),
        level: hub.level_for(None, None),
        log: Arc::new(move |library, line| {
            let origin = Origin {
                library: Some(library.to_owned()),
                ..Origin::default()
            };
            lines.submit(Record::logged(line, origin, SystemTime::now()));
        }),
    })
}

/// What runs nodes outside this process; what concerns no node of a dataflow goes to the hub.
pub fn launcher(options: LaunchOptions, hub: &LogHub) -> Launcher {
    let lines = hub.clone();
    let say: Say = Arc::new(move |level, text| {
        lines.submit(Record::new(Level::from_number(level), "dora", text));
    });
    let clock = *uuid::Uuid::now_v7().as_bytes();
    let mut nodes = Processes::new(options.versions, clock, say);
    if let Some(start) = options.start_timeout {
        nodes = nodes.starting_within(start);
    }
    let lines = hub.clone();
    let printed = move |stream, line: &str| {
        let record = Record::printed(stream, line, Origin::default(), SystemTime::now());
        lines.submit(record);
    };
    Launcher::new(options, nodes, Arc::new(printed))
}

/// Runs a prepared dataflow to its end. Commands come from the receiver.
///
/// # Errors
/// The system gives no threads.
pub async fn run(
    id: DataflowId,
    descriptor: &Descriptor,
    plan: &Plan,
    hub: &LogHub,
    commands: Receiver<Command>,
) -> Result<Report, StartError> {
    let log = DataflowLog::new(hub, id, None, &descriptor.nodes);
    let dataflow = Dataflow::start(id, plan, log.for_engine())?;
    let feeds = log.feed(&dataflow);
    let report = dataflow.run(commands).await;
    drop(feeds);
    log.ended();
    Ok(report)
}

/// The log of one dataflow.
#[derive(Debug, Clone)]
pub(crate) struct DataflowLog {
    hub: LogHub,
    id: DataflowId,
    machine: Option<MachineId>,
    called: Arc<Called>,
}

/// Log lines on their way to the nodes that read them; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Feeds(#[allow(dead_code)] JoinSet<()>); // Held for its end only.

impl DataflowLog {
    /// Prepares the hub for a dataflow's nodes on this machine.
    pub fn new(hub: &LogHub, id: DataflowId, machine: Option<MachineId>, nodes: &[Node]) -> Self {
        for node in nodes {
            configure(hub, id, node);
        }
        let hub = hub.clone();
        let mut log = Self {
            hub,
            id,
            machine,
            called: Arc::new(Called::start(&[], Box::new(|_, _| {}))),
        };
        let says = log.clone();
        let say = move |node: &NodeId, text: &str| says.say(Level::Warn, Some(node), text);
        log.called = Arc::new(Called::start(nodes, Box::new(say)));
        log
    }

    /// The engine's side of it.
    pub fn for_engine(&self) -> Arc<dyn EngineLog> {
        Arc::new(self.clone())
    }

    /// Feeds the dataflow's inputs and outputs of log lines with those of this machine's nodes. Within a runtime.
    pub fn feed(&self, dataflow: &Dataflow) -> Feeds {
        let mut feeds = JoinSet::new();
        for input in dataflow.log_inputs() {
            feeds.spawn(feed(self.hub.clone(), self.id, input));
        }
        for output in dataflow.log_outputs() {
            feeds.spawn(send_lines(self.hub.clone(), self.id, output));
        }
        Feeds(feeds)
    }

    /// Says something about the dataflow, or about one of its nodes.
    pub fn say(&self, level: Level, node: Option<&NodeId>, text: impl Into<String>) {
        let record = Record::new(level, "dora", text);
        self.hub.submit(record.by(self.origin(node)));
    }

    /// All has been said.
    pub fn ended(&self) {
        self.hub.dataflow_ended(self.id.uuid());
    }

    fn origin(&self, node: Option<&NodeId>) -> Origin {
        Origin {
            dataflow: Some(self.id.uuid()),
            node: node.map(ToString::to_string),
            machine: self.machine.as_ref().map(ToString::to_string),
            ..Origin::default()
        }
    }
}

/// What a node's descriptor says of its log.
fn configure(hub: &LogHub, id: DataflowId, node: &Node) {
    if let Some(limit) = node.logs.min_level.and_then(limit_of) {
        hub.set_node_limit(id.uuid(), node.id.as_str(), limit);
    }
    if node.logs.max_size.is_some() || node.logs.max_rotated_files.is_some() {
        let usual = Rotation::default();
        let rotation = Rotation {
            max_bytes: node.logs.max_size.map_or(usual.max_bytes, NonZeroU64::get),
            files: node
                .logs
                .max_rotated_files
                .map_or(usual.files, |older| older.saturating_add(1)),
        };
        hub.set_node_rotation(id.uuid(), node.id.as_str(), rotation);
    }
}

/// Sends log lines to an input that reads `dora/logs`.
async fn feed(hub: LogHub, id: DataflowId, input: LogInput) {
    let Source::Logs { level, node } = &input.source else {
        return;
    };
    let mut lines = hub.subscribe(Selection {
        limit: level.and_then(limit_of),
        dataflow: Some(id.uuid()),
        node: node.as_ref().map(ToString::to_string),
        except: Some(input.node.to_string()),
    });
    while let Some(record) = lines.recv().await {
        input.push(&record.to_json());
    }
}

/// Sends a node's own log lines on its output.
async fn send_lines(hub: LogHub, id: DataflowId, output: LogOutput) {
    let mut lines = hub.subscribe(Selection {
        dataflow: Some(id.uuid()),
        node: Some(output.node.to_string()),
        ..Selection::default()
    });
    while let Some(record) = lines.recv().await {
        output.send(&record.to_json());
    }
}

/// `stdout` stands for everything, printed lines included, which is what no limit means.
pub(crate) fn limit_of(level: LogLevel) -> Option<Limit> {
    let level = match level {
        LogLevel::Stdout => return None,
        LogLevel::Trace => Level::Trace,
        LogLevel::Debug => Level::Debug,
        LogLevel::Info => Level::Info,
        LogLevel::Warn => Level::Warn,
        LogLevel::Error => Level::Error,
    };
    Some(Limit::to(level))
}

impl EngineLog for DataflowLog {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        let origin = self.origin(Some(node));
        self.hub
            .submit(Record::logged(line, origin, SystemTime::now()));
    }

    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str) {
        self.say(Level::from_number(level), node, text);
    }

    fn hosts(&self, node: &NodeId, inputs: &[String], code: &str) {
        self.called.hosts(self.id, node, inputs, code);
    }

    fn crashed(&self, node: &NodeId, crash: Crash) -> Option<String> {
        let report = CrashReport {
            dataflow: self.id.uuid(),
            node: node.to_string(),
            machine: self.machine.as_ref().map(ToString::to_string),
            time: SystemTime::now(),
            how: crash.how,
            code: match self.called.code(node) {
                Some(code) => code.to_owned(),
                None => crash.code,
            },
            message: crash.message.map(|message| message.to_string()),
            trace: crash.trace,
        };
        let path = self.hub.report(report)?;
        Some(format!("see {}", path.display()))
    }

    fn calls(&self, node: &NodeId) -> Option<Arc<dyn Calls>> {
        self.called.of(node)
    }

    fn level(&self, node: &NodeId) -> Arc<AtomicU32> {
        self.hub
            .level_for(Some(self.id.uuid()), Some(node.as_str()))
    }
}
