//! What plugins print on this process's standard output, as lines of the log.
//!
//! A print does not say who it is from. When one dataflow runs here, the line is its; when that has one node here, the
//! node's; else it is the process's own. Invariant: whoever prints waits for nothing but the pipe, which is always read.
//! Absent: how standard output came to lead here.

use super::hub::LogHub;
use super::record::{Origin, Record, Stream};
use crate::tail;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

/// What stands before the number of a mark. No text has it by chance.
const MARK: &str = "\u{0}\u{1}dora-mark ";

/// The way into a pipe that is read, for marks: what was printed before a mark is read when the mark is.
#[derive(Debug)]
pub(super) struct Printed {
    writer: Mutex<PipeWriter>,
    marks: Arc<Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    /// The last number that was written, and the last that was read.
    numbers: Mutex<(u64, u64)>,
    read: Condvar,
}

impl Printed {
    /// Reads the pipe from now on, in a thread of its own.
    pub fn start(
        hub: LogHub,
        machine: Option<String>,
        reader: PipeReader,
        writer: PipeWriter,
    ) -> io::Result<Self> {
        let marks = Arc::new(Marks::default());
        let seen = marks.clone();
        let read = move || {
            let submit = |line: &str| {
                let (dataflow, node) = hub.only_speaker().unzip();
                let origin = Origin {
                    dataflow,
                    node: node.flatten(),
                    machine: machine.clone(),
                    ..Origin::default()
                };
                hub.submit(Record::printed(
                    Stream::Stdout,
                    line,
                    origin,
                    SystemTime::now(),
                ));
            };
            // A pipe that cannot be read ends this as its end does.
            let _ = tail::each_line(reader, |line| match line.split_once(MARK) {
                Some((before, number)) => {
                    if !before.is_empty() {
                        submit(before);
                    }
                    seen.pass(number.parse().unwrap_or(0));
                }
                None => submit(line),
            });
        };
        thread::Builder::new()
            .name("dora-log-printed".into())
            .spawn(read)?;
        Ok(Self {
            writer: Mutex::new(writer),
            marks,
        })
    }

    /// Waits until what was printed so far was submitted, at most so long.
    pub fn flush(&self, timeout: Duration) {
        let number = {
            let mut numbers = self.marks.lock();
            numbers.0 += 1;
            numbers.0
        };
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writeln!(writer, "{MARK}{number}").is_err() {
            return;
        }
        drop(writer);
        let numbers = self.marks.lock();
        // Late or not, there is no more to be done.
        let _ = self
            .marks
            .read
            .wait_timeout_while(numbers, timeout, |numbers| numbers.1 < number);
    }
}

impl Marks {
    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, u64)> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, number: u64) {
        let mut numbers = self.lock();
        // A print could look like a mark.
        numbers.1 = numbers.1.max(number.min(numbers.0));
        self.read.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub::Settings;
    use super::super::{Selection, read};
    use super::*;
    use uuid::Uuid;

    const SOON: Duration = Duration::from_secs(20);

    fn started(settings: Settings) -> (LogHub, PipeWriter) {
        let hub = LogHub::start(settings).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let prints = writer.try_clone().unwrap();
        hub.read_printed(Some("B".into()), reader, writer).unwrap();
        (hub, prints)
    }

    #[test]
    fn a_print_belongs_to_the_only_node_that_runs() {
        let (hub, mut prints) = started(Settings::default());
        let mut lines = hub.subscribe(Selection::default());
        let mut next = |text: &str| {
            writeln!(prints, "{text}").unwrap();
            assert!(hub.flush(SOON));
            let record = lines.try_recv().expect("flushed");
            assert_eq!(
                (record.message.as_str(), record.machine.as_deref()),
                (text, Some("B"))
            );
            (record.dataflow, record.node.clone())
        };
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(next("none"), (None, None));
        hub.level_for(Some(one), Some("a"));
        assert_eq!(next("one node"), (Some(one), Some("a".into())));
        hub.level_for(Some(one), Some("b"));
        assert_eq!(next("two nodes"), (Some(one), None));
        hub.level_for(Some(two), Some("a"));
        assert_eq!(next("two dataflows"), (None, None));
        hub.dataflow_ended(one);
        assert_eq!(next("one dataflow again"), (Some(two), Some("a".into())));
        hub.dataflow_ended(two);
        assert_eq!(next("its last words"), (Some(two), Some("a".into())));
    }

    #[test]
    fn a_print_without_a_line_end_is_not_lost_and_marks_are_not_shown() {
        let out = tempfile::tempdir().unwrap();
        let (hub, mut prints) = started(Settings {
            out: Some(out.path().to_owned()),
            ..Settings::default()
        });
        let id = Uuid::from_u128(1);
        hub.level_for(Some(id), Some("a"));
        write!(prints, "whole\nhalf").unwrap();
        assert!(hub.flush(SOON));
        assert!(hub.flush(SOON));
        let found: Vec<String> = read::read(out.path(), id, "a")
            .unwrap()
            .map(|record| record.unwrap().message)
            .collect();
        assert_eq!(found, ["whole", "half"]);
    }
}
