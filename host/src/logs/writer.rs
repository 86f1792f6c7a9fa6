//! The thread that takes lines from the queue to files, console and readers.
//!
//! Invariant: it waits for nothing but the disk; what waits in memory is written when the queue is empty, at latest
//! after [`FLUSH_AFTER`], an error at once. Trouble with files is told once per dataflow on the console, the lines
//! lost by it at the end. Absent: decisions on what is wanted, which fell before the queue.

use super::console::ConsoleQueue;
use super::escape;
use super::files::{self, Files, Trouble};
use super::hub::{Item, Shared};
use super::level::Level;
use super::record::{Origin, Record};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Longest time that a line stays in memory while more lines come.
const FLUSH_AFTER: Duration = Duration::from_secs(1);
/// Lines between two looks at the clock.
const CLOCK_EVERY: usize = 64;

/// What speaks in the lines of this module.
const TARGET: &str = "dora::logs";

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) files: Option<Files>,
    pub(super) console: Option<Arc<ConsoleQueue>>,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        let shared = self.shared.clone();
        while shared.queue.take(&mut batch) {
            let mut flushed = Instant::now();
            let mut now = flushed;
            for (index, item) in batch.drain(..).enumerate() {
                if index % CLOCK_EVERY == 0 {
                    now = Instant::now();
                }
                if now.duration_since(flushed) >= FLUSH_AFTER {
                    self.flush(now);
                    flushed = now;
                }
                self.handle(item, now);
            }
            now = Instant::now();
            self.tell_dropped(now);
            self.flush(now);
        }
        self.finish(Instant::now());
    }

    fn handle(&mut self, item: Item, now: Instant) {
        match item {
            Item::Line { record, kept } => self.line(&record, kept, now),
            Item::Ended(dataflow) => self.ended(dataflow, now),
            Item::Rotation(dataflow, node, rotation) => {
                if let Some(files) = &mut self.files {
                    files.set_rotation(dataflow, node, rotation);
                }
            }
            Item::Crash(report) => {
                let trouble = self.files.as_ref().and_then(|files| files.report(&report));
                if let Some(trouble) = trouble {
                    self.tell_unreported(&trouble);
                }
            }
            Item::Flush(signal) => {
                self.flush(now);
                if let Some(console) = &self.console {
                    console.reach(signal);
                }
            }
        }
    }

    fn line(&mut self, record: &Arc<Record>, kept: bool, now: Instant) {
        if kept {
            let trouble = self
                .files
                .as_mut()
                .and_then(|files| files.write(record, now));
            self.tell(record);
            if let Some(trouble) = trouble {
                self.tell_trouble(&trouble);
            }
        }
        self.shared.subscribers.feed(record, kept);
    }

    /// Shows a line on the console, in no file.
    fn tell(&self, record: &Arc<Record>) {
        if let Some(console) = &self.console {
            console.show(record.clone(), &self.shared.counts);
        }
    }

    /// A line of this module, for console and readers.
    fn say(&self, record: Record) {
        let record = Arc::new(record);
        self.tell(&record);
        self.shared.subscribers.feed(&record, true);
    }

    fn flush(&mut self, now: Instant) {
        let Some(files) = &mut self.files else { return };
        for trouble in files.flush(now) {
            self.tell_trouble(&trouble);
        }
    }

    fn tell_trouble(&self, trouble: &Trouble) {
        let path = escape::line(&trouble.path.display().to_string());
        let text = format!(
            "cannot write the log file {path}: {}; the dataflow goes on, lines that are lost are counted; \
             make room or choose another folder with --out-dir or {}",
            trouble.error,
            super::OUT_DIR_VARIABLE
        );
        self.say(Record::new(Level::Warn, TARGET, text).by(about(trouble.dataflow)));
    }

    fn tell_unreported(&self, trouble: &Trouble) {
        let path = escape::line(&trouble.path.display().to_string());
        let text = format!("cannot write the crash report {path}: {}", trouble.error);
        self.say(Record::new(Level::Warn, TARGET, text).by(about(trouble.dataflow)));
    }

    /// Says where lines are missing because the queue was full, in the files too.
    fn tell_dropped(&mut self, now: Instant) {
        for ((dataflow, node), count) in self.shared.take_dropped() {
            let text = format!(
                "{count} log lines are missing here: they came faster than they could be written"
            );
            let record = Record::new(Level::Warn, TARGET, text).by(Origin {
                dataflow,
                node: (!node.is_empty()).then_some(node),
                ..Origin::default()
            });
            self.line(&Arc::new(record), true, now);
        }
    }

    fn ended(&mut self, dataflow: Uuid, now: Instant) {
        let Some(files) = &mut self.files else { return };
        for (node, count) in files.close(dataflow, now) {
            self.shared.counts.lost.fetch_add(count, Ordering::Relaxed);
            let speaker = if node == files::RUNTIME {
                "this runtime".to_owned()
            } else {
                format!("node `{}`", escape::line(&node))
            };
            let text = format!(
                "{count} log lines of {speaker} are not in its log file, which could not be written"
            );
            self.say(Record::new(Level::Warn, TARGET, text).by(about(dataflow)));
        }
    }

    fn finish(&mut self, now: Instant) {
        self.tell_dropped(now);
        let dataflows = self.files.as_ref().map(Files::dataflows);
        for dataflow in dataflows.unwrap_or_default() {
            self.ended(dataflow, now);
        }
        self.shared.subscribers.close();
        if let Some(console) = &self.console {
            console.close();
        }
    }
}

fn about(dataflow: Uuid) -> Origin {
    Origin {
        dataflow: Some(dataflow),
        ..Origin::default()
    }
}
