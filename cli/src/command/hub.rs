//! The log of a command that runs for long: started from its options, finished at its end.

use crate::args::LogArgs;
use crate::terminal::say;
use anstream::{AutoStream, ColorChoice};
use eyre::{Result, WrapErr};
use host::guard::{self, Life};
use host::ids::MachineId;
use host::logs::{
    Bridge, Console, Filter, Format, Layout, Limit, LogHub, OutRequest, Settings, Times, choose,
};
use host::sys::redirect::{self, Redirected};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Starts the log of a process that runs nodes, of which the guard learns where its files are.
pub fn start(args: &LogArgs) -> Result<LogHub> {
    let out = out_folder(args)?;
    guard::tell_life(&Life {
        who: "`dora run`".into(),
        out: out.clone(),
        ..Life::default()
    });
    installed(LogHub::start(Settings {
        filter: filter(args)?,
        console: console(args.log_format, false),
        out,
        ..Settings::default()
    }))
}

/// The log of a daemon.
#[derive(Debug, Clone)]
pub struct DaemonLog {
    /// Where lines go.
    pub hub: LogHub,
    /// The folder of the log files, if there is one.
    pub out: Option<PathBuf>,
    /// Standard output as it was before what plugins print on it became lines of the log.
    stdout: Option<Arc<File>>,
}

impl DaemonLog {
    /// Prints a line that scripts wait for. Whoever has closed the stream does not.
    pub fn say(&self, line: &str) {
        match &self.stdout {
            Some(file) => say_to(file.as_ref(), line),
            None => say(line),
        }
    }
}

/// Prints a line that scripts wait for on standard output.
pub fn say(line: &str) {
    say_to(std::io::stdout().lock(), line);
}

fn say_to(mut out: impl Write, line: &str) {
    // Whoever has closed the stream does not wait.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Starts the log of a daemon. What plugins print on standard output goes to it, and from there to the console like all
/// else. `quiet`: nothing is shown.
pub fn of_daemon(args: &LogArgs, quiet: bool, machine: &MachineId) -> Result<DaemonLog> {
    let filter = filter(args)?;
    let out = out_folder(args)?;
    let redirected = match redirect::stdout() {
        Ok(redirected) => Some(redirected),
        Err(error) => {
            say!("warning: what plugins print is not logged: {error}");
            None
        }
    };
    let stdout = redirected.as_ref().map(|it| it.original.try_clone());
    let stdout = stdout.transpose().wrap_err("standard output")?;
    let shown = match &stdout {
        Some(stdout) => Some(console_on(stdout, args.log_format)?),
        None => console(args.log_format, false),
    };
    let hub = installed(LogHub::start(Settings {
        filter,
        console: shown.filter(|_| !quiet),
        out: out.clone(),
        ..Settings::default()
    }))?;
    if let Some(Redirected { reader, writer, .. }) = redirected {
        hub.read_printed(Some(machine.to_string()), reader, writer)
            .wrap_err("cannot start the log")?;
    }
    Ok(DaemonLog {
        hub,
        out,
        stdout: stdout.map(Arc::new),
    })
}

/// A console whose standard output is another file than that of the process.
fn console_on(stdout: &File, format: Format) -> Result<Console> {
    let stdout = stdout.try_clone().wrap_err("standard output")?;
    let stderr = std::io::stderr();
    let (out, err) = (AutoStream::choice(&stdout), AutoStream::choice(&stderr));
    let layout = |choice| Layout {
        format,
        times: Times::Since(SystemTime::now()),
        colour: format != Format::Json && choice != ColorChoice::Never,
    };
    Ok(Console::new(
        Box::new(AutoStream::new(stdout, out)),
        layout(out),
        Box::new(AutoStream::new(stderr, err)),
        layout(err),
    ))
}

fn filter(args: &LogArgs) -> Result<Filter> {
    let filter = Filter::new(args.log_level).with_nodes(&args.log_filter);
    filter.wrap_err("--log-filter")
}

/// The folder for log files, with a warning if it is not the one that was asked for.
fn out_folder(args: &LogArgs) -> Result<Option<PathBuf>> {
    let current = std::env::current_dir().wrap_err("the current folder is not to be had")?;
    let out = choose(&OutRequest {
        flag: args.out_dir.as_deref(),
        current: &current,
        os: std::env::consts::OS,
        variable: &|name| std::env::var_os(name),
    });
    if let Some(warning) = &out.warning {
        say!("warning: {warning}");
    }
    Ok(out.path)
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
        say!(
            "warning: {} log lines were dropped, {} did not reach their file",
            counters.dropped,
            counters.lost
        );
    }
    for what in report.unfinished {
        say!("warning: the log's {what} did not finish within {deadline:?}");
    }
}
