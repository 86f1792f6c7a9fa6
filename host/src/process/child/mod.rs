//! The life of one child process: it is spawned with a family of its own, what it prints is read, its end is told once.
//!
//! Invariant: whatever the child does, its pipes are read to their end, so that it never waits for us longer than a hook
//! takes; memory is bounded; its end is told after what it has printed. Dropping a [`Child`] kills it and all of its
//! family, and leaves no zombie. Absent: what to run and why not ([`super::program`]), restarts, deadlines of a stop.

#[cfg(all(test, unix))]
mod tests;

use crate::logs::Stream;
use crate::sys::crash::{self, stack};
use crate::sys::family::Family;
use crate::sys::{affinity, ending};
use crate::tail::{Tail, each_line};
use plugin_abi::wire::stack as answer;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Lines of standard error that are kept for the message about a failure, besides a report of its crash.
pub const KEPT_LINES: usize = 20;
/// How long what a child has printed may take to arrive once it has ended. Only what left the family and still holds a
/// pipe takes so long.
const ARRIVAL: Duration = Duration::from_secs(1);
/// How long a thread that is asked where it is may take to say so.
const ANSWER: Duration = Duration::from_secs(1);
/// Stack of the threads that read and wait, which do little more than call a hook.
const STACK_BYTES: usize = 512 * 1024;

/// What to start. May be started again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The file.
    pub program: PathBuf,
    /// Its arguments, without its own name.
    pub args: Vec<OsString>,
    /// Variables that are set, or taken away, beside those of this process.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// The folder that it works in.
    pub folder: PathBuf,
    /// Its standard input.
    pub stdin: Input,
    /// The cores that it may run on; empty means all.
    pub cores: Vec<usize>,
}

/// Where a child's standard input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// It is at its end at once.
    #[default]
    Null,
    /// From [`Child::take_stdin`].
    Piped,
}

impl Launch {
    /// The program with these arguments in a folder, with the environment of this process.
    pub fn new(program: PathBuf, args: Vec<OsString>, folder: PathBuf) -> Self {
        Self {
            program,
            args,
            env: Vec::new(),
            folder,
            stdin: Input::Null,
            cores: Vec::new(),
        }
    }

    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.env.push((name.into(), Some(value.into())));
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: impl Into<OsString>) {
        self.env.push((name.into(), None));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder);
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let stdin = match self.stdin {
            Input::Null => Stdio::null(),
            Input::Piped => Stdio::piped(),
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Who is told of a line, without its end. The two streams have a thread each; while the hook waits the child may have to
/// wait too, for as long as its pipe is full.
pub type OnLine = Box<dyn Fn(Stream, &str) + Send + Sync>;
/// Who is told of the end, once.
pub type OnExit = Box<dyn FnOnce(Exit) + Send>;

/// What a child's threads tell.
pub struct Hooks {
    /// Each line that it prints.
    pub on_line: OnLine,
    /// Its end, after its last line. What a descendant that has left the family prints later is not told any more.
    pub on_exit: OnExit,
}

/// How a child ended. Displays as `exit code 3` or `SIGSEGV`.
#[derive(Debug)]
pub struct Exit {
    /// What the system says; an error when it says nothing.
    pub status: io::Result<ExitStatus>,
    /// The last [`KEPT_LINES`] lines of its standard error, and what [`sys::crash`](crate::sys::crash) has reported there, or a
    /// thread that was asked where it is, with nothing in them that a terminal would obey.
    pub stderr: Vec<String>,
    /// How many lines of standard error came before them.
    pub stderr_before: u64,
    /// Whether [`Child::kill`] was called, or the [`Child`] dropped, before it had ended.
    pub killed: bool,
}

impl Exit {
    /// It ended by itself, with the code 0.
    pub fn success(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }

    /// The name of the crash or signal that ended it; `None` when it ended by itself.
    pub fn crash(&self) -> Option<String> {
        self.status.as_ref().ok().copied().and_then(ending::crash)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.status, self.crash()) {
            (Err(error), _) => write!(f, "an unknown end ({error})"),
            (Ok(_), Some(crash)) => f.write_str(&crash),
            (Ok(status), None) => match status.code() {
                Some(code) => write!(f, "exit code {code}"),
                None => write!(f, "{status}"),
            },
        }
    }
}

/// A child process with its family. Any thread.
#[derive(Debug)]
pub struct Child {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    family: Family,
    stdin: Mutex<Option<ChildStdin>>,
    stderr: Mutex<Tail>,
    /// Whether it has told where one of its threads is.
    told: Mutex<bool>,
    heard: Condvar,
    killed: AtomicBool,
    /// Its end is being told: no more lines.
    over: AtomicBool,
}

impl Child {
    /// Starts it: in a process group of its own, or in a job of its own on Windows. The hooks are called from threads of
    /// its own, from now on.
    ///
    /// # Errors
    /// The system's, when it cannot be started. No hook is called then.
    pub fn spawn(launch: &Launch, hooks: Hooks) -> io::Result<Self> {
        Self::start(launch, launch.command(), hooks)
    }

    /// As [`Child::spawn`], with this standard input.
    ///
    /// # Errors
    /// As there.
    pub fn spawn_with(launch: &Launch, stdin: Stdio, hooks: Hooks) -> io::Result<Self> {
        let mut command = launch.command();
        command.stdin(stdin);
        Self::start(launch, command, hooks)
    }

    fn start(launch: &Launch, mut command: Command, hooks: Hooks) -> io::Result<Self> {
        if !launch.cores.is_empty() {
            affinity::pin_command(&mut command, &launch.cores).map_err(of_cores)?;
        }
        let family = Family::spawn(&mut command)?;
        if !launch.cores.is_empty() {
            affinity::pin_process(family.id(), &launch.cores).map_err(of_cores)?;
        }
        let (stdin, stdout, stderr) = family.pipes();
        let shared = Arc::new(Shared {
            family,
            stdin: Mutex::new(stdin),
            stderr: Mutex::new(Tail::new(KEPT_LINES)),
            told: Mutex::default(),
            heard: Condvar::new(),
            killed: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        // From here on an error ends the child with this value.
        let child = Self {
            shared: shared.clone(),
        };
        let (silent, silence) = channel();
        let on_line = Arc::new(hooks.on_line);
        if let Some(pipe) = stdout {
            let job = Reading::new(Stream::Stdout, &shared, &on_line, &silent);
            thread("dora-out", move || job.run(pipe))?;
        }
        if let Some(pipe) = stderr {
            let job = Reading::new(Stream::Stderr, &shared, &on_line, &silent);
            thread("dora-err", move || job.run(pipe))?;
        }
        drop(silent);
        let on_exit = hooks.on_exit;
        thread("dora-exit", move || {
            on_exit(wait(&shared, &silence));
        })?;
        Ok(child)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.shared.family.id()
    }

    /// The other end of its standard input, once, if it was to be piped.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        lock(&self.shared.stdin).take()
    }

    /// Asks it and its family to end: SIGTERM on Unix, Ctrl-Break on Windows, where only programs with the console of this
    /// process get it. Without effect once it has ended.
    pub fn terminate(&self) {
        self.shared.family.ask_only();
    }

    /// Has one of its threads say on its standard error where it is, if it can be asked, and waits for that a moment.
    pub fn ask_stack(&self, thread: u32) {
        if stack::ask(self.id(), thread).is_err() {
            return;
        }
        let untold = |told: &mut bool| !*told;
        let told = lock(&self.shared.told);
        // Without an answer there are no frames.
        let waited = self.shared.heard.wait_timeout_while(told, ANSWER, untold);
        drop(waited);
    }

    /// Kills it and its family. Never waits; its end is told as any other.
    pub fn kill(&self) {
        self.shared.kill();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The thread that waits collects it.
        self.shared.kill();
    }
}

impl Shared {
    fn kill(&self) {
        if !self.family.has_ended() {
            self.killed.store(true, Ordering::Relaxed);
        }
        self.family.kill();
    }
}

/// The work of a thread that reads one of the pipes.
struct Reading {
    stream: Stream,
    shared: Arc<Shared>,
    on_line: Arc<OnLine>,
    silent: Sender<()>,
}

impl Reading {
    fn new(
        stream: Stream,
        shared: &Arc<Shared>,
        on_line: &Arc<OnLine>,
        silent: &Sender<()>,
    ) -> Self {
        Self {
            stream,
            shared: shared.clone(),
            on_line: on_line.clone(),
            silent: silent.clone(),
        }
    }

    fn run(self, pipe: impl Read) {
        let mut crashed = false;
        // A pipe that cannot be read further is as good as a closed one. After the child's end the rest is read and
        // dropped: who still holds the pipe must not wait for it.
        let _ = each_line(pipe, |line| {
            if self.shared.over.load(Ordering::Acquire) {
                return;
            }
            if self.stream == Stream::Stderr {
                let mut kept = lock(&self.shared.stderr);
                let begins = [crash::BEGIN, answer::BEGIN].map(|begin| line.starts_with(begin));
                if !crashed && begins.contains(&true) {
                    crashed = true;
                    kept.keep_more(crash::LINES);
                }
                kept.push(line);
                drop(kept);
                if line == answer::END {
                    *lock(&self.shared.told) = true;
                    self.shared.heard.notify_all();
                }
            }
            (self.on_line)(self.stream, line);
        });
        // Nobody listens when the deadline has passed.
        let _ = self.silent.send(());
    }
}

/// Waits for the end, then for what was printed before it.
fn wait(shared: &Shared, silence: &Receiver<()>) -> Exit {
    let status = shared.family.wait();
    let until = Instant::now() + ARRIVAL;
    for _ in 0..2 {
        let left = until.saturating_duration_since(Instant::now());
        // An error: the deadline, or a pipe that never was.
        let _ = silence.recv_timeout(left);
    }
    shared.over.store(true, Ordering::Release);
    let (stderr, stderr_before) = lock(&shared.stderr).clone().into_lines();
    Exit {
        status,
        stderr,
        stderr_before,
        killed: shared.killed.load(Ordering::Relaxed),
    }
}

/// Names the key that the cores come from.
fn of_cores(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cpu_affinity: {error}"))
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.stack_size(STACK_BYTES).spawn(work).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
