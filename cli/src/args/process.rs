//! Options of the commands that run nodes in other processes. Absent: what they lead to.

use super::parse;
use clap::Args as ClapArgs;
use host::descriptor::ProcessPlace;
use std::time::Duration;

/// How nodes in processes of their own are run.
#[derive(Debug, ClapArgs)]
pub struct ProcessArgs {
    /// Where plugins run whose node does not say so with `process`: daemon, own, or the name of a process that they share.
    #[arg(long, value_name = "PLACE", default_value = "daemon", value_parser = parse::process_place)]
    pub default_process: ProcessPlace,
    /// Serve only nodes of dora 0.4 (message format 0.7), and refuse all other versions.
    #[arg(long)]
    pub strict_versions: bool,
    /// Run Python nodes with `uv run`.
    #[arg(long)]
    pub uv: bool,
    /// How long a process has to connect: 500ms, 30s, 2m. Without it 1m, and 5m for a node of dora.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub start_timeout: Option<Duration>,
}
