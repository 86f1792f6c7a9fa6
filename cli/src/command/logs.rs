//! The log of a command that runs nodes: started from its options, finished at its end.

use crate::args::LogArgs;
use eyre::{Result, WrapErr};
use host::logs::{Bridge, Console, Filter, LogHub, OutRequest, Settings, Times, choose};
use std::time::{Duration, SystemTime};

/// Starts the log of this process.
pub fn start(args: &LogArgs) -> Result<LogHub> {
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
        console: Some(Console::of_process(
            args.log_format,
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
