//! Processes that take part: run to their end, or while they are needed.
//!
//! Invariant: every wait has a deadline; what is started is ended with its value at the latest, and ends by itself with this
//! process where it reads its standard input. Absent: what the processes are.

use eyre::{WrapErr, bail, eyre};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(60);
/// What a process has for its end.
const END: Duration = Duration::from_secs(10);
/// Between two looks at a process that is to end.
const LOOK: Duration = Duration::from_millis(5);
/// Lines that wait to be read: a process that prints more waits.
const LINES: usize = 1_000;

/// Runs a command to its end, without input, with all that it prints in a file.
///
/// # Errors
/// When it fails or does not end in time, with what it has printed.
pub fn finish(command: &mut Command, printed: &Path) -> eyre::Result<()> {
    let log = std::fs::File::create(printed)
        .wrap_err_with(|| format!("cannot write {}", printed.display()))?;
    command
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log);
    let mut process = command
        .spawn()
        .wrap_err_with(|| format!("cannot start {command:?}"))?;
    let how = match ended(&mut process, LONG)? {
        Some(status) if status.success() => return Ok(()),
        Some(status) => status.to_string(),
        None => format!("has not ended within {LONG:?}"),
    };
    let said = std::fs::read_to_string(printed).unwrap_or_else(|error| error.to_string());
    bail!("{command:?}: {how}\n{said}")
}

/// How a process ends within a time; after it, it is killed.
fn ended(process: &mut Child, within: Duration) -> eyre::Result<Option<std::process::ExitStatus>> {
    let until = Instant::now() + within;
    while Instant::now() < until {
        if let Some(status) = process.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK);
    }
    // If it has ended just now there is nothing to kill.
    let _ = process.kill();
    process.wait()?;
    Ok(None)
}

/// A process that prints lines.
pub struct Part {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Part {
    /// This program again, with other arguments.
    ///
    /// # Errors
    /// When it does not start.
    pub fn this(arguments: &[&str]) -> eyre::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        Self::start(command.args(arguments))
    }

    /// Starts a command.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(command: &mut Command) -> eyre::Result<Self> {
        let name = format!("{command:?}");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::of(
            command
                .spawn()
                .wrap_err_with(|| format!("cannot start {name}"))?,
            name,
        )
    }

    /// Of a process whose standard output is piped.
    ///
    /// # Errors
    /// When it is not.
    pub fn of(mut process: Child, name: String) -> eyre::Result<Self> {
        let output = process
            .stdout
            .take()
            .ok_or_else(|| eyre!("{name} has no output"))?;
        let (sender, lines) = sync_channel(LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            input: process.stdin.take(),
            process,
            lines,
            name,
        })
    }

    /// The next line, or nothing after the last one.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn line(&self) -> eyre::Result<Option<String>> {
        match self.lines.recv_timeout(LONG) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("{} says nothing for {LONG:?}", self.name),
        }
    }

    /// Waits for a line that begins so; the rest of it.
    ///
    /// # Errors
    /// When there is none.
    pub fn says(&self, begin: &str) -> eyre::Result<String> {
        while let Some(line) = self.line()? {
            if let Some(rest) = line.strip_prefix(begin) {
                return Ok(rest.to_owned());
            }
        }
        bail!("{} has ended without saying `{begin}`", self.name)
    }

    /// All that it prints until it ends.
    ///
    /// # Errors
    /// When it is silent for too long.
    pub fn rest(&self) -> eyre::Result<String> {
        let mut text = String::new();
        while let Some(line) = self.line()? {
            text += &line;
            text.push('\n');
        }
        Ok(text)
    }

    /// Ends its standard input, if it has one from here.
    pub fn end_input(&mut self) {
        self.input = None;
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.end_input();
        if let Err(error) = ended(&mut self.process, END) {
            eprintln!("{} may run on: {error}", self.name);
        }
    }
}

/// In a process that [`Part::this`] has started: calls `ended` when the one who has started it does not need it any more.
pub fn when_input_ends(ended: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        // However it ends, nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended();
    });
}
