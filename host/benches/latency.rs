//! How long a message takes from plugin to plugin, and how many go through in a second, against the bare wake of a
//! thread in the same run.
//!
//! The sender takes the time before it sends data that exist already, the reader when its callback begins; the payload is
//! not touched. Both sides and the bare wake are measured in turns, so that what else the machine does hits all of them.
//! Prints one Markdown table. Compare the ratios, not the times: those are the machine's.

#[path = "shared/figures.rs"]
#[allow(dead_code)] // Each benchmark takes what it needs.
mod figures;

use figures::{percentile, size, thousands};
use host::descriptor::Descriptor;
use host::descriptor::resolve::Places;
use host::engine::{Dataflow, EngineLog, Report};
use host::ids::{DataflowId, NodeId};
use host::launch::{self, Runtime};
use host::plugin::preflight::Isolation;
use host::plugin::{Loader, LoaderOptions};
use host_testing::fixtures::{Profile, library};
use plugin_abi::hosting::LogLine;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Sizes, and the time between two messages of that size.
const SIZES: [(usize, Duration); 6] = [
    (8, Duration::from_millis(2)),
    (4 * KIB, Duration::from_millis(2)),
    (40 * KIB, Duration::from_millis(2)),
    (400 * KIB, Duration::from_millis(5)),
    (4 * MIB, Duration::from_millis(5)),
    (40 * MIB, Duration::from_millis(5)),
];

/// Sizes, and how many messages are sent as fast as they go.
const FLOODS: [(usize, u64); 4] = [
    (8, 1_000_000),
    (4 * KIB, 300_000),
    (4 * MIB, 20_000),
    (40 * MIB, 5_000),
];

fn main() {
    let bench = Bench::new();
    let mut rows = Vec::new();
    for (pace, hz) in [(2, 500), (5, 200)] {
        rows.push(Row::new(
            format!("bare wake, {hz} Hz"),
            None,
            Duration::from_millis(pace),
        ));
    }
    for thread in ["own", "sender"] {
        for (bytes, pace) in SIZES {
            rows.push(Row::new(
                format!("thread: {thread}"),
                Some((thread, bytes)),
                pace,
            ));
        }
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for row in &mut rows {
            let count = (Duration::from_millis(400).as_nanos() / row.pace.as_nanos()) as u64;
            row.times.extend(match row.what {
                None => bare_wakes(count, row.pace),
                Some((thread, bytes)) => bench.latencies(thread, bytes, count, row.pace),
            });
        }
    }
    let mut rates = Vec::new();
    for thread in ["own", "sender"] {
        for (bytes, count) in FLOODS {
            eprintln!("throughput, thread: {thread}, {}", size(bytes));
            let best = (0..3).map(|_| bench.rate(thread, bytes, count));
            rates.push(((thread, bytes), best.fold(0.0, f64::max)));
        }
    }
    print(&mut rows, &rates);
}

/// Times of one way and size.
struct Row {
    name: String,
    what: Option<(&'static str, usize)>,
    pace: Duration,
    times: Vec<u64>,
}

impl Row {
    fn new(name: String, what: Option<(&'static str, usize)>, pace: Duration) -> Self {
        Self {
            name,
            what,
            pace,
            times: Vec::new(),
        }
    }

    /// Of the sorted times, in microseconds.
    fn percentile(&self, percent: usize) -> f64 {
        percentile(&self.times, percent)
    }
}

fn print(rows: &mut [Row], rates: &[((&str, usize), f64)]) {
    for row in rows.iter_mut() {
        row.times.sort_unstable();
    }
    println!("| way | size | p50 us | p90 us | p99 us | p50 / bare wake | messages/s |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows.iter() {
        let mut bare = rows.iter().filter(|bare| bare.what.is_none());
        let floor = bare.find(|bare| bare.pace == row.pace);
        let floor = floor.map_or(f64::NAN, |bare| bare.percentile(50));
        let rate = rates.iter().find(|(what, _)| Some(*what) == row.what);
        let rate = rate.map_or(String::new(), |(_, rate)| thousands(*rate));
        let bytes = row.what.map_or(String::new(), |(_, bytes)| size(bytes));
        println!(
            "| {} | {bytes} | {:.2} | {:.2} | {:.2} | {:.2} | {rate} |",
            row.name,
            row.percentile(50),
            row.percentile(90),
            row.percentile(99),
            row.percentile(50) / floor,
        );
    }
}

/// The bare wake: a mutex, a condition variable and two threads.
fn bare_wakes(count: u64, pace: Duration) -> Vec<u64> {
    struct Post {
        letter: Mutex<Option<Option<Instant>>>,
        wake: Condvar,
    }
    let post = Post {
        letter: Mutex::new(None),
        wake: Condvar::new(),
    };
    let put = |letter| {
        *post.letter.lock().unwrap_or_else(PoisonError::into_inner) = Some(letter);
        post.wake.notify_one();
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = Vec::with_capacity(count as usize);
            let mut letter = post.letter.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                match letter.take() {
                    Some(Some(sent)) => times.push(sent.elapsed().as_nanos() as u64),
                    Some(None) => return times,
                    None => {
                        letter = post
                            .wake
                            .wait(letter)
                            .unwrap_or_else(PoisonError::into_inner)
                    }
                }
            }
        });
        let mut next = Instant::now();
        for _ in 0..count {
            next += pace;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            put(Some(Instant::now()));
        }
        std::thread::sleep(pace);
        put(None);
        reader.join().expect("it does not panic")
    })
}

/// Runs dataflows of a sender and a meter.
struct Bench {
    loader: Loader,
    plugin: String,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Self {
        let loader = Loader::new(LoaderOptions {
            isolation: Isolation::Shared,
            in_place: true,
            level: Arc::new(AtomicU32::new(2)),
            log: Arc::new(|library, line| eprintln!("{library}: {}", line.message)),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        Self {
            loader,
            plugin: library("flow", Profile::Release).display().to_string(),
            runtime: runtime.expect("a runtime"),
        }
    }

    /// Nanoseconds that each message took.
    fn latencies(&self, thread: &str, bytes: usize, count: u64, pace: Duration) -> Vec<u64> {
        let micros = pace.as_micros();
        let sender = format!("{{count: {count}, bytes: {bytes}, micros: {micros}}}");
        let input = "{source: pacer/out, queue_size: 10}";
        let times = self.run(&sender, input, thread, "{latencies: true}", "latencies");
        assert_eq!(times.len() as u64, count, "messages were lost");
        times
    }

    /// Messages per second.
    fn rate(&self, thread: &str, bytes: usize, count: u64) -> f64 {
        let sender = format!("{{count: {count}, bytes: {bytes}, micros: 0}}");
        let input = match thread {
            "own" => "{source: pacer/out, queue_size: 1000, queue_policy: backpressure}",
            _ => "{source: pacer/out, queue_size: 1000}",
        };
        match *self.run(&sender, input, thread, "{}", "rate") {
            [received, nanos] => {
                assert_eq!(received, count, "messages were lost");
                received as f64 / Duration::from_nanos(nanos).as_secs_f64()
            }
            _ => f64::NAN,
        }
    }

    fn run(&self, sender: &str, input: &str, thread: &str, meter: &str, result: &str) -> Vec<u64> {
        let plugin = &self.plugin;
        let yaml = format!(
            "
nodes:
  - id: pacer
    path: '{plugin}'
    kind: pacer
    config: {sender}
    inputs: {{start: {{source: dora/timer/millis/1, queue_size: 1, queue_policy: drop_newest}}}}
  - id: meter
    path: '{plugin}'
    kind: meter
    thread: {thread}
    config: {meter}
    inputs: {{in: {input}}}
"
        );
        let descriptor = Descriptor::parse(&yaml, Path::new("bench.yml"));
        let descriptor = descriptor.unwrap_or_else(|problems| panic!("{problems}"));
        let places = Places::of_this_process(&[]);
        let runtime = Runtime {
            loader: &self.loader,
            launcher: None,
        };
        let prepared = launch::prepare(&descriptor, runtime, &places);
        let prepared = prepared.unwrap_or_else(|problems| panic!("{problems}"));
        let dataflow = Dataflow::start(DataflowId::new(), &prepared.plan, Arc::new(Quiet));
        let dataflow = dataflow.expect("threads");
        let tap = dataflow.probe().tap("meter", result, 4).expect("an output");
        let (_commands, receiver) = tokio::sync::mpsc::channel(1);
        let report: Report = self.runtime.block_on(dataflow.run(receiver));
        assert_eq!(report.failures().count(), 0, "{report:?}");
        let message = tap.messages.recv().expect("the result");
        message.values().expect("numbers").to_vec()
    }
}

/// Errors only.
struct Quiet;

impl EngineLog for Quiet {
    fn node(&self, node: &NodeId, line: &LogLine<'_>) {
        eprintln!("{node}: {}", line.message);
    }

    fn engine(&self, level: u32, node: Option<&NodeId>, text: &str) {
        if level < 3 {
            eprintln!("{}: {text}", node.map_or("", NodeId::as_str));
        }
    }

    fn level(&self, _: &NodeId) -> Arc<AtomicU32> {
        Arc::new(AtomicU32::new(2))
    }
}
