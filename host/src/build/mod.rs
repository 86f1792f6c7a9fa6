//! Building: runs the `build` commands of a descriptor's nodes.
//!
//! Invariant: each distinct build runs once; when [`run`] returns, or panics, all that it started has ended or has been
//! killed. There is no deadline, as nobody knows how long a build takes: [`Options::stop`] ends it. Absent: a shell, and
//! any notion of what is up to date; the commands know that themselves.

mod error;
mod job;
mod worker;

pub use error::{BuildError, Failure, Reason};
pub use job::{CommandLine, Job, plan};

use crate::descriptor::Descriptor;
use crate::tail::Tail;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};
use worker::Worker;

/// How often [`Progress::Tick`] comes when nothing else happens, and how soon a stop is noticed.
const TICK: Duration = Duration::from_millis(100);
/// How long commands may take to end when they were asked to, before they are killed.
const GRACE: Duration = Duration::from_secs(2);
/// Lines of output that a failure shows.
const SHOWN_LINES: usize = 40;
/// Events that may wait; a command that writes faster waits for whoever shows it.
const EVENTS: usize = 1_024;

/// How a build is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Builds that may run at a time. One is right for cargo, which uses all cores and locks its target folder.
    pub parallel: NonZeroUsize,
    /// Set by any thread to end the build.
    pub stop: Arc<AtomicBool>,
}

/// What happens during a build. Jobs start in the descriptor's order.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Its first command starts.
    Started(&'a Job),
    /// A command printed a line, here without control characters.
    Output(&'a Job, &'a str),
    /// All its commands succeeded, in this time.
    Built(&'a Job, Duration),
    /// One of them failed after this time; the error tells more.
    Failed(&'a Job, Duration),
    /// Some time passed: for whoever shows elapsed times.
    Tick,
}

/// What the threads of a build tell.
#[derive(Debug)]
enum Event {
    Line(usize, String),
    Ended(usize, Result<(), (CommandLine, Reason)>),
}

/// Builds all nodes. After a failure no further job is started, and those that run are let end. Blocks; `progress` is
/// called in this thread.
///
/// # Errors
/// See [`BuildError`].
pub fn run(
    descriptor: &Descriptor,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(), BuildError> {
    let jobs = plan(descriptor)?;
    let (tell, events) = sync_channel(EVENTS);
    Build {
        descriptor,
        jobs: &jobs,
        tell,
        events,
        next: 0,
        built: 0,
        running: Vec::new(),
        failures: Vec::new(),
        kill_at: None,
    }
    .run(options, progress)
}

struct Build<'a> {
    descriptor: &'a Descriptor,
    jobs: &'a [Job],
    tell: SyncSender<Event>,
    events: Receiver<Event>,
    next: usize,
    built: usize,
    running: Vec<Running>,
    failures: Vec<Failure>,
    kill_at: Option<Instant>,
}

struct Running {
    job: usize,
    started: Instant,
    output: Tail,
    /// Ends what it runs when it is dropped.
    worker: Worker,
}

impl Build<'_> {
    fn run(
        mut self,
        options: &Options,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), BuildError> {
        loop {
            if options.stop.load(Ordering::Relaxed) {
                self.stop();
            }
            while self.may_start(options.parallel) {
                self.start(progress);
            }
            if self.running.is_empty() {
                break;
            }
            match self.events.recv_timeout(TICK) {
                Ok(Event::Line(job, line)) => self.line(job, &line, progress),
                Ok(Event::Ended(job, result)) => self.ended(job, result, progress),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    progress(Progress::Tick);
                }
            }
        }
        if self.built == self.jobs.len() {
            Ok(())
        } else if self.failures.is_empty() {
            Err(BuildError::Stopped)
        } else {
            Err(BuildError::Failed(self.failures))
        }
    }

    fn may_start(&self, parallel: NonZeroUsize) -> bool {
        self.next < self.jobs.len()
            && self.running.len() < parallel.get()
            && self.failures.is_empty()
            && self.kill_at.is_none()
    }

    fn start(&mut self, progress: &mut dyn FnMut(Progress<'_>)) {
        let Some(job) = self.jobs.get(self.next) else {
            return;
        };
        progress(Progress::Started(job));
        self.running.push(Running {
            job: self.next,
            started: Instant::now(),
            output: Tail::new(SHOWN_LINES),
            worker: Worker::start(self.next, job.clone(), self.tell.clone()),
        });
        self.next += 1;
    }

    fn line(&mut self, index: usize, line: &str, progress: &mut dyn FnMut(Progress<'_>)) {
        // A process that escaped its job may still write.
        let running = self.running.iter_mut().find(|running| running.job == index);
        if let (Some(running), Some(job)) = (running, self.jobs.get(index)) {
            running.output.push(line);
            progress(Progress::Output(job, line));
        }
    }

    fn ended(
        &mut self,
        index: usize,
        result: Result<(), (CommandLine, Reason)>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) {
        let position = self.running.iter().position(|running| running.job == index);
        let (Some(position), Some(job)) = (position, self.jobs.get(index)) else {
            return;
        };
        let running = self.running.remove(position);
        let took = running.started.elapsed();
        match result {
            Ok(()) => {
                self.built += 1;
                progress(Progress::Built(job, took));
            }
            // It was asked to end: no failure of its own.
            Err(_) if self.kill_at.is_some() => {}
            Err((command, reason)) => {
                progress(Progress::Failed(job, took));
                let (output, omitted) = running.output.into_lines();
                self.failures.push(Failure {
                    file: self.descriptor.file.clone(),
                    job: job.clone(),
                    command,
                    reason,
                    output,
                    omitted,
                });
            }
        }
    }

    /// Asks once, then kills.
    fn stop(&mut self) {
        match self.kill_at {
            None => {
                self.kill_at = Some(Instant::now() + GRACE);
                for running in &self.running {
                    running.worker.ask_to_end();
                }
            }
            Some(at) if Instant::now() >= at => {
                for running in &self.running {
                    running.worker.kill();
                }
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
