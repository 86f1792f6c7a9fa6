//! A dataflow on this machine alone: the engine, the log and the loader joined, without sockets.
//!
//! Invariant: every line of the nodes, of their libraries and of the engine goes to the one hub. Absent: the command
//! line, and other machines.

use crate::descriptor::{Descriptor, LogLevel, Source};
use crate::engine::{Command, Dataflow, EngineLog, LogInput, Plan, Report, StartError};
use crate::ids::{DataflowId, NodeId};
use crate::logs::{Level, Limit, LogHub, Origin, Record, Selection};
use crate::plugin::preflight::Isolation;
use crate::plugin::{self, Loader, LoaderOptions};
use plugin_abi::hosting::LogLine;
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
        if let Some(limit) = node.logs.min_level.and_then(limit_of) {
            hub.set_node_limit(id.uuid(), node.id.as_str(), limit);
        }
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
    let report = dataflow.run(commands).await;
    feeds.abort_all();
    hub.dataflow_ended(id.uuid());
    Ok(report)
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
