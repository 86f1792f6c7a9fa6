//! What a plugin declares, asked of a helper process that loads it: a plugin that crashes, hangs or exits while it is
//! loaded ends only that process.
//!
//! Invariant: the file check has passed before the helper is started, and the helper is gone when the answer is there,
//! at the deadline, and when this process ends in whatever way. Absent: running nodes.

use super::info::PluginInfo;
use super::preflight::{self, Isolation, Machine, PreflightError};
use super::{Loader, LoaderOptions};
use crate::sys::{ending, family::Family};
use crate::tail::{Tail, each_line};
use plugin_abi::executable::DESCRIBE;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The hidden subcommand with which a program is asked to be the helper; it calls [`answer`].
pub const SUBCOMMAND: &str = "__describe";
/// Its flag for [`Isolation::Own`].
pub const OWN: &str = "--own";

/// How long loading may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long what the helper has written may take to arrive once it has ended.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Lines of the helper's standard error that are kept.
const ERROR_LINES: usize = 20;
/// Starts the line with the answer. What the plugin itself prints stands on lines of its own.
const MARK: &str = "\u{1}dora-plugin-info ";

/// What the helper writes behind [`MARK`].
#[derive(Serialize, Deserialize)]
enum Answer {
    Loaded(PluginInfo),
    /// The text of the [`super::LoadError`].
    Refused(String),
}

/// Why it is not known what a plugin declares. The text is what follows the file's path.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// The file does not pass the file check.
    #[error(transparent)]
    Refused(#[from] PreflightError),
    /// It cannot be loaded: the words of [`super::LoadError`].
    #[error("{0}")]
    Load(String),
    /// It crashed.
    #[error("crashed while it was loaded ({how})")]
    Crashed {
        /// The name of the crash.
        how: String,
        /// The last lines of its standard error.
        output: Vec<String>,
    },
    /// It ended the process without a crash.
    #[error("ended the process that loaded it ({how}); a plugin must not call exit")]
    Exited {
        /// The exit status in words.
        how: String,
        /// The last lines of its standard error.
        output: Vec<String>,
    },
    /// It was not loaded in time.
    #[error("was still not loaded after {after:?}; its constructors or its entry hang")]
    TimedOut {
        /// The time that it had.
        after: Duration,
        /// The last lines of its standard error.
        output: Vec<String>,
    },
    /// There is no helper process.
    #[error("cannot be loaded in a helper process: {} does not start: {source}", program.display())]
    Helper {
        /// The program that should have been the helper.
        program: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl DescribeError {
    /// The last lines that the plugin wrote to its standard error, if it got so far; without control characters.
    pub fn output(&self) -> &[String] {
        match self {
            Self::Crashed { output, .. }
            | Self::Exited { output, .. }
            | Self::TimedOut { output, .. } => output,
            Self::Refused(_) | Self::Load(_) | Self::Helper { .. } => &[],
        }
    }
}

/// The running executable, to be started again as a helper.
///
/// # Errors
/// The system does not tell where it is.
pub fn this_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    // Also when the file was replaced or removed by a build in the meantime.
    let itself = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && itself.exists() {
        return Ok(itself.to_owned());
    }
    Ok(program)
}

/// Asks helper processes what plugins declare. Any thread.
#[derive(Debug, Clone)]
pub struct Describer {
    program: PathBuf,
    deadline: Duration,
    isolation: Isolation,
}

impl Describer {
    /// With the running executable as the helper: it must know [`SUBCOMMAND`].
    ///
    /// # Errors
    /// The system does not tell where the running executable is.
    pub fn new() -> Result<Self, DescribeError> {
        this_program()
            .map(Self::with_program)
            .map_err(|source| DescribeError::Helper {
                program: "dora".into(),
                source,
            })
    }

    /// With another program as the helper, which must know [`SUBCOMMAND`].
    pub fn with_program(program: PathBuf) -> Self {
        Self {
            program,
            deadline: DEADLINE,
            isolation: Isolation::Shared,
        }
    }

    /// With another deadline than 10 s for each plugin.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// For plugins that will share their process with others (the default) or not.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Loads the plugin in a helper process and returns what it declares.
    ///
    /// # Errors
    /// See [`DescribeError`].
    pub fn describe(&self, path: &Path) -> Result<PluginInfo, DescribeError> {
        let report = preflight::read_file(path)?;
        preflight::check(&report, &Machine::this(), self.isolation)?;
        let mut arguments: Vec<OsString> = vec![SUBCOMMAND.into()];
        if self.isolation == Isolation::Own {
            arguments.push(OWN.into());
        }
        arguments.extend(["--".into(), path.into()]);
        self.ask(Command::new(&self.program).args(arguments), of_helper)
    }

    /// Runs an executable of ours for what it declares.
    ///
    /// # Errors
    /// See [`DescribeError`].
    pub fn describe_executable(&self, path: &Path) -> Result<PluginInfo, DescribeError> {
        let report = preflight::read_file(path)?;
        if let Some(checked) = preflight::check_executable(&report, &Machine::this()) {
            checked?;
        }
        self.ask(Command::new(path).arg(DESCRIBE), of_executable)
    }

    /// [`Describer::describe`] for many, up to `parallel` at a time. Hands over the results in the order of the paths,
    /// each as soon as those before it are there, in the calling thread; `Break` starts no more.
    pub fn describe_many(
        &self,
        paths: &[PathBuf],
        parallel: NonZeroUsize,
        each: &mut dyn FnMut(usize, Result<PluginInfo, DescribeError>) -> ControlFlow<()>,
    ) {
        let next = AtomicUsize::new(0);
        let stopped = AtomicBool::new(false);
        let (done, results) = channel();
        thread::scope(|scope| {
            for _ in 0..parallel.get().min(paths.len()) {
                let done = done.clone();
                scope.spawn(|| {
                    let done = done;
                    while !stopped.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = paths.get(index) else { return };
                        // Nobody listens after a break.
                        let _ = done.send((index, self.describe(path)));
                    }
                });
            }
            drop(done);
            in_order(&results, each);
            stopped.store(true, Ordering::Relaxed);
        });
    }

    fn ask(&self, command: &mut Command, read: ReadLine) -> Result<PluginInfo, DescribeError> {
        let mut helper = start(command, read)?;
        let until = Instant::now() + self.deadline;
        let end = helper.listen(until);
        helper.end();
        let output = || helper.error_lines();
        match end {
            End::Answer(Answer::Loaded(info)) => Ok(info),
            End::Answer(Answer::Refused(text)) => Err(DescribeError::Load(text)),
            End::Ended(status) => Err(match ending::crash(status) {
                Some(how) => DescribeError::Crashed {
                    how,
                    output: output(),
                },
                None => DescribeError::Exited {
                    how: status.to_string(),
                    output: output(),
                },
            }),
            End::TimedOut => Err(DescribeError::TimedOut {
                after: self.deadline,
                output: output(),
            }),
        }
    }
}

fn start(command: &mut Command, read: ReadLine) -> Result<Helper, DescribeError> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let family = Family::spawn(command).map_err(|source| DescribeError::Helper {
        program: command.get_program().into(),
        source,
    })?;
    Ok(Helper::new(family, read))
}

/// The answer in a line of standard output, if it has one.
type ReadLine = fn(&str) -> Option<Answer>;

fn of_helper(line: &str) -> Option<Answer> {
    serde_json::from_str(line.strip_prefix(MARK)?).ok()
}

fn of_executable(line: &str) -> Option<Answer> {
    serde_json::from_str(line).ok().map(Answer::Loaded)
}

/// Hands results over in the order of their numbers.
fn in_order<T>(results: &Receiver<(usize, T)>, each: &mut dyn FnMut(usize, T) -> ControlFlow<()>) {
    let mut waiting = std::collections::BTreeMap::new();
    let mut next = 0;
    for (index, result) in results {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&next) {
            if each(next, result).is_break() {
                return;
            }
            next += 1;
        }
    }
}

/// A running helper. Killed when dropped.
struct Helper {
    family: Arc<Family>,
    /// Open as long as the answer is wanted: the helper ends when this process does.
    _stdin: Option<std::process::ChildStdin>,
    news: Receiver<News>,
    errors: Arc<Mutex<Tail>>,
    ended: Option<ExitStatus>,
}

/// What a helper's threads tell.
enum News {
    Answer(Answer),
    /// One of the two pipes is at its end.
    Silent,
    Ended(ExitStatus),
}

/// How asking ended.
enum End {
    Answer(Answer),
    Ended(ExitStatus),
    TimedOut,
}

impl Helper {
    fn new(family: Family, read: ReadLine) -> Self {
        let family = Arc::new(family);
        let (tell, news) = channel();
        let (stdin, stdout, stderr) = family.pipes();
        let errors = Arc::new(Mutex::new(Tail::new(ERROR_LINES)));
        if let Some(stdout) = stdout {
            let tell = tell.clone();
            thread::spawn(move || read_answer(stdout, read, &tell));
        }
        if let Some(stderr) = stderr {
            let (tell, errors) = (tell.clone(), errors.clone());
            thread::spawn(move || {
                let keep = |line: &str| {
                    let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
                    errors.push(line);
                };
                // An unreadable pipe is as good as a closed one.
                let _ = each_line(stderr, keep);
                let _ = tell.send(News::Silent);
            });
        }
        let waits = family.clone();
        thread::spawn(move || {
            if let Ok(status) = waits.wait() {
                let _ = tell.send(News::Ended(status));
            }
        });
        Self {
            family,
            _stdin: stdin,
            news,
            errors,
            ended: None,
        }
    }

    /// Waits for the answer, or for the end and what was written until then.
    fn listen(&mut self, until: Instant) -> End {
        let (mut until, mut silent) = (until, 0);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(News::Answer(answer)) => return End::Answer(answer),
                Ok(News::Silent) => silent += 1,
                Ok(News::Ended(status)) => {
                    self.ended = Some(status);
                    until = Instant::now() + ARRIVAL;
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return self.ended.map_or(End::TimedOut, End::Ended);
                }
            }
            if let (Some(status), 2) = (self.ended, silent) {
                return End::Ended(status);
            }
        }
    }

    /// Kills it, and waits until it is gone, though not for ever: a process may hang in the system.
    fn end(&mut self) {
        self.family.kill();
        let until = Instant::now() + ARRIVAL;
        while self.ended.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(News::Ended(status)) => self.ended = Some(status),
                Ok(News::Answer(_) | News::Silent) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn error_lines(&self) -> Vec<String> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.clone().into_lines().0
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.family.kill();
    }
}

fn read_answer(stdout: impl Read, read: ReadLine, tell: &Sender<News>) {
    // Nobody listens any more when a send fails.
    let _ = each_line(stdout, |line| {
        if let Some(answer) = read(line) {
            let _ = tell.send(News::Answer(answer));
        }
    });
    let _ = tell.send(News::Silent);
}

/// The helper's side: loads the plugin and writes what it declares to standard output. Call it in a process that does
/// nothing else, from the subcommand [`SUBCOMMAND`]; the process ends when its standard input does.
///
/// # Errors
/// Standard output is closed.
pub fn answer(path: &Path, isolation: Isolation) -> io::Result<()> {
    let (up, is_up) = channel();
    thread::spawn(move || {
        // A thread that starts needs the loader's lock: it must be up before a plugin can hang with that lock held.
        let _ = up.send(());
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        // Nobody waits for the answer any more. A plugin that hangs while it is loaded holds the loader's lock, which
        // an orderly end would wait for.
        ending::vanish();
    });
    let _ = is_up.recv();
    let loader = Loader::new(LoaderOptions {
        isolation,
        in_place: super::in_place_wanted(),
        level: Arc::new(AtomicU32::new(3)),
        log: Arc::new(|_, line| {
            // Whoever asked may have gone.
            let _ = writeln!(io::stderr(), "{}: {}", line.target, line.message);
        }),
    });
    let answer = match loader.load(path) {
        Ok(plugin) => Answer::Loaded(plugin.info().clone()),
        Err(error) => Answer::Refused(error.to_string()),
    };
    // Removes the private copy: nobody waits for what comes behind the answer.
    drop(loader);
    let answer = serde_json::to_string(&answer)?;
    let mut stdout = io::stdout().lock();
    // In one piece, and behind whatever the plugin has left of a line.
    stdout.write_all(format!("\n{MARK}{answer}\n").as_bytes())?;
    stdout.flush()
}
