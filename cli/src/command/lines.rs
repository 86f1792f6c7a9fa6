//! Log lines of other machines on this process's standard streams.

use crate::args::ShowArgs;
use crate::terminal;
use crate::terminal::say;
use eyre::{Result, WrapErr};
use host::client::LogEvent;
use host::logs::{Filter, Format, Layout, Record, Stream, Times};
use std::io::{self, Write};

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// All to standard output, for `dora logs`.
    Together,
    /// What nodes print on standard output goes there, all else to standard error, as with `dora run`.
    AsPrinted,
}

/// Prints the lines that are wanted.
pub struct Lines {
    filter: Filter,
    layout: Layout,
    split: Split,
    text: String,
}

impl Lines {
    /// # Errors
    /// A filter that cannot be understood.
    pub fn new(args: &ShowArgs, format: Format, times: Times, split: Split) -> Result<Self> {
        let filter = Filter::new(args.log_level)
            .with_nodes(&args.log_filter)
            .wrap_err("--log-filter")?;
        Ok(Self {
            filter,
            // The streams take the colours out again where they are not wanted.
            layout: Layout {
                format,
                times,
                colour: true,
            },
            split,
            text: String::new(),
        })
    }

    /// Prints a line if it is wanted.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn show(&mut self, record: &Record) -> io::Result<()> {
        if !self.is_wanted(record) {
            return Ok(());
        }
        self.text.clear();
        self.layout.write(record, &mut self.text);
        match (self.split, record.stream()) {
            (Split::Together, _) | (Split::AsPrinted, Some(Stream::Stdout)) => {
                put(terminal::stdout(), &self.text)
            }
            (Split::AsPrinted, _) => put(terminal::stderr(), &self.text),
        }
    }

    /// Prints what a stream of lines brings.
    ///
    /// # Errors
    /// As [`Lines::show`].
    pub fn take(&mut self, event: LogEvent) -> io::Result<()> {
        match event {
            LogEvent::Line(record) => return self.show(&record),
            LogEvent::Lost(lines) => say!("warning: {lines} log lines were lost on the way"),
            LogEvent::Gone { machine, error } => {
                say!("warning: no more log lines from machine `{machine}`: {error}");
            }
            LogEvent::NoCoordinator(error) => say!("warning: no more log lines: {error}"),
        }
        Ok(())
    }

    fn is_wanted(&self, record: &Record) -> bool {
        let named = record
            .node
            .as_ref()
            .and_then(|node| self.filter.named(node));
        named
            .unwrap_or_else(|| self.filter.default_limit())
            .admits(record)
    }
}

fn put(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}
