use super::super::format::{Format, Layout, Times};
use super::super::level::Level;
use super::super::record::{Origin, Stream};
use super::super::{files, read};
use super::*;
use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

const FLOW: Uuid = Uuid::from_u128(7);
const LONG: Duration = Duration::from_secs(30);

/// A stream whose text the test reads.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// A stream that waits until the other end of its channel is gone.
struct Stuck(Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream whose reader is gone.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn layout() -> Layout {
    Layout {
        format: Format::Pretty,
        times: Times::Since(UNIX_EPOCH),
        colour: false,
    }
}

fn console(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Option<Console> {
    let console = Console::new(Box::new(out), layout(), Box::new(err), layout());
    Some(console)
}

fn origin(node: &str) -> Origin {
    Origin {
        dataflow: Some(FLOW),
        node: Some(node.to_owned()),
        ..Origin::default()
    }
}

fn said(level: Level, node: &str, message: impl Into<String>) -> Record {
    Record {
        time: UNIX_EPOCH,
        ..Record::new(level, "t", message).by(origin(node))
    }
}

fn messages(out: &Path, node: &str) -> Vec<String> {
    let records = read::read(out, FLOW, node).unwrap();
    records.map(|record| record.unwrap().message).collect()
}

fn filter(default: Level) -> Filter {
    Filter::new(Limit::to(default))
}

#[test]
fn lines_reach_files_and_both_streams() {
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (Shown::default(), Shown::default());
    let hub = LogHub::start(Settings {
        console: console(out.clone(), err.clone()),
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    hub.submit(said(Level::Info, "a", "one"));
    hub.submit(said(Level::Debug, "a", "not wanted"));
    hub.submit(Record::printed(
        Stream::Stdout,
        "42",
        origin("b"),
        UNIX_EPOCH,
    ));
    hub.submit(said(Level::Warn, "b", "two"));
    assert!(hub.flush(LONG));
    assert_eq!(
        err.text(),
        "   0.000s INFO  a: one\n   0.000s WARN  b: two\n"
    );
    assert_eq!(out.text(), "   0.000s out   b: 42\n");
    assert_eq!(messages(folder.path(), "a"), ["one"]);
    assert_eq!(messages(folder.path(), "b"), ["42", "two"]);
    let report = hub.shutdown(LONG);
    assert_eq!(report.unfinished, [""; 0]);
    assert_eq!((report.counters.taken, report.counters.dropped), (3, 0));
    hub.submit(said(Level::Error, "a", "late"));
    assert_eq!(hub.counters().late, 1);
    assert!(hub.flush(LONG), "nothing is left to wait for");
    assert_eq!(messages(folder.path(), "a"), ["one"]);
}

#[test]
fn threads_keep_their_order_and_counts_add_up() {
    const THREADS: usize = 8;
    const LINES: usize = 2000;
    let folder = tempfile::tempdir().unwrap();
    let hub = LogHub::start(Settings {
        out: Some(folder.path().to_owned()),
        capacity: Capacity {
            lines: 500,
            ..Capacity::default()
        },
        ..Settings::default()
    })
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let hub = hub.clone();
            scope.spawn(move || {
                for line in 0..LINES {
                    hub.submit(said(Level::Info, "a", format!("{thread} {line}")));
                }
            });
        }
    });
    let report = hub.shutdown(LONG);
    assert_eq!(report.unfinished, [""; 0]);
    let Counters { taken, dropped, .. } = report.counters;
    assert_eq!(taken + dropped, (THREADS * LINES) as u64);
    let mut last = [None; THREADS];
    let (mut written, mut missing) = (0, 0);
    for message in messages(folder.path(), "a") {
        let (first, rest) = message.split_once(' ').unwrap();
        if rest.starts_with("log lines are missing here") {
            missing += first.parse::<u64>().unwrap();
            continue;
        }
        let line: usize = rest.parse().unwrap();
        let last = &mut last[first.parse::<usize>().unwrap()];
        assert!(
            last.is_none_or(|last| last < line),
            "{message} after {last:?}"
        );
        *last = Some(line);
        written += 1;
    }
    assert_eq!((written, missing), (taken, dropped));
}

#[test]
fn a_full_queue_drops_the_verbose_first_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let capacity = Capacity {
        lines: 8,
        ..Capacity::default()
    };
    let shared = Arc::new(Shared::new(filter(Level::Trace), capacity));
    for level in [Level::Debug, Level::Info, Level::Error] {
        for line in 0..6 {
            shared.submit(said(level, "a", format!("{level} {line}")));
        }
    }
    shared.submit(Record::new(Level::Info, "host", "no room"));
    shared.queue.close();
    Writer {
        shared: shared.clone(),
        files: Some(Files::new(folder.path().to_owned(), Rotation::default())),
        console: None,
    }
    .run();
    assert_eq!(
        messages(folder.path(), "a"),
        [
            "debug 0",
            "debug 1",
            "debug 2",
            "debug 3",
            "info 0",
            "info 1",
            "info 2",
            "error 0",
            "10 log lines are missing here: they came faster than they could be written"
        ]
    );
    assert_eq!(shared.counts.dropped.load(Ordering::Relaxed), 11);
}

#[test]
fn levels_change_at_run_time() {
    let hub = LogHub::start(Settings::default()).unwrap();
    let level = hub.level_for(Some(FLOW), Some("a"));
    let now = || level.load(Ordering::Relaxed);
    assert_eq!(now(), 3);
    hub.set_node_limit(FLOW, "a", Limit::to(Level::Error));
    assert_eq!(now(), 1);
    hub.set_filter(filter(Level::Info).with_nodes("a=trace").unwrap());
    assert_eq!(now(), 5);
    hub.set_filter(filter(Level::Warn));
    let reader = hub.subscribe(Selection {
        limit: Some(Limit::to(Level::Debug)),
        ..Selection::default()
    });
    assert_eq!(now(), 4);
    drop(reader);
    assert_eq!(now(), 1);
}

#[test]
fn a_reader_gets_what_it_selects_and_files_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let hub = LogHub::start(Settings {
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let mut debug = hub.subscribe(Selection {
        limit: Some(Limit::to(Level::Debug)),
        node: Some("a".to_owned()),
        ..Selection::default()
    });
    let mut same = hub.subscribe(Selection::default());
    for level in Level::ALL {
        hub.submit(said(level, "a", level.name()));
    }
    hub.submit(said(Level::Info, "b", "other"));
    assert_eq!(hub.shutdown(LONG).unfinished, [""; 0]);
    let rest = |reader: &mut Subscription| {
        std::iter::from_fn(|| reader.blocking_recv())
            .map(|record| record.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(rest(&mut debug), ["error", "warn", "info", "debug"]);
    assert_eq!(rest(&mut same), ["error", "warn", "info", "other"]);
    assert_eq!(messages(folder.path(), "a"), ["error", "warn", "info"]);
}

#[test]
fn a_stuck_reader_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let hub = LogHub::start(Settings {
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let stuck = hub.subscribe(Selection::default());
    let lines = super::super::subscribe::WAITING_LINES as u64 + 500;
    for line in 0..lines {
        hub.submit(said(Level::Info, "a", line.to_string()));
    }
    let report = hub.shutdown(LONG);
    assert_eq!(report.unfinished, [""; 0]);
    assert_eq!(report.counters.dropped, 0);
    assert_eq!(stuck.take_missed(), 500);
    assert_eq!(stuck.take_missed(), 0);
    assert_eq!(messages(folder.path(), "a").len() as u64, lines);
}

#[test]
fn a_stuck_console_costs_no_file_and_ends_at_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let (release, held) = channel();
    let hub = LogHub::start(Settings {
        console: console(Shown::default(), Stuck(held)),
        out: Some(folder.path().to_owned()),
        capacity: Capacity {
            lines: 100,
            ..Capacity::default()
        },
        ..Settings::default()
    })
    .unwrap();
    hub.submit(said(Level::Error, "a", "x"));
    assert!(!hub.flush(Duration::from_millis(1)));
    let deadline = Instant::now() + LONG;
    // The console has its own thread, so the files' thread ends, if not within the first millisecond.
    loop {
        let report = hub.shutdown(Duration::from_millis(1));
        if report.unfinished == ["console"] {
            break;
        }
        assert!(Instant::now() < deadline, "{report:?}");
    }
    assert_eq!(messages(folder.path(), "a"), ["x"]);
    drop(release);
    assert_eq!(hub.shutdown(LONG).unfinished, [""; 0]);
}

#[test]
fn a_slow_console_shows_its_gap() {
    let err = Shown::default();
    let queue = ConsoleQueue::new(Queue::new(Capacity {
        lines: 4,
        ..Capacity::default()
    }));
    let counts = Counts::default();
    for line in 0..10 {
        let record = said(Level::Error, "a", line.to_string());
        queue.show(Arc::new(record), &counts);
    }
    queue.close();
    queue.run(console(Shown::default(), err.clone()).unwrap(), &counts);
    assert_eq!(counts.not_shown.load(Ordering::Relaxed), 6);
    let text = err.text();
    assert_eq!(text.lines().count(), 5, "{text}");
    let gap = "WARN  dora: 6 log lines are not shown here: they came faster than this console takes them\n";
    assert!(text.ends_with(gap), "{text}");
}

#[test]
fn a_console_that_is_gone_is_counted() {
    let out = Shown::default();
    let hub = LogHub::start(Settings {
        console: console(out.clone(), Gone),
        ..Settings::default()
    })
    .unwrap();
    for line in 0..3 {
        hub.submit(said(Level::Info, "a", line.to_string()));
        assert!(hub.flush(LONG));
    }
    hub.submit(Record::printed(
        Stream::Stdout,
        "42",
        origin("a"),
        UNIX_EPOCH,
    ));
    let report = hub.shutdown(LONG);
    assert_eq!((report.counters.not_shown, report.unfinished.len()), (3, 0));
    assert_eq!(out.text(), "   0.000s out   a: 42\n");
}

#[test]
fn files_that_cannot_be_written_are_told_once_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = files::folder(folder.path(), FLOW);
    std::fs::write(&blocked, "a file where the folder should be").unwrap();
    let err = Shown::default();
    let hub = LogHub::start(Settings {
        console: console(Shown::default(), err.clone()),
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let mut reader = hub.subscribe(Selection::default());
    for line in 0..3 {
        hub.submit(said(Level::Info, "a", line.to_string()));
    }
    hub.dataflow_ended(FLOW);
    let report = hub.shutdown(LONG);
    assert_eq!((report.counters.taken, report.counters.lost), (3, 3));
    let text = err.text();
    let path = files::path(folder.path(), FLOW, "a").display().to_string();
    let told = format!("WARN  dora::logs: cannot write the log file {path}: ");
    assert_eq!(text.matches(&told).count(), 1, "{text}");
    let end = "WARN  dora::logs: 3 log lines of node `a` are not in its log file, which could not be written\n";
    assert!(text.ends_with(end), "{text}");
    let read = std::iter::from_fn(|| reader.try_recv()).count();
    assert_eq!(read, 5, "three lines and two warnings");
}

#[test]
fn a_dataflow_that_ended_has_no_open_file() {
    let folder = tempfile::tempdir().unwrap();
    let hub = LogHub::start(Settings {
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    hub.submit(said(Level::Info, "a", "first"));
    hub.dataflow_ended(FLOW);
    assert!(hub.flush(LONG));
    std::fs::remove_dir_all(files::folder(folder.path(), FLOW)).unwrap();
    hub.submit(said(Level::Info, "a", "second"));
    assert!(hub.flush(LONG));
    assert_eq!(messages(folder.path(), "a"), ["second"]);
}

#[test]
fn dropping_the_last_handle_writes_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let hub = LogHub::start(Settings {
        out: Some(folder.path().to_owned()),
        ..Settings::default()
    })
    .unwrap();
    let mut reader = hub.subscribe(Selection::default());
    let other = hub.clone();
    drop(hub);
    other.submit(said(Level::Info, "a", "x"));
    drop(other);
    assert_eq!(reader.blocking_recv().unwrap().message, "x");
    assert!(
        reader.blocking_recv().is_none(),
        "ended behind the last flush"
    );
    assert_eq!(messages(folder.path(), "a"), ["x"]);
}
