//! The hub: where all lines of the log come together.
//!
//! Invariant: [`LogHub::submit`] takes a lock for a moment and never waits for disk, console or readers; the rest
//! happens on two threads. Every line that was wanted is written, or counted as dropped, lost or not shown. Absent:
//! how lines are made and how they look.

use super::console::{Console, ConsoleQueue};
use super::crash::CrashReport;
use super::file::Rotation;
use super::files::Files;
use super::filter::{Filter, Limit, Selection};
use super::levels::Levels;
use super::printed::Printed;
use super::queue::{Capacity, Queue, Refused, Urgency};
use super::record::Record;
use super::subscribe::{Subscribers, Subscription};
use super::writer::Writer;
use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How a hub works.
#[derive(Debug, Default)]
pub struct Settings {
    /// What is wanted in files and on the console.
    pub filter: Filter,
    /// Where lines are shown, if at all.
    pub console: Option<Console>,
    /// The folder of log files ([`super::OutFolder::path`]), if there are any.
    pub out: Option<PathBuf>,
    /// How large log files become.
    pub rotation: Rotation,
    /// How much may wait to be written, and as much again to be shown.
    pub capacity: Capacity,
}

/// What became of the lines so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Wanted and taken.
    pub taken: u64,
    /// Wanted and dropped, because too many waited.
    pub dropped: u64,
    /// Wanted after the shutdown.
    pub late: u64,
    /// Taken, and not in their file; counted when a dataflow ends.
    pub lost: u64,
    /// Taken, and not shown on the console because it was too slow or is gone.
    pub not_shown: u64,
}

/// How a shutdown went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownReport {
    /// What became of all lines.
    pub counters: Counters,
    /// Threads that had not ended at the deadline: `files` waits for a disk, `console` for whoever reads it.
    pub unfinished: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    taken: AtomicU64,
    dropped: AtomicU64,
    late: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) not_shown: AtomicU64,
}

/// What the writer's thread is given.
#[derive(Debug)]
pub(super) enum Item {
    Line {
        record: Arc<Record>,
        /// For files and console, not only for readers.
        kept: bool,
    },
    Ended(Uuid),
    Crash(Box<CrashReport>),
    /// How large a node's files become, from its next file on.
    Rotation(Uuid, String, Rotation),
    /// Passed on, and dropped when everything before it is written and shown.
    Flush(Sender<()>),
}

/// Dropped lines by dataflow and node (the empty name: this runtime).
type Dropped = BTreeMap<(Option<Uuid>, String), u64>;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue<Item>,
    pub(super) levels: Levels,
    pub(super) subscribers: Subscribers,
    pub(super) counts: Counts,
    dropped: Mutex<Dropped>,
}

impl Shared {
    fn new(filter: Filter, capacity: Capacity) -> Self {
        Self {
            queue: Queue::new(capacity),
            levels: Levels::new(filter),
            subscribers: Subscribers::default(),
            counts: Counts::default(),
            dropped: Mutex::default(),
        }
    }

    fn submit(&self, mut record: Record) {
        let verdict = self.levels.verdict(&record);
        if !verdict.kept && !verdict.read {
            return;
        }
        record.clip();
        let weight = record.weight();
        let urgency = Urgency::from(record.level);
        let record = Arc::new(record);
        let item = Item::Line {
            record: record.clone(),
            kept: verdict.kept,
        };
        match self.queue.push(item, weight, urgency) {
            Ok(()) => add_one(&self.counts.taken),
            Err(Refused::Closed) => add_one(&self.counts.late),
            Err(Refused::Full) => {
                add_one(&self.counts.dropped);
                let speaker = (record.dataflow, record.node.clone().unwrap_or_default());
                let dropped = self.dropped.lock();
                *dropped
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(speaker)
                    .or_default() += 1;
            }
        }
    }

    pub(super) fn take_dropped(&self) -> Dropped {
        let dropped = self.dropped.lock();
        std::mem::take(&mut *dropped.unwrap_or_else(PoisonError::into_inner))
    }
}

fn add_one(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// A handle of the hub, to be cloned freely. When the last one goes, the threads write what waits and end.
#[derive(Debug, Clone)]
pub struct LogHub(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
    /// Where prints come in, if they do.
    printed: OnceLock<Printed>,
    out: Option<PathBuf>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[derive(Debug)]
struct Threads {
    running: BTreeMap<&'static str, JoinHandle<()>>,
    ended: Receiver<&'static str>,
}

impl LogHub {
    /// Starts the two threads.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(settings.filter, settings.capacity));
        let console = settings
            .console
            .map(|console| (ConsoleQueue::new(Queue::new(settings.capacity)), console));
        let (console_queue, console) = match console {
            Some((queue, console)) => (Some(Arc::new(queue)), Some(console)),
            None => (None, None),
        };
        let out = settings.out.clone();
        let writer = Writer {
            shared: shared.clone(),
            files: settings.out.map(|out| Files::new(out, settings.rotation)),
            console: console_queue.clone(),
        };
        let (end, ended) = channel();
        let mut running = BTreeMap::new();
        // The console first: if the second thread cannot be started, closing the queue ends the first.
        if let (Some(queue), Some(console)) = (console_queue.clone(), console) {
            let shared = shared.clone();
            let work = move || queue.run(console, &shared.counts);
            running.insert("console", spawn("console", end.clone(), work)?);
        }
        match spawn("files", end, move || writer.run()) {
            Ok(thread) => running.insert("files", thread),
            Err(error) => {
                if let Some(queue) = console_queue {
                    queue.close();
                }
                return Err(error);
            }
        };
        Ok(Self(Arc::new(Handle {
            shared,
            threads: Mutex::new(Threads { running, ended }),
            printed: OnceLock::new(),
            out,
        })))
    }

    /// Takes what is printed into a pipe as lines from now on: of the dataflow and the node that runs here, as far as there
    /// is only one. Once per hub, which then lives as long as the pipe is open.
    ///
    /// # Errors
    /// A thread could not be started, or it is the second time.
    pub fn read_printed(
        &self,
        machine: Option<String>,
        reader: PipeReader,
        writer: PipeWriter,
    ) -> io::Result<()> {
        let printed = Printed::start(self.clone(), machine, reader, writer)?;
        let set = self.0.printed.set(printed);
        set.map_err(|_| io::Error::from(io::ErrorKind::AlreadyExists))
    }

    pub(super) fn only_speaker(&self) -> Option<(Uuid, Option<String>)> {
        self.0.shared.levels.only_speaker()
    }

    /// Takes a line, from any thread, without waiting. What is not wanted is left out; what comes while too much
    /// waits is dropped (the verbose first) and counted.
    pub fn submit(&self, record: Record) {
        self.0.shared.submit(record);
    }

    /// Has a report of a crash written, behind the lines so far. Where it will be; `None` where there are no files, or too
    /// much waits.
    pub fn report(&self, report: CrashReport) -> Option<PathBuf> {
        let path = report.path(self.0.out.as_deref()?);
        let weight = report.weight();
        let item = Item::Crash(Box::new(report));
        let pushed = self.0.shared.queue.push(item, weight, Urgency::Severe);
        pushed.is_ok().then_some(path)
    }

    /// The most verbose level that is wanted of a speaker, as [`Limit::number`], for plugins to read before they make
    /// a line. It changes with filters and readers until [`LogHub::dataflow_ended`]. Neither a dataflow nor a node:
    /// libraries and this runtime.
    pub fn level_for(&self, dataflow: Option<Uuid>, node: Option<&str>) -> Arc<AtomicU32> {
        self.0.shared.levels.cell(dataflow, node)
    }

    /// The node's own limit, `min_log_level` of the descriptor. A filter that names the node counts more.
    pub fn set_node_limit(&self, dataflow: Uuid, node: &str, limit: Limit) {
        self.0.shared.levels.set_own(dataflow, node, limit);
    }

    /// How large a node's files become and how many are kept, until [`LogHub::dataflow_ended`]. Before its first line.
    pub fn set_node_rotation(&self, dataflow: Uuid, node: &str, rotation: Rotation) {
        let item = Item::Rotation(dataflow, node.to_owned(), rotation);
        // After a shutdown no file is written any more.
        let _ = self.0.shared.queue.push(item, 0, Urgency::Control);
    }

    /// Another filter from now on, for all dataflows.
    pub fn set_filter(&self, filter: Filter) {
        self.0.shared.levels.set_filter(filter);
    }

    /// Lines from now on, as they come. Speakers are asked for as much as the selection wants, also where files and
    /// console want less.
    pub fn subscribe(&self, selection: Selection) -> Subscription {
        Subscription::new(&self.0.shared, selection)
    }

    /// Closes the files of a dataflow behind its last line, and says what they lost. Lines that come later open them
    /// again.
    pub fn dataflow_ended(&self, dataflow: Uuid) {
        self.0.shared.levels.remove(dataflow);
        // After a shutdown the files are closed already.
        let _ = self
            .0
            .shared
            .queue
            .push(Item::Ended(dataflow), 0, Urgency::Control);
    }

    /// Waits until what was submitted or printed so far is written and shown, at most so long. `false` if it is not.
    pub fn flush(&self, timeout: Duration) -> bool {
        let start = Instant::now();
        if let Some(printed) = self.0.printed.get() {
            printed.flush(timeout);
        }
        let timeout = timeout.saturating_sub(start.elapsed());
        let (signal, reached) = channel();
        let _ = self
            .0
            .shared
            .queue
            .push(Item::Flush(signal), 0, Urgency::Control);
        reached.recv_timeout(timeout) == Err(RecvTimeoutError::Disconnected)
    }

    /// What became of the lines so far.
    pub fn counters(&self) -> Counters {
        let counts = &self.0.shared.counts;
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            taken: value(&counts.taken),
            dropped: value(&counts.dropped),
            late: value(&counts.late),
            lost: value(&counts.lost),
            not_shown: value(&counts.not_shown),
        }
    }

    /// Takes no more lines, writes and shows what waits, ends subscriptions and threads, and waits for that at most so
    /// long. A second call waits for what is left.
    pub fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        let start = Instant::now();
        if let Some(printed) = self.0.printed.get() {
            printed.flush(timeout);
        }
        self.0.shared.queue.close();
        let mut threads = self
            .0
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !threads.running.is_empty() {
            let left = timeout.saturating_sub(start.elapsed());
            // An error: the deadline has come, or a thread ended without saying so.
            let Ok(name) = threads.ended.recv_timeout(left) else {
                break;
            };
            if let Some(thread) = threads.running.remove(name) {
                // It ended well, or it could not have said so.
                let _ = thread.join();
            }
        }
        ShutdownReport {
            counters: self.counters(),
            unfinished: threads.running.keys().copied().collect(),
        }
    }
}

fn spawn(
    name: &'static str,
    end: Sender<&'static str>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("dora-log-{name}"))
        .spawn(move || {
            work();
            // Nobody listens when all handles are gone.
            let _ = end.send(name);
        })
}

#[cfg(test)]
mod tests;
