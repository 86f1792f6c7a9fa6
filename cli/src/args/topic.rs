//! Commands about outputs and their messages. Absent: what the arguments lead to.

use super::network::WhereArgs;
use clap::{Args as ClapArgs, Subcommand};
use host::ids::{InvalidName, NodeId, PortName};
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// The commands about outputs.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    List(TopicListArgs),
    Echo(TopicEchoArgs),
    Hz(TopicHzArgs),
}

/// An output as it is written: `node/output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicName {
    /// The node.
    pub node: NodeId,
    /// Its output.
    pub output: PortName,
}

impl FromStr for TopicName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words = |error: InvalidName| error.to_string();
        let Some((node, output)) = text.split_once('/') else {
            return Err("write NODE/OUTPUT; `dora topic list` shows them".into());
        };
        Ok(Self {
            node: node.parse().map_err(words)?,
            output: output.parse().map_err(words)?,
        })
    }
}

/// List the outputs of running dataflows and who reads them.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora topic list
  dora topic list --dataflow camera --json")]
pub struct TopicListArgs {
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

/// Show the messages of an output as they come.
///
/// Works on any output of any running dataflow, on any machine, and never slows it: what this command is too slow for is
/// lost to it alone, and it says how much. Large data are shortened.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora topic echo camera/image
  dora topic echo camera/image --count 3 --json
  dora topic echo --dataflow camera camera/image")]
pub struct TopicEchoArgs {
    /// The output.
    #[arg(value_name = "NODE/OUTPUT")]
    pub topic: TopicName,
    /// The dataflow's name or UUID; may be left out when one runs.
    #[arg(long, short, value_name = "NAME|UUID")]
    pub dataflow: Option<String>,
    /// End after so many messages.
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}

/// Measure how often an output sends.
///
/// Prints a line per second: messages and bytes per second over the window, the shortest and longest time between two
/// messages, and messages that did not come through.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  dora topic hz camera/image
  dora topic hz camera/image --window 1s --count 10")]
pub struct TopicHzArgs {
    /// The output.
    #[arg(value_name = "NODE/OUTPUT")]
    pub topic: TopicName,
    /// The dataflow's name or UUID; may be left out when one runs.
    #[arg(long, short, value_name = "NAME|UUID")]
    pub dataflow: Option<String>,
    /// The time that is looked at.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    pub window: Duration,
    /// End after so many lines.
    #[arg(long, value_name = "N")]
    pub count: Option<NonZeroU64>,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Where the coordinator is.
    #[command(flatten)]
    pub coordinator: WhereArgs,
}
