//! The thread that runs one job's commands, one after the other.

use super::job::{CommandLine, Job};
use super::{Event, Reason};
use crate::descriptor::resolve::Places;
use crate::sys::family::Family;
use crate::tail::{each_line, plain};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long what a command has written may take to arrive once it has ended.
const ARRIVAL: Duration = Duration::from_secs(1);

/// A job's thread, as its owner sees it. Dropped, it ends what runs.
pub(super) struct Worker(Arc<Slot>);

/// What runs at the moment.
#[derive(Default)]
struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    family: Option<Arc<Family>>,
    /// Nothing more is started.
    stopped: bool,
}

impl Worker {
    /// Starts the thread. Its last event is [`Event::Ended`].
    pub fn start(index: usize, job: Job, tell: SyncSender<Event>) -> Self {
        let slot = Arc::new(Slot::default());
        let worker = Self(slot.clone());
        thread::spawn(move || {
            let result = run(index, &job, &slot, &tell);
            // Nobody listens any more when the build was given up.
            let _ = tell.send(Event::Ended(index, result));
        });
        worker
    }

    /// Asks what runs to end; nothing more is started.
    pub fn ask_to_end(&self) {
        if let Some(family) = self.0.stop() {
            family.ask_to_end();
        }
    }

    /// Kills what runs; nothing more is started.
    pub fn kill(&self) {
        if let Some(family) = self.0.stop() {
            family.kill();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Slot {
    fn stop(&self) -> Option<Arc<Family>> {
        let mut state = self.state();
        state.stopped = true;
        state.family.clone()
    }

    /// Starts the command, unless it is too late for that.
    fn spawn(&self, command: &mut Command) -> std::io::Result<Arc<Family>> {
        let mut state = self.state();
        if state.stopped {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let family = Arc::new(Family::spawn(command)?);
        state.family = Some(family.clone());
        Ok(family)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(
    index: usize,
    job: &Job,
    slot: &Slot,
    tell: &SyncSender<Event>,
) -> Result<(), (CommandLine, Reason)> {
    for command in &job.commands {
        run_one(index, job, command, slot, tell).map_err(|reason| (command.clone(), reason))?;
    }
    Ok(())
}

fn run_one(
    index: usize,
    job: &Job,
    command: &CommandLine,
    slot: &Slot,
    tell: &SyncSender<Event>,
) -> Result<(), Reason> {
    if !job.folder.is_dir() {
        return Err(Reason::NoFolder);
    }
    let places = Places::of_this_process(&[]);
    let file = command.file(&job.folder, &places.path_folders, &places.path_extensions);
    let mut process = Command::new(file);
    process
        .args(&command.args)
        .current_dir(&job.folder)
        .envs(&job.env)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let family = slot.spawn(&mut process).map_err(Reason::Start)?;
    let (silent, silence) = channel();
    let (_, stdout, stderr) = family.pipes();
    if let Some(stdout) = stdout {
        pass_on(index, stdout, tell.clone(), silent.clone());
    }
    if let Some(stderr) = stderr {
        pass_on(index, stderr, tell.clone(), silent.clone());
    }
    drop(silent);
    let status = family.wait().map_err(Reason::Lost)?;
    // Both are silent at once, unless a process has left the family and holds a pipe open.
    for _ in 0..2 {
        let _ = silence.recv_timeout(ARRIVAL);
    }
    match status.success() {
        true => Ok(()),
        false => Err(Reason::Status(status)),
    }
}

/// Hands over what comes out of a pipe in a thread of its own, then says that it is silent.
fn pass_on(
    index: usize,
    pipe: impl Read + Send + 'static,
    tell: SyncSender<Event>,
    silent: Sender<()>,
) {
    thread::spawn(move || {
        // An unreadable pipe is as good as a closed one, and when nobody listens the rest is read and dropped: a full
        // pipe would stop the command.
        let _ = each_line(pipe, |line| {
            let _ = tell.send(Event::Line(index, plain(line)));
        });
        let _ = silent.send(());
    });
}
