//! Commands about dataflows and their nodes. Absent: what the arguments lead to.

use super::log::ShowArgs;
use super::network::WhereArgs;
use super::parse;
use clap::Args as ClapArgs;
use host::control::Target;
use host::ids::NodeId;
use std::path::PathBuf;
use std::time::Duration;

/// Start a dataflow on the machines that its nodes name.
///
/// The descriptor is checked here, then every daemon checks its nodes, and only then do the nodes start: all of them or
/// none. Attached (the default on a terminal), it prints the nodes' lines of all machines and a summary at the end, and
/// its exit status is 1 if a node failed; Ctrl-C stops the dataflow, a second one does not wait for its nodes. Detached,
/// it prints the dataflow's UUID once it runs.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora start dataflow.yml
  dora start dataflow.yml --detach --name camera
  dora start dataflow.yml --env LEVEL=3 --env DEVICE=/dev/video0
  dora start dataflow.yml --coordinator-addr 192.168.1.7")]
pub struct StartArgs {
    /// The descriptor.
    #[arg(value_name = "FILE")]
    pub descriptor: PathBuf,
    /// A name for the dataflow, unique among the running ones.
    #[arg(long, short)]
    pub name: Option<String>,
    /// Stay until the dataflow ends, and show its lines. Ctrl-C stops the dataflow; if this command is killed, it goes on.
    #[arg(long, conflicts_with = "detach")]
    pub attach: bool,
    /// Leave when it runs.
    #[arg(long)]
    pub detach: bool,
    /// A variable for all nodes; a node's own `env` goes before. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::pair)]
    pub env: Vec<(String, String)>,
    /// Run the nodes' `build` commands first, on this machine.
    #[arg(long)]
    pub build: bool,
    /// How long nodes have to stop after Ctrl-C before they are given up.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
    /// Which lines are shown.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// One of the dataflows.
#[derive(Debug, ClapArgs)]
pub struct TargetArgs {
    /// The dataflow's name or UUID; may be left out when one runs.
    #[arg(value_name = "NAME|UUID")]
    pub dataflow: Option<String>,
    /// The name, as an option.
    #[arg(long, short, conflicts_with = "dataflow", hide = true)]
    pub name: Option<String>,
}

impl TargetArgs {
    /// Which one is meant.
    pub fn target(&self) -> Target {
        match (&self.dataflow, &self.name) {
            (Some(text), _) => Target::parse(text),
            (None, Some(name)) => Target::Name(name.clone()),
            (None, None) => Target::Only,
        }
    }
}

/// Stop a dataflow.
///
/// Waits until its nodes have ended on all machines, and prints how each ended.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora stop                      the only one that runs
  dora stop camera --grace 2s
  dora stop camera --force       without waiting for its nodes
  dora stop --all")]
pub struct StopArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetArgs,
    /// All that run.
    #[arg(long, conflicts_with_all = ["dataflow", "name"])]
    pub all: bool,
    /// How long its nodes have before they are given up.
    #[arg(long, alias = "grace-duration", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// Do not wait for its nodes.
    #[arg(long, short)]
    pub force: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Stop a dataflow and start it anew under the same name.
///
/// The descriptor is the one that it was started with. Prints the new UUID.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora restart camera")]
pub struct RestartArgs {
    /// Which.
    #[command(flatten)]
    pub target: TargetArgs,
    /// How long its nodes have before they are given up.
    #[arg(long, alias = "grace-duration", value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub grace: Duration,
    /// Do not wait for its nodes.
    #[arg(long, short)]
    pub force: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// List the dataflows that run and those that have ended.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora list
  dora list --json | jq -r '.[] | select(.status == \"running\") | .uuid'")]
pub struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// List the nodes of running dataflows: state, machine, restarts.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora node list
  dora ps                                  the same
  dora node list --dataflow camera --json")]
pub struct NodeListArgs {
    /// Only of this dataflow: its name or UUID.
    #[arg(long, short, value_name = "NAME|UUID")]
    pub dataflow: Option<String>,
    /// Print a JSON array.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Show the log lines of a dataflow, from all its machines.
///
/// Also of one that has ended, as long as the machines have its files. Without a node: of all nodes, and those of the
/// daemons about the dataflow, by time.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora logs camera
  dora logs camera detector --tail 20 --follow
  dora logs camera --json | jq -r 'select(.level == \"ERROR\") | .message'")]
pub struct LogsArgs {
    /// The dataflow's name or UUID; may be left out when one runs.
    #[arg(value_name = "NAME|UUID")]
    pub dataflow: Option<String>,
    /// Only this node.
    #[arg(value_name = "NODE")]
    pub node: Option<NodeId>,
    /// The node, as an option.
    #[arg(
        long = "node",
        short,
        value_name = "NODE",
        conflicts_with = "node",
        hide = true
    )]
    pub of_node: Option<NodeId>,
    /// All nodes (the default).
    #[arg(long, conflicts_with_all = ["node", "of_node"])]
    pub all_nodes: bool,
    /// Only so many of the last lines.
    #[arg(long, value_name = "N")]
    pub tail: Option<u32>,
    /// Go on with new lines until Ctrl-C or the end of the dataflow.
    #[arg(long, short)]
    pub follow: bool,
    /// One JSON object per line: short for `--log-format json`.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
    /// Which lines are shown.
    #[command(flatten)]
    pub show: ShowArgs,
}

/// Forget the dataflows that have ended.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora clean")]
pub struct CleanArgs {
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}
