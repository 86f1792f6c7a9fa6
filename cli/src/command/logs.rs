//! The options of every command that runs nodes: where their lines go and which are wanted.

use clap::Args;
use eyre::{Result, WrapErr};
use host::logs::{
    Bridge, Console, Filter, Format, Limit, LogHub, OutRequest, Settings, Times, choose,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Options of the log.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// Least severe lines to show: off, error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: Limit,
    /// Other levels for single nodes: camera=debug,sink=warn.
    #[arg(long, value_name = "NODE=LEVEL,...")]
    log_filter: Option<String>,
    /// How lines look on the console: pretty, compact or json.
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    log_format: Format,
    /// Where log files go [default: out in the current folder, or DORA_OUT_DIR].
    #[arg(long, value_name = "FOLDER")]
    out_dir: Option<PathBuf>,
}

impl LogArgs {
    /// Starts the log of this process.
    pub fn start(&self) -> Result<LogHub> {
        let mut filter = Filter::new(self.log_level);
        if let Some(nodes) = &self.log_filter {
            filter = filter.with_nodes(nodes).wrap_err("--log-filter")?;
        }
        let current = std::env::current_dir().wrap_err("the current folder is not to be had")?;
        let out = choose(&OutRequest {
            flag: self.out_dir.as_deref(),
            current: &current,
            os: std::env::consts::OS,
            variable: &|name| std::env::var_os(name),
        });
        if let Some(warning) = &out.warning {
            eprintln!("warning: {warning}");
        }
        let hub = LogHub::start(Settings {
            filter,
            console: Some(Console::of_process(
                self.log_format,
                Times::Since(SystemTime::now()),
            )),
            out: out.path,
            ..Settings::default()
        });
        let hub = hub.wrap_err("cannot start the log")?;
        // The only subscriber of this process, set once.
        Bridge::new(hub.clone(), &["host", "dora", "plugin_abi"]).install();
        Ok(hub)
    }

    /// Writes what waits, and says what was lost.
    pub fn finish(&self, hub: &LogHub, deadline: Duration) {
        let report = hub.shutdown(deadline);
        let counters = report.counters;
        if counters.dropped + counters.lost > 0 {
            eprintln!(
                "warning: {} log lines were dropped, {} did not reach their file",
                counters.dropped, counters.lost
            );
        }
        for what in report.unfinished {
            eprintln!("warning: the log's {what} did not finish within {deadline:?}");
        }
    }
}
