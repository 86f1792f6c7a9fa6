//! A program that runs while a test does other things, with what it writes at hand at any time.
//!
//! Invariant: when a [`Background`] is dropped, the program and all of its process group are dead and collected, whatever
//! became of the test. Every wait has a deadline and says at its end what the program has written. Absent: what the
//! program is.

use crate::folder;
use crate::program::{Run, kill_group, own_group};
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at a condition that nothing announces.
const LOOK: Duration = Duration::from_millis(5);

/// What a program has written so far.
#[derive(Default)]
struct Written {
    text: Mutex<Text>,
    more: Condvar,
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    closed: bool,
}

impl Written {
    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits until the text is as wanted; whether it is.
    fn wait(&self, until: Instant, wanted: impl Fn(&str, bool) -> bool) -> bool {
        let mut text = self.lock();
        loop {
            if wanted(&String::from_utf8_lossy(&text.bytes), text.closed) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.more.wait_timeout(text, left);
            text = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Reads a pipe to its end in a thread: a full pipe would stop the program.
fn drain<P: Read + Send + 'static>(mut pipe: Option<P>) -> Arc<Written> {
    let written = Arc::new(Written::default());
    let to = Arc::clone(&written);
    thread::spawn(move || {
        let mut part = [0; 4096];
        while let Some(pipe) = pipe.as_mut() {
            match pipe.read(&mut part) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let read = part.get(..count).unwrap_or_default();
                    to.lock().bytes.extend_from_slice(read);
                    to.more.notify_all();
                }
            }
        }
        to.lock().closed = true;
        to.more.notify_all();
    });
    written
}

/// A program that runs in the background, in a process group of its own, without standard input.
pub struct Background {
    command: String,
    child: Child,
    /// The folder that it belongs to.
    folder: Option<PathBuf>,
    stdout: Arc<Written>,
    stderr: Arc<Written>,
}

impl Background {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
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
        Self {
            command: shown,
            folder,
            stdout: drain(child.stdout.take()),
            stderr: drain(child.stderr.take()),
            child,
        }
    }

    /// Its process id, which is that of its group too.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far; bytes that are no text are replaced.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has written to standard error so far; likewise.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits until its standard output has a whole line that starts with `begin`, and returns the line.
    ///
    /// # Panics
    /// When there is none by the deadline, or the stream ends without it.
    pub fn line(&self, begin: &str, deadline: Duration) -> String {
        let find = |text: &str| {
            let mut lines = text.split_inclusive('\n');
            let found = lines.find(|line| line.starts_with(begin) && line.ends_with('\n'));
            found.map(|line| line.trim_end().to_owned())
        };
        let until = Instant::now() + deadline;
        self.stdout
            .wait(until, |text, closed| closed || find(text).is_some());
        match find(&self.stdout()) {
            Some(line) => line,
            None => panic!("no line `{begin}…` within {deadline:?}: {self}"),
        }
    }

    /// Waits until its standard output contains `text`.
    ///
    /// # Panics
    /// When it does not by the deadline.
    pub fn says(&self, text: &str, deadline: Duration) {
        self.expect(&self.stdout, text, deadline);
    }

    /// Waits until its standard error contains `text`.
    ///
    /// # Panics
    /// When it does not by the deadline.
    pub fn complains(&self, text: &str, deadline: Duration) {
        self.expect(&self.stderr, text, deadline);
    }

    fn expect(&self, stream: &Written, text: &str, deadline: Duration) {
        let until = Instant::now() + deadline;
        stream.wait(until, |found, closed| closed || found.contains(text));
        assert!(
            stream.text().contains(text),
            "nothing of `{text}` within {deadline:?}: {self}"
        );
    }

    /// Sends it a signal by its name, such as `INT`, `KILL`, `STOP` or `CONT`: to the process alone.
    ///
    /// # Panics
    /// When it cannot be sent.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        self.note();
        let script = format!("kill -s {name} {}", self.id());
        crate::run(Command::new("sh").args(["-c", &script]), LIMIT).success();
    }

    /// As [`Background::signal`], to the processes that it has started instead: a command that has a guard has one.
    ///
    /// # Panics
    /// When it has none, or it cannot be sent.
    #[cfg(unix)]
    pub fn signal_child(&self, name: &str) {
        let children = self.children();
        assert!(!children.is_empty(), "no child: {self}");
        for child in children {
            let script = format!("kill -s {name} {child}");
            crate::run(Command::new("sh").args(["-c", &script]), LIMIT).success();
        }
    }

    /// The processes that it has started and that have not ended.
    ///
    /// # Panics
    /// When the system does not list processes.
    #[cfg(unix)]
    pub fn children(&self) -> Vec<u32> {
        // Whoever asks is about to end one.
        self.note();
        let mut list = Command::new("ps");
        let list = crate::run(list.args(["-A", "-o", "pid=,ppid=,stat="]), LIMIT).success();
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            let (id, parent) = (words.next()?.parse().ok()?, words.next()?);
            let wanted = parent == self.id().to_string() && !words.next()?.starts_with('Z');
            wanted.then_some(id)
        };
        list.lines().filter_map(row).collect()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap_or_default()
    }

    /// Waits until it has ended by itself. What is left of its group is killed.
    ///
    /// # Panics
    /// When it has not by the deadline.
    pub fn end(mut self, deadline: Duration) -> Run {
        self.note();
        let until = Instant::now() + deadline;
        while self.ended().is_none() {
            assert!(
                Instant::now() < until,
                "has not ended within {deadline:?}: {self}"
            );
            thread::sleep(LOOK);
        }
        self.kill()
    }

    /// Asks it to end in order, also when it is frozen, and kills it when it does not.
    pub fn finish(mut self) {
        self.ask_to_end();
        self.kill();
    }

    #[cfg(unix)]
    fn ask_to_end(&mut self) {
        if self.ended().is_none() {
            self.signal("TERM");
            self.signal("CONT");
            let until = Instant::now() + LIMIT;
            while self.ended().is_none() && Instant::now() < until {
                thread::sleep(LOOK);
            }
        }
    }

    /// There is nothing to ask it with.
    #[cfg(not(unix))]
    fn ask_to_end(&mut self) {}

    /// Kills it with its group, and returns what it has done.
    pub fn kill(mut self) -> Run {
        let status = self.ended();
        self.end_group();
        Run {
            command: self.command.clone(),
            status,
            stdout: self.all(&self.stdout),
            stderr: self.all(&self.stderr),
        }
    }

    /// The whole stream. What left the group may hold it open: that is not waited for.
    fn all(&self, stream: &Written) -> String {
        stream.wait(Instant::now() + LIMIT, |_, closed| closed);
        stream.text()
    }

    /// For whoever looks at what is left of it.
    fn note(&self) {
        folder::note(self.folder.as_deref());
    }

    fn end_group(&mut self) {
        self.note();
        kill_group(self.id());
        // Where the group has not got it, as after it was collected, there is nothing to kill.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How long things may take that take no time.
const LIMIT: Duration = Duration::from_secs(10);

impl Drop for Background {
    fn drop(&mut self) {
        self.end_group();
    }
}

impl std::fmt::Display for Background {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\n--- standard output\n{}\n--- standard error\n{}",
            self.command,
            self.stdout(),
            self.stderr()
        )
    }
}

/// Looks again and again until the condition holds.
///
/// # Panics
/// When it does not by the deadline.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < until, "not within {deadline:?}: {what}");
        thread::sleep(LOOK);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Background {
        Background::start(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn what_it_writes_is_seen_while_it_runs() {
        let mut program = shell("echo one; echo two >&2; echo three four; exec sleep 100");
        assert_eq!(program.line("three", LIMIT), "three four");
        program.complains("two", LIMIT);
        assert!(program.ended().is_none());
        program.signal("INT");
        let run = program.end(LIMIT);
        assert!(run.status.is_some_and(|status| !status.success()), "{run}");
    }

    #[test]
    fn it_ends_with_its_group() {
        let program = shell("sleep 100 & echo $!; wait");
        program.says("\n", LIMIT);
        // The child holds the pipe open until it is dead.
        let run = program.kill();
        assert!(run.status.is_none() && run.stdout.ends_with('\n'), "{run}");
    }

    #[test]
    #[should_panic(expected = "no line `never…`")]
    fn a_line_that_does_not_come_is_a_failure() {
        shell("echo something else").line("never", LIMIT);
    }
}
