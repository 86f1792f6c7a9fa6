//! The command line as `clap` reads it. Absent: what the arguments lead to.

mod coordinator;
mod dataflow;
mod local;
mod log;
mod network;
mod parse;
mod process;
mod topic;

pub use coordinator::{CoordinatorArgs, DaemonArgs};
pub use dataflow::{CleanArgs, ListArgs, LogsArgs, NodeListArgs, RestartArgs, StartArgs, StopArgs};
pub use local::{
    BuildArgs, CheckArgs, DescribeArgs, GraphArgs, InspectArgs, NewArgs, NewKind, PluginCommand,
    RunArgs, ValidateArgs,
};
pub use log::{LogArgs, ShowArgs};
pub use network::{CompletionArgs, DownArgs, StatusArgs, UpArgs, WhereArgs};
pub use process::ProcessArgs;
pub use topic::{TopicCommand, TopicEchoArgs, TopicHzArgs, TopicListArgs, TopicName};

use clap::{Parser, Subcommand};
use plugin_abi::handshake::{ABI, MESSAGE_FORMAT, TARGET};
use std::sync::LazyLock;

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    format!("{version} (plugin ABI {ABI}, message format {MESSAGE_FORMAT}, {TARGET})")
});

/// Dataflows of plugins: robots, sensors, AI pipelines.
///
/// A dataflow is a graph of nodes, described in one YAML file. A node is a plugin (a shared library that is loaded
/// through a stable, versioned ABI) or an executable. A daemon on each machine runs the nodes, a coordinator joins the
/// daemons, and this command drives both; `dora run` needs neither.
#[derive(Debug, Parser)]
#[command(name = "dora", version, long_version = LONG_VERSION.as_str(), after_help = "\
Examples:
  dora run --build dataflow.yml          build a dataflow's nodes and run them on this machine
  dora validate dataflow.yml             find what is wrong before a start
  dora new camera --kind plugin          make a crate with a node
  dora plugin check target/release       check plugins before they are used

  dora coordinator                       several machines: on one of them,
  dora daemon --machine-id A             on each of them,
  dora start dataflow.yml                and from anywhere
  dora list                              what runs, and what has ended
  dora topic echo camera/image           the messages of an output

`dora help COMMAND` or `dora COMMAND --help` tells more.")]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(RunArgs),
    Build(BuildArgs),
    #[command(alias = "check")]
    Validate(ValidateArgs),
    Graph(GraphArgs),
    /// Print the JSON schema of descriptors, for editors.
    Schema,
    New(NewArgs),
    /// Look at plugins and check them.
    #[command(
        subcommand,
        after_help = "\
Examples:
  dora plugin inspect target/release/random
  dora plugin check target/release plugins/*.so"
    )]
    Plugin(PluginCommand),
    Coordinator(CoordinatorArgs),
    Daemon(DaemonArgs),
    Up(UpArgs),
    #[command(alias = "destroy")]
    Down(DownArgs),
    Status(StatusArgs),
    Start(StartArgs),
    Stop(StopArgs),
    Restart(RestartArgs),
    List(ListArgs),
    Ps(NodeListArgs),
    Logs(LogsArgs),
    Clean(CleanArgs),
    /// Look at the nodes of running dataflows.
    #[command(
        subcommand,
        after_help = "\
Examples:
  dora node list
  dora node list --dataflow camera --json"
    )]
    Node(NodeCommand),
    /// Look at the messages of running dataflows.
    #[command(
        subcommand,
        after_help = "\
Examples:
  dora topic list
  dora topic echo camera/image --count 3
  dora topic hz camera/image"
    )]
    Topic(TopicCommand),
    /// Look at the coordinator and its daemons.
    #[command(
        subcommand,
        after_help = "\
Examples:
  dora system status"
    )]
    System(SystemCommand),
    Completion(CompletionArgs),
    /// The helper process that loads a plugin: see `host::plugin::describe`.
    #[command(name = host::plugin::describe::SUBCOMMAND, hide = true)]
    Describe(DescribeArgs),
    /// A host process: see `host::process::host_process`.
    #[command(name = host::process::host_process::SUBCOMMAND, hide = true)]
    Host {
        /// Of one node: see `host::process::host_process::ALONE`.
        #[arg(long)]
        alone: bool,
    },
}

/// The commands about nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    List(NodeListArgs),
}

/// The commands about the whole.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    Status(StatusArgs),
}

#[cfg(test)]
mod tests;
