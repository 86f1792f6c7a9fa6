//! The validated descriptor: plain data in which names are valid, numbers in range and defaults
//! filled in. Reads no file and checks nothing: who holds a value may trust it.

use std::{
    collections::BTreeMap,
    fmt,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::problem::Position;
use crate::ids::{MachineId, NodeId, PortName, ShareName};

/// Messages an input holds when the descriptor does not say.
pub const DEFAULT_QUEUE_SIZE: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// Most messages an input may hold: a queue is bounded in earnest.
pub const MAX_QUEUE_SIZE: usize = 1_000_000;

/// A value and where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub at: Position,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Unique in its descriptor.
    pub id: NodeId,
    /// Where the id stands.
    pub at: Position,
    /// Name for people, any script.
    pub name: Option<String>,
    /// Text for people.
    pub description: Option<String>,
    /// What to run.
    pub path: NodePath,
    /// Whether `path` must be a plugin or an executable; `None` lets the file decide.
    pub load: Option<Load>,
    /// Which node kind of the plugin; `None` when the plugin exports only one.
    pub kind: Option<Spanned<String>>,
    /// Arguments of an executable, already split.
    pub args: Vec<String>,
    /// Environment of an executable or of a host process of its own, variables expanded, the
    /// descriptor's root `env` included.
    pub env: BTreeMap<String, String>,
    /// Where the node's own `env` stands, if it has one.
    pub env_at: Option<Position>,
    /// Build commands, one per line of `build:`, in order.
    pub build: Vec<String>,
    /// The node's config; not yet checked against the plugin's schema.
    pub config: Option<Config>,
    /// What the node reads.
    pub inputs: BTreeMap<PortName, InputSpec>,
    /// What the node sends, in the file's order, each once. `None` when the list is left out: then
    /// all outputs that a plugin declares count, and an executable has none.
    pub outputs: Option<Vec<Spanned<PortName>>>,
    /// Process of a plugin; `None` means [`ProcessPlace::Daemon`].
    pub process: Option<Spanned<ProcessPlace>>,
    /// Thread of a plugin; `None` means [`ThreadPlace::Own`].
    pub thread: Option<Spanned<ThreadPlace>>,
    /// On which machine, and in which folder there.
    pub deploy: Deploy,
    /// What happens when the node ends.
    pub restart: Restart,
    /// A node that shows no sign of life for so long is ended and restarted by its policy.
    pub health_check_timeout: Option<Duration>,
    /// What becomes of its log lines and of its standard output.
    pub logs: LogSpec,
    /// Processor cores it may run on; empty means all.
    pub cpu_affinity: Vec<usize>,
}

impl Node {
    /// Its config as JSON text; `null` for none.
    pub fn config_text(&self) -> String {
        let config = self.config.as_ref();
        config.map_or_else(|| "null".to_owned(), |config| config.value.to_string())
    }

    /// The process that hosts the node if it is a plugin.
    pub fn process_place(&self) -> &ProcessPlace {
        match &self.process {
            Some(process) => &process.value,
            None => &ProcessPlace::Daemon,
        }
    }

    /// The thread that runs the node if it is a plugin.
    pub fn thread_place(&self) -> &ThreadPlace {
        match &self.thread {
            Some(thread) => &thread.value,
            None => &ThreadPlace::Own,
        }
    }

    /// Outputs that the runtime makes for the node: `send_stdout_as` and `send_logs_as`.
    pub fn runtime_outputs(&self) -> impl Iterator<Item = &PortName> {
        let logs = &self.logs;
        logs.stdout_as.iter().chain(&logs.logs_as)
    }

    /// Whether the descriptor itself names this output. `None` when only the plugin's declaration
    /// can tell.
    pub fn lists_output(&self, output: &PortName) -> Option<bool> {
        if self.runtime_outputs().any(|own| own == output) {
            return Some(true);
        }
        let outputs = self.outputs.as_ref()?;
        Some(outputs.iter().any(|listed| listed.value == *output))
    }
}

/// What `path:` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodePath {
    /// A file, a stem or a bare name, as written; see [`super::resolve`].
    File(Spanned<String>),
    /// `path: dynamic`: somebody starts the node by hand, and it reports to the daemon.
    Dynamic,
}

/// What `load:` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// The path is a plugin.
    Plugin,
    /// The path is an executable or a script.
    Executable,
    /// The path is a script with a Python operator of dora. It is no value of the key: `operator` stands for it.
    Operator,
}

impl Load {
    /// Whether the path is run in a process of its own.
    pub fn is_program(self) -> bool {
        self != Self::Plugin
    }
}

/// One input of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// What it reads.
    pub source: Source,
    /// Where the source stands.
    pub at: Position,
    /// Where the input's name stands.
    pub name_at: Position,
    /// Most messages that wait, at most [`MAX_QUEUE_SIZE`].
    pub queue_size: NonZeroUsize,
    /// What happens when so many wait.
    pub policy: QueuePolicy,
    /// Without a message for so long, the input counts as closed.
    pub input_timeout: Option<Duration>,
}

/// What an input reads. Displays as it is written in a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The output of a node.
    Output {
        /// The sending node.
        node: NodeId,
        /// Its output.
        output: PortName,
    },
    /// A tick at fixed times.
    Timer {
        /// Time between two ticks, at least a microsecond.
        period: Duration,
    },
    /// The log lines of the dataflow's nodes.
    Logs {
        /// The least severe level that is delivered; `None` delivers all, standard output included.
        level: Option<LogLevel>,
        /// Only of this node.
        node: Option<NodeId>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Output { node, output } => write!(f, "{node}/{output}"),
            Source::Timer { period } => write_timer(f, *period),
            Source::Logs { level, node } => {
                f.write_str("dora/logs")?;
                let level = level.or(node.is_some().then_some(LogLevel::Stdout));
                if let Some(level) = level {
                    write!(f, "/{level}")?;
                }
                match node {
                    Some(node) => write!(f, "/{node}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The coarsest unit that gives the period exactly.
fn write_timer(f: &mut fmt::Formatter<'_>, period: Duration) -> fmt::Result {
    let nanos = period.as_nanos();
    for (unit, size) in [
        ("secs", 1_000_000_000),
        ("millis", 1_000_000),
        ("micros", 1000),
    ] {
        if nanos.is_multiple_of(size) {
            return write!(f, "dora/timer/{unit}/{}", nanos / size);
        }
    }
    let hertz = period.as_secs_f64().recip().round();
    if Duration::try_from_secs_f64(hertz.recip()) == Ok(period) {
        return write!(f, "dora/timer/hz/{hertz}");
    }
    write!(f, "dora/timer/nanos/{nanos}")
}

/// What happens to a message for a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueuePolicy {
    /// The message that waited longest is dropped.
    #[default]
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// The sender waits.
    Backpressure,
}

/// Severity of a log line, the least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// A line of standard output, which has no level.
    Stdout,
    /// Trace.
    Trace,
    /// Debug.
    Debug,
    /// Info.
    Info,
    /// Warning.
    Warn,
    /// Error.
    Error,
}

impl LogLevel {
    /// All levels and their names, the least severe first.
    pub const ALL: [(&'static str, LogLevel); 6] = [
        ("stdout", LogLevel::Stdout),
        ("trace", LogLevel::Trace),
        ("debug", LogLevel::Debug),
        ("info", LogLevel::Info),
        ("warn", LogLevel::Warn),
        ("error", LogLevel::Error),
    ];
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogLevel::Stdout => "stdout",
            LogLevel::Trace => "trace",
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        })
    }
}

/// The process that hosts a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProcessPlace {
    /// The daemon itself.
    Daemon,
    /// A host process for this node alone.
    Own,
    /// A host process shared by all nodes that give this name.
    Shared(ShareName),
}

impl fmt::Display for ProcessPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProcessPlace::Daemon => "daemon",
            ProcessPlace::Own => "own",
            ProcessPlace::Shared(name) => name.as_str(),
        })
    }
}

/// The thread that runs a plugin's callbacks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ThreadPlace {
    /// A thread for this node alone.
    Own,
    /// The thread of the node it reads from, which calls it inline.
    Sender,
    /// A thread shared by all nodes of the same process that give this name.
    Shared(ShareName),
}

impl fmt::Display for ThreadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ThreadPlace::Own => "own",
            ThreadPlace::Sender => "sender",
            ThreadPlace::Shared(name) => name.as_str(),
        })
    }
}

/// Where a node runs; the descriptor's root `deploy` fills in what the node leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Deploy {
    /// The machine; `None` leaves the choice to the coordinator.
    pub machine: Option<Spanned<MachineId>>,
    /// Labels that the machine must have.
    pub labels: BTreeMap<String, String>,
    /// Folder on that machine in which the node runs and from which its `path` starts, as written.
    pub working_dir: Option<String>,
}

/// When and how often a node is started again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Restart {
    /// After which endings.
    pub policy: RestartPolicy,
    /// Most restarts (within `window`, if there is one); `None` is without limit.
    pub max: Option<NonZeroU32>,
    /// Wait before the first restart, doubled each time; `None` restarts at once.
    pub delay: Option<Duration>,
    /// Longest wait.
    pub max_delay: Option<Duration>,
    /// Time after which the count starts anew.
    pub window: Option<Duration>,
}

impl Restart {
    /// How long the restart of this number waits; the first is 1.
    pub fn wait_before(&self, restart: u32) -> Duration {
        let delay = self.delay.unwrap_or_default();
        let times = 1_u32.checked_shl(restart.saturating_sub(1));
        let doubled = delay.saturating_mul(times.unwrap_or(u32::MAX));
        self.max_delay.map_or(doubled, |most| doubled.min(most))
    }
}

/// After which endings a node is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// After none.
    #[default]
    Never,
    /// After an error, a panic or a crash.
    OnFailure,
    /// After every one, except a stop that was asked for.
    Always,
}

/// What becomes of a node's log lines and standard output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogSpec {
    /// Output on which each line of standard output is sent.
    pub stdout_as: Option<PortName>,
    /// Output on which each log line is sent as JSON text.
    pub logs_as: Option<PortName>,
    /// Lines below are dropped.
    pub min_level: Option<LogLevel>,
    /// Size in bytes at which the log file is rotated.
    pub max_size: Option<NonZeroU64>,
    /// Rotated files that are kept.
    pub max_rotated_files: Option<u32>,
}

/// A node's config and where each value of it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The config.
    pub value: serde_json::Value,
    /// Where it starts.
    pub at: Position,
    /// By JSON pointer, of all values below the root.
    pub(super) positions: BTreeMap<String, ConfigPosition>,
}

/// Where a value of a config stands, and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ConfigPosition {
    /// The key, or the value itself in a list.
    pub key: Position,
    /// The value.
    pub value: Position,
}

impl Config {
    /// Where the value at a JSON pointer (such as `/gains/0`) stands; of the nearest value around
    /// it when there is none.
    pub fn position(&self, pointer: &str) -> Position {
        let mut rest = pointer;
        loop {
            if let Some(position) = self.positions.get(rest) {
                return position.value;
            }
            match rest.rsplit_once('/') {
                Some((around, _)) => rest = around,
                None => return self.at,
            }
        }
    }

    /// Where the key of the value at a JSON pointer stands.
    pub fn key_position(&self, pointer: &str) -> Position {
        match self.positions.get(pointer) {
            Some(position) => position.key,
            None => self.position(pointer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_display_as_they_are_written() {
        let timer = |period| Source::Timer { period }.to_string();
        assert_eq!(timer(Duration::from_secs(2)), "dora/timer/secs/2");
        assert_eq!(timer(Duration::from_millis(1500)), "dora/timer/millis/1500");
        assert_eq!(timer(Duration::from_micros(250)), "dora/timer/micros/250");
        assert_eq!(timer(Duration::from_nanos(333_333)), "dora/timer/hz/3000");
        assert_eq!(timer(Duration::from_nanos(33_333_333)), "dora/timer/hz/30");
        assert_eq!(
            timer(Duration::from_nanos(1_234_567)),
            "dora/timer/nanos/1234567"
        );
        let logs = |level, node: Option<&str>| {
            let node = node.map(|node| node.parse().unwrap());
            Source::Logs { level, node }.to_string()
        };
        assert_eq!(logs(None, None), "dora/logs");
        assert_eq!(logs(Some(LogLevel::Warn), None), "dora/logs/warn");
        assert_eq!(logs(None, Some("a")), "dora/logs/stdout/a");
    }
}
