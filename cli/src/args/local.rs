//! Commands that need no coordinator. Absent: what the arguments lead to.

use super::log::LogArgs;
use super::process::ProcessArgs;
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Run a dataflow on this machine until it ends.
///
/// All nodes run on this machine, wherever the descriptor would place them. Ctrl-C asks them to stop; a second one ends
/// them at once. What nodes print goes to standard output, the log and the summary to standard error. The exit status
/// is 1 if a node failed or did not stop.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora run dataflow.yml
  dora run --build dataflow.yml                      run the nodes' build commands first
  dora run --stop-after 10s --log-level debug dataflow.yml
  dora run --log-filter camera=debug,sink=warn dataflow.yml")]
pub struct RunArgs {
    /// The descriptor.
    #[arg(value_name = "FILE")]
    pub descriptor: PathBuf,
    /// Run the nodes' `build` commands first, as `dora build` does.
    #[arg(long)]
    pub build: bool,
    /// Stop the dataflow after this time, as Ctrl-C does: 500ms, 10s, 2m.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub stop_after: Option<Duration>,
    /// How long nodes have to stop before they are given up.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// How nodes in processes of their own are run.
    #[command(flatten)]
    pub processes: ProcessArgs,
    /// Where lines go and which are wanted.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Find everything that is wrong with a descriptor before a start.
///
/// Checks names, inputs, timers, threads and, with the plugins that it names, their versions, ports, types and configs.
/// Plugins are loaded in a process of their own. All problems are shown at once, each with file, line and column.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora validate dataflow.yml")]
pub struct ValidateArgs {
    /// The descriptor.
    #[arg(value_name = "FILE")]
    pub descriptor: PathBuf,
}

/// Draw a dataflow.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora graph dataflow.yml                          Mermaid, for Markdown pages
  dora graph dataflow.yml --html -o dataflow.html  one file that works without a network
  dora graph dataflow.yml --dot | dot -Tsvg")]
pub struct GraphArgs {
    /// The descriptor.
    #[arg(value_name = "FILE")]
    pub descriptor: PathBuf,
    /// As a Mermaid diagram (the default).
    #[arg(long, group = "form")]
    pub mermaid: bool,
    /// As one HTML file that works without a network.
    #[arg(long, group = "form")]
    pub html: bool,
    /// In Graphviz's language.
    #[arg(long, group = "form")]
    pub dot: bool,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Run the `build` commands of a dataflow's nodes.
///
/// Each distinct `build` runs once, in the folder of the descriptor (or the node's `working_dir`), with the node's
/// `env`. The commands are run without a shell, one per line. One node is built at a time: cargo and most other tools
/// use all cores already, and cargo would wait for its own lock.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora build dataflow.yml
  dora build dataflow.yml --parallel 4     for builds that use one core each
  dora build dataflow.yml --verbose        show what the commands print")]
pub struct BuildArgs {
    /// The descriptor.
    #[arg(value_name = "FILE")]
    pub descriptor: PathBuf,
    /// How many builds may run at a time.
    #[arg(long, value_name = "N", default_value = "1")]
    pub parallel: std::num::NonZeroUsize,
    /// Show what the commands print, not only when they fail.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Make a new crate from a template.
///
/// The crate builds, is tested, and loads as it comes: `cargo test`, `cargo build`, `dora plugin check`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora new camera --kind plugin
  dora new camera --kind plugin --path nodes/camera
  dora new camera --kind plugin --plugin-abi ../dora/plugin-abi")]
pub struct NewArgs {
    /// Name of the crate: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// What to make.
    #[arg(long, value_enum)]
    pub kind: NewKind,
    /// Where to make it [default: a folder of that name in the current one].
    #[arg(long, value_name = "DIR")]
    pub path: Option<PathBuf>,
    /// The crate plugin-abi to depend on: its folder, or a version for a registry [default: the folder that this
    /// dora was built from, if it is still there, else the version of this dora].
    #[arg(long, value_name = "PATH|VERSION")]
    pub plugin_abi: Option<String>,
}

/// What `dora new` makes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum NewKind {
    /// A node in Rust, as a plugin and as an executable.
    Plugin,
}

/// The commands about plugins.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    Check(CheckArgs),
    Inspect(InspectArgs),
}

/// Check whether plugins can be loaded here.
///
/// Prints one line for each file: `ok`, or why it is refused. A file is read first, and loaded (in a process of its
/// own) only when nothing in it speaks against that. The exit status is 1 if any is refused.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora plugin check target/release/librandom.so
  dora plugin check target/release                the shared libraries in a folder
  dora plugin check --json plugins | jq '.[] | select(.ok | not)'")]
pub struct CheckArgs {
    /// Plugins, as files or as stems (`target/release/random`), and folders with plugins.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How long loading a plugin may take: 500ms, 10s, 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
}

/// Show what a plugin is and which nodes it has.
///
/// Versions, target and the like come from the file alone, also for another system. The node kinds with their ports
/// and config come from loading it in a process of its own.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora plugin inspect target/release/random       a stem, as in a descriptor
  dora plugin inspect camera.dll                  on any system
  dora plugin inspect --json target/release/librandom.so")]
pub struct InspectArgs {
    /// The plugin, as a file or as a stem (`target/release/random`).
    pub file: PathBuf,
    /// How long loading a plugin may take: 500ms, 10s, 2m.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Print a JSON object, with the whole schema of each config.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of the helper process.
#[derive(Debug, ClapArgs)]
pub struct DescribeArgs {
    /// The plugin.
    pub file: PathBuf,
    /// It will have its process for itself.
    #[arg(long)]
    pub own: bool,
}
