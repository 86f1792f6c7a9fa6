//! Runs a program to its end, or to a deadline, and leaves nothing of it behind.
//!
//! Invariant: when `run` returns, the program has ended, and all that it started in its process group has been killed.

use crate::folder;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at what shared memory a program has.
const LOOK: Duration = Duration::from_millis(50);

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// The command line, for messages.
    pub command: String,
    /// How it ended; `None` when it was killed at the deadline.
    pub status: Option<ExitStatus>,
    /// What it wrote to standard output; bytes that are no text are replaced.
    pub stdout: String,
    /// What it wrote to standard error; likewise.
    pub stderr: String,
}

impl Run {
    /// Its standard output.
    ///
    /// # Panics
    /// When it failed or was killed; the message has all that it wrote.
    pub fn success(self) -> String {
        match self.status {
            Some(status) if status.success() => self.stdout,
            _ => panic!("{self}"),
        }
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self
            .status
            .map_or_else(|| "killed at the deadline".into(), |s| s.to_string());
        write!(
            f,
            "{}: {end}\n--- standard output\n{}\n--- standard error\n{}",
            self.command, self.stdout, self.stderr
        )
    }
}

/// Runs a program with no standard input. At the deadline it is killed, with all that it started.
///
/// # Panics
/// When the program cannot be started.
pub fn run(command: &mut Command, deadline: Duration) -> Run {
    let until = Instant::now() + deadline;
    let shown = format!("{command:?}");
    let folder = folder::mark(command);
    own_group(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => panic!("cannot start {shown}: {error}"),
    };
    let id = child.id();
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let end = wait(child);
    let status = loop {
        match end.recv_timeout(remaining(until).min(LOOK)) {
            Err(RecvTimeoutError::Timeout) if !remaining(until).is_zero() => {
                folder::note_one(folder.as_deref(), id);
            }
            ended => break ended.ok(),
        }
    };
    // What it left behind may hold the pipes open, so that they would never end.
    kill_group(id);
    if status.is_none() {
        // Killed now: its end is near.
        end.recv().ok();
    }
    Run {
        command: shown,
        status,
        stdout: stdout.recv().unwrap_or_default(),
        stderr: stderr.recv().unwrap_or_default(),
    }
}

fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Reads a pipe to its end in a thread: a full pipe would stop the program.
fn drain<P: Read + Send + 'static>(pipe: Option<P>) -> Receiver<String> {
    let (done, result) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).ok();
        }
        done.send(String::from_utf8_lossy(&bytes).into_owned()).ok();
    });
    result
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (done, result) = channel();
    thread::spawn(move || {
        if let Ok(status) = child.wait() {
            done.send(status).ok();
        }
    });
    result
}

#[cfg(unix)]
pub(crate) fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(unix)]
pub(crate) fn kill_group(id: u32) {
    // The shell has the command built in; not every system has it as a program.
    quietly(Command::new("sh").args(["-c", &format!("kill -s KILL -- -{id}")]));
}

#[cfg(windows)]
pub(crate) fn own_group(_: &mut Command) {}

#[cfg(windows)]
pub(crate) fn kill_group(id: u32) {
    quietly(Command::new("taskkill").args(["/F", "/T", "/PID", &id.to_string()]));
}

/// That there is nothing left to kill is the usual case.
fn quietly(command: &mut Command) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, deadline: Duration) -> Run {
        run(Command::new("sh").args(["-c", script]), deadline)
    }

    #[test]
    fn output_and_status_come_back() {
        let run = shell("echo out; echo err >&2; exit 3", Duration::from_secs(20));
        assert_eq!(
            (run.stdout.as_str(), run.stderr.as_str()),
            ("out\n", "err\n")
        );
        assert_eq!(run.status.and_then(|status| status.code()), Some(3));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let started = Instant::now();
        let run = shell("sleep 100 & echo $!; sleep 100", Duration::from_millis(500));
        assert!(run.status.is_none() && started.elapsed() < Duration::from_secs(20));
        // Killed, it closes its pipes before it is gone; then nobody may have collected it yet: a zombie has ended.
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", run.stdout.trim()));
            let stat = stat.unwrap_or_default();
            let state = stat.rsplit(") ").next().unwrap_or_default();
            if state.is_empty() || state.starts_with('Z') {
                break;
            }
            assert!(Instant::now() < until, "{state}: {run}");
            thread::yield_now();
        }
    }

    #[test]
    fn what_a_program_leaves_behind_does_not_hold_us_up() {
        let started = Instant::now();
        let run = shell("sleep 100 & echo done", Duration::from_secs(50));
        assert_eq!(run.success(), "done\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}
