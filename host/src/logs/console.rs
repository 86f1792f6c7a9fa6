//! The console: log lines on standard error, what process nodes print on standard output.
//!
//! Invariant: a console that is slow or gone holds nobody up: it has a thread and a bounded queue of its own, and
//! lines for a full queue are counted and the gap is shown. Colours appear only where the stream is a terminal that
//! has them, and never when `NO_COLOR` is set. Absent: which lines there are.

use super::format::{Format, Layout, Times};
use super::hub::Counts;
use super::level::Level;
use super::queue::{Queue, Urgency};
use super::record::{Record, Stream};
use anstream::{AutoStream, ColorChoice};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

/// Where lines are shown.
pub struct Console {
    out: Output,
    err: Output,
}

struct Output {
    stream: Box<dyn Write + Send>,
    layout: Layout,
    /// Writing has failed, as when the reader of a pipe is gone. It is not tried again.
    gone: bool,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("out", &self.out.layout)
            .field("err", &self.err.layout)
            .finish()
    }
}

impl Console {
    /// The console of this process.
    pub fn of_process(format: Format, times: Times) -> Self {
        let out = std::io::stdout();
        let err = std::io::stderr();
        let out_choice = AutoStream::choice(&out);
        let err_choice = AutoStream::choice(&err);
        let layout = |choice| Layout {
            format,
            times,
            colour: format != Format::Json && choice != ColorChoice::Never,
        };
        Self::new(
            Box::new(AutoStream::new(out, out_choice)),
            layout(out_choice),
            Box::new(AutoStream::new(err, err_choice)),
            layout(err_choice),
        )
    }

    /// A console of other streams: `out` for what process nodes print on standard output, `err` for all the rest.
    /// Both are written by one thread.
    pub fn new(
        out: Box<dyn Write + Send>,
        out_layout: Layout,
        err: Box<dyn Write + Send>,
        err_layout: Layout,
    ) -> Self {
        let output = |stream, layout| Output {
            stream,
            layout,
            gone: false,
        };
        Self {
            out: output(out, out_layout),
            err: output(err, err_layout),
        }
    }

    fn output(&mut self, stream: Option<Stream>) -> &mut Output {
        match stream {
            Some(Stream::Stdout) => &mut self.out,
            _ => &mut self.err,
        }
    }
}

impl Output {
    /// Shows lines and empties `text`. `false` when they cannot be shown.
    fn show(&mut self, text: &mut String) -> bool {
        let shown = !self.gone
            && self
                .stream
                .write_all(text.as_bytes())
                .and_then(|()| self.stream.flush())
                .is_ok();
        self.gone = !shown;
        text.clear();
        shown
    }
}

/// What waits for the console.
#[derive(Debug)]
pub(super) enum Shown {
    Line(Arc<Record>),
    /// Dropped when everything before it has been shown.
    Reached(#[allow(dead_code)] Sender<()>),
}

/// The way to the console's thread.
#[derive(Debug)]
pub(super) struct ConsoleQueue {
    queue: Queue<Shown>,
    /// Lines that were dropped and not yet told.
    missed: AtomicU64,
}

impl ConsoleQueue {
    pub(super) fn new(queue: Queue<Shown>) -> Self {
        Self {
            queue,
            missed: AtomicU64::new(0),
        }
    }

    /// Never waits.
    pub(super) fn show(&self, record: Arc<Record>, counts: &Counts) {
        let weight = record.weight();
        let urgency = Urgency::from(record.level);
        if self
            .queue
            .push(Shown::Line(record), weight, urgency)
            .is_err()
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
            counts.not_shown.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reach(&self, signal: Sender<()>) {
        // When the queue is closed the signal is dropped, which is all that it does.
        let _ = self.queue.push(Shown::Reached(signal), 0, Urgency::Control);
    }

    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Shows lines until the queue is closed and empty.
    pub(super) fn run(&self, mut console: Console, counts: &Counts) {
        let mut batch = Vec::new();
        while self.queue.take(&mut batch) {
            show_batch(&mut console, &mut batch, counts);
            let missed = self.missed.swap(0, Ordering::Relaxed);
            if missed > 0 {
                let text = format!(
                    "{missed} log lines are not shown here: they came faster than this console takes them"
                );
                let gap = Record::new(Level::Warn, "dora", text);
                batch.push(Shown::Line(Arc::new(gap)));
                show_batch(&mut console, &mut batch, counts);
            }
        }
    }
}

/// Writes lines of the same stream together, in their order.
fn show_batch(console: &mut Console, batch: &mut Vec<Shown>, counts: &Counts) {
    /// Keeps a long batch from standing in memory twice.
    const MOST_BYTES: usize = 64 * 1024;
    let mut text = String::new();
    let mut lines = 0;
    let mut stream = None;
    let mut signals = Vec::new();
    let show = |console: &mut Console, stream, text: &mut String, lines: &mut u64| {
        if *lines > 0 && !console.output(stream).show(text) {
            counts.not_shown.fetch_add(*lines, Ordering::Relaxed);
        }
        *lines = 0;
    };
    for item in batch.drain(..) {
        match item {
            Shown::Reached(signal) => signals.push(signal),
            Shown::Line(record) => {
                if record.stream() != stream || text.len() >= MOST_BYTES {
                    show(console, stream, &mut text, &mut lines);
                    stream = record.stream();
                }
                console.output(stream).layout.write(&record, &mut text);
                lines += 1;
            }
        }
    }
    show(console, stream, &mut text, &mut lines);
}
