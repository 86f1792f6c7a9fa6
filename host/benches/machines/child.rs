//! This program again, as a process that plays one of the parts.
//!
//! Invariant: a child ends when its standard input does, which it does at the latest with this process; every line that
//! is waited for has a deadline.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What takes longer has failed.
const LONG: Duration = Duration::from_secs(120);
/// What a child has for its end.
const END: Duration = Duration::from_secs(10);

/// A process that ends when this is dropped.
pub struct Part {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Part {
    /// Starts it with the arguments of its part.
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a file");
        let mut command = Command::new(program);
        command.arg("as").args(arguments);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let output = process.stdout.take().expect("it is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            input: process.stdin.take(),
            process,
            lines,
            name: arguments.first().copied().unwrap_or_default().to_owned(),
        }
    }

    /// The next line that it prints, or `None` when it has ended.
    pub fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(LONG) {
            Ok(line) => Some(line),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                panic!("the {} says nothing for {LONG:?}", self.name)
            }
        }
    }

    /// What it says when it is ready.
    pub fn ready(&self) -> String {
        self.line()
            .unwrap_or_else(|| panic!("the {} has not started", self.name))
    }

    /// All that it prints until it ends.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::from_fn(|| self.line())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        drop(self.input.take());
        let end = Instant::now() + END;
        while Instant::now() < end {
            if let Ok(Some(_)) = self.process.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It has had its time; if it ended just now there is nothing to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a child: calls `ended` when the standard input ends.
pub fn when_input_ends(ended: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        // However it ends, nobody is there any more.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended();
    });
}
