//! A dataflow on this machine alone: the engine, the log and the loader joined, without sockets.
//!
//! Invariant: every line of the nodes, of their libraries and of the engine goes to the one hub. Absent: the command
//! line, and other machines.

use crate::descriptor::{Descriptor, LogLevel, Node, Source};
use crate::engine::{Command, Dataflow, EngineLog, LogInput, LogOutput, Plan, Report, StartError};
use crate::ids::{DataflowId, NodeId};
use crate::logs::{Level, Limit, LogHub, Origin, Record, Rotation, Selection};
use crate::plugin::preflight::Isolation;
use crate::plugin::{self, Loader, LoaderOptions};
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
    for node in &descriptor.nodes {
        configure_log(hub, id, node);
    }
    let log = Arc::new(HubLog {
        hub: hub.clone(),
        id,
    });
    let dataflow = Dataflow::start(id, plan, log)?;
    let mut feeds = JoinSet::new();
    for input in dataflow.log_inputs() {
        feeds.spawn(feed(hub.clone(), id, input));
    }
    for output in dataflow.log_outputs() {
        feeds.spawn(send_lines(hub.clone(), id, output));
    }
    let report = dataflow.run(commands).await;
    feeds.abort_all();
    hub.dataflow_ended(id.uuid());
    Ok(report)
}

/// What a node's descriptor says of its log.
fn configure_log(hub: &LogHub, id: DataflowId, node: &Node) {
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
fn limit_of(level: LogLevel) -> Option<Limit> {
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

/// The engine's log of one dataflow, on the hub.
struct HubLog {
    hub: LogHub,
    id: DataflowId,
}

impl HubLog {
    fn origin(&self, node: Option<&NodeId>) -> Origin {
        Origin {
            dataflow: Some(self.id.uuid()),
            node: node.map(ToString::to_string),
            ..Origin::default()
        }
    }
}

impl EngineLog for HubLog {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        self.hub.submit(Record::logged(
            line,
            self.origin(Some(node)),
            SystemTime::now(),
        ));
    }

    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str) {
        self.hub
            .submit(Record::new(Level::from_number(level), "dora", text).by(self.origin(node)));
    }

    fn level(&self, node: &NodeId) -> Arc<AtomicU32> {
        self.hub
            .level_for(Some(self.id.uuid()), Some(node.as_str()))
    }
}
