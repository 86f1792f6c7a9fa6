//! Options of log lines: which, how and where. Absent: what the arguments lead to.

use clap::Args as ClapArgs;
use host::logs::{Format, Limit};
use std::path::PathBuf;

/// Options of the log, for every command that runs nodes.
#[derive(Debug, ClapArgs)]
pub struct LogArgs {
    /// Least severe lines to show: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: Limit,
    /// Other levels for single nodes: camera=debug,sink=warn.
    #[arg(
        long,
        value_name = "NODE=LEVEL,...",
        default_value = "",
        hide_default_value = true
    )]
    pub log_filter: String,
    /// How lines look on the console: pretty, compact or json.
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    pub log_format: Format,
    /// Where log files go [default: DORA_OUT_DIR, else `out` in the current folder].
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
}

/// Options of log lines that come from elsewhere.
#[derive(Debug, ClapArgs)]
pub struct ShowArgs {
    /// Least severe lines to show, of those that the daemons keep: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "trace")]
    pub log_level: Limit,
    /// Other levels for single nodes: camera=debug,sink=warn.
    #[arg(
        long,
        value_name = "NODE=LEVEL,...",
        default_value = "",
        hide_default_value = true
    )]
    pub log_filter: String,
    /// How lines look: pretty, compact or json (one object per line).
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    pub log_format: Format,
}
