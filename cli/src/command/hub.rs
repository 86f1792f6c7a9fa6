//! The log of a command that runs for long: started from its options, finished at its end.

use crate::args::LogArgs;
use eyre::{Result, WrapErr};
use host::logs::{
    Bridge, Console, Filter, Format, Limit, LogHub, OutRequest, Settings, Times, choose,
};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Starts the log of a process that runs nodes, and says where its files are, if there are any. `quiet`: nothing is
/// shown.
pub fn start(args: &LogArgs, quiet: bool) -> Result<(LogHub, Option<PathBuf>)> {
    let filter = Filter::new(args.log_level)
        .with_nodes(&args.log_filter)
        .wrap_err("--log-filter")?;
    let current = std::env::current_dir().wrap_err("the current folder is not to be had")?;
    let out = choose(&OutRequest {
        flag: args.out_dir.as_deref(),
        current: &current,
        os: std::env::consts::OS,
        variable: &|name| std::env::var_os(name),
    });
    if let Some(warning) = &out.warning {
        eprintln!("warning: {warning}");
    }
    let hub = LogHub::start(Settings {
        filter,
        console: console(args.log_format, quiet),
        out: out.path.clone(),
        ..Settings::default()
    });
    Ok((installed(hub)?, out.path))
}

/// Starts the log of a process that runs no nodes: no files.
pub fn console_only(level: Limit, format: Format, quiet: bool) -> Result<LogHub> {
    installed(LogHub::start(Settings {
        filter: Filter::new(level),
        console: console(format, quiet),
        ..Settings::default()
    }))
}

fn console(format: Format, quiet: bool) -> Option<Console> {
    (!quiet).then(|| Console::of_process(format, Times::Since(SystemTime::now())))
}

fn installed(hub: std::io::Result<LogHub>) -> Result<LogHub> {
    let hub = hub.wrap_err("cannot start the log")?;
    // The only subscriber of this process, set once.
    Bridge::new(hub.clone(), &["host", "dora", "plugin_abi"]).install();
    Ok(hub)
}

/// Writes what waits, and says what was lost.
pub fn finish(hub: &LogHub, deadline: Duration) {
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
