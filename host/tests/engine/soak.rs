//! Random dataflows, one after another: random topologies, policies, threads, failures and restarts.
//!
//! What must hold for each: counters add up (every run checks that), order is kept (a checker fails otherwise), nothing
//! is lost on a way that is `backpressure` throughout and has no failing node, and no thread or memory is left. Runs for
//! `DORA_SOAK_SECONDS`: 30 in CI, else 5.

use crate::harness::{alone, descriptor, launch, plan};
use fastrand::Rng;
use host::engine::Ending;
use std::fmt::Write;
use std::time::{Duration, Instant};

fn duration() -> Duration {
    let usual = if std::env::var_os("CI").is_some() {
        30
    } else {
        5
    };
    let asked = std::env::var("DORA_SOAK_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(usual))
}

/// A node that others can read.
struct Way {
    output: String,
    /// Numbers that its sources send.
    count: u64,
    /// All of them come through, however slow the reader is.
    whole: bool,
}

/// A random dataflow, and what its checkers must have received: `None` where messages may be lost.
struct Flow {
    yaml: String,
    checkers: Vec<(String, Option<u64>)>,
}

impl Flow {
    fn random(rng: &mut Rng) -> Self {
        let mut flow = Self {
            yaml: "nodes:\n".to_owned(),
            checkers: Vec::new(),
        };
        let mut ways: Vec<Way> = (0..rng.usize(1..=3)).map(|i| flow.source(i, rng)).collect();
        for i in 0..rng.usize(0..=6) {
            let from = rng.usize(0..ways.len());
            if let Some(way) = ways.get(from) {
                let next = flow.middle(i, way, rng);
                ways.push(next);
            }
        }
        for i in 0..rng.usize(1..=4) {
            flow.checker(i, &ways, rng);
        }
        flow
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.yaml.write_fmt(text).expect("text");
    }

    fn source(&mut self, i: usize, rng: &mut Rng) -> Way {
        let (count, burst, period) = (rng.u64(1..=200), rng.u64(1..=20), rng.u64(100..=1_000));
        if rng.bool() {
            let config = format!("{{count: {count}, burst: {burst}, origin: {i}}}");
            self.line(format_args!(
                "  - id: s{i}\n    kind: source\n    config: {config}\n"
            ));
            self.line(format_args!(
                "    inputs: {{tick: dora/timer/micros/{period}}}\n    outputs: [out]\n"
            ));
        } else {
            self.line(format_args!("  - id: s{i}\n    kind: own-thread\n    config: {{count: {count}}}\n    outputs: [out]\n"));
        }
        Way {
            output: format!("s{i}/out"),
            count,
            whole: true,
        }
    }

    fn middle(&mut self, i: usize, from: &Way, rng: &mut Rng) -> Way {
        let kind = *rng
            .choice(&["relay", "slow", "failing"])
            .expect("not empty");
        self.line(format_args!(
            "  - id: m{i}\n    kind: {kind}\n    outputs: [out]\n"
        ));
        match kind {
            "slow" => self.line(format_args!(
                "    config: {{micros: {}}}\n",
                rng.u32(0..=300)
            )),
            "failing" => {
                let how = *rng
                    .choice(&["error", "panic", "reported"])
                    .expect("not empty");
                let (at, times) = (rng.u64(1..=50), rng.u32(1..=3));
                self.line(format_args!(
                    "    config: {{how: {how}, at: {at}, times: {times}}}\n"
                ));
                let policy = *rng.choice(&["never", "on-failure"]).expect("not empty");
                self.line(format_args!("    restart_policy: {policy}\n"));
            }
            _ => {}
        }
        let inline = rng.u8(0..4) == 0;
        if inline {
            self.line(format_args!("    thread: sender\n"));
        }
        let (queue, backpressure) = if inline {
            (String::new(), false)
        } else {
            queue(rng)
        };
        self.line(format_args!(
            "    inputs: {{in: {{source: {}{queue}}}}}\n",
            from.output
        ));
        Way {
            output: format!("m{i}/out"),
            count: from.count,
            // Inline calls queue only what comes from a source's own thread, whose queue may drop.
            whole: from.whole && backpressure && kind != "failing",
        }
    }

    fn checker(&mut self, i: usize, ways: &[Way], rng: &mut Rng) {
        let id = format!("c{i}");
        self.line(format_args!("  - id: {id}\n    kind: checker\n"));
        if rng.bool() {
            // Checkers send to nobody, so any of them may share a thread.
            self.line(format_args!("    thread: t{}\n", rng.u8(0..2)));
        }
        self.line(format_args!("    inputs:\n"));
        let mut whole = Some(0);
        for (input, way) in ways.iter().enumerate() {
            if input > 0 && rng.bool() {
                continue;
            }
            let (queue, backpressure) = queue(rng);
            self.line(format_args!(
                "      in{input}: {{source: {}{queue}}}\n",
                way.output
            ));
            whole = whole
                .filter(|_| way.whole && backpressure)
                .map(|sum| sum + way.count);
        }
        self.checkers.push((id, whole));
    }
}

/// Size and policy of a queue, and whether it loses nothing.
fn queue(rng: &mut Rng) -> (String, bool) {
    let policy = *rng
        .choice(&["drop_oldest", "drop_newest", "backpressure", "backpressure"])
        .expect("not empty");
    (
        format!(", queue_size: {}, queue_policy: {policy}", rng.u8(1..=20)),
        policy == "backpressure",
    )
}

fn run(seed: u64) {
    let flow = Flow::random(&mut Rng::with_seed(seed));
    let descriptor = descriptor(&flow.yaml);
    let ended = launch(descriptor.clone(), &plan(&descriptor)).end();
    for (checker, whole) in &flow.checkers {
        let node = ended.node(checker);
        assert_eq!(
            node.ending,
            Ending::Finished,
            "seed {seed}, {checker}\n{}",
            flow.yaml
        );
        if let Some(count) = whole {
            assert_eq!(
                ended.checked(checker),
                (*count, 0),
                "seed {seed}, {checker}\n{}",
                flow.yaml
            );
        }
    }
}

#[cfg(target_os = "linux")]
fn threads_and_memory() -> (usize, usize) {
    let threads = std::fs::read_dir("/proc/self/task").expect("proc").count();
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    (threads, pages.map_or(0, |pages: usize| pages * 4_096))
}

#[cfg(not(target_os = "linux"))]
fn threads_and_memory() -> (usize, usize) {
    (0, 0)
}

#[test]
fn random_dataflows_keep_their_promises() {
    let _alone = alone();
    let first = std::env::var("DORA_SOAK_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let first: u64 = first.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("soak: DORA_SOAK_SEED={first}");
    let until = Instant::now() + duration();
    let mut runs = 0;
    let mut before = (0, 0);
    while Instant::now() < until {
        run(first + runs);
        runs += 1;
        if runs == 20 {
            // What is made once and kept is there by now.
            before = threads_and_memory();
        }
    }
    let patience = Instant::now() + Duration::from_secs(20);
    while runs > 20 && threads_and_memory().0 > before.0 {
        assert!(
            Instant::now() < patience,
            "threads are left: {:?} after {before:?}",
            threads_and_memory()
        );
        std::thread::yield_now();
    }
    let grown = threads_and_memory().1.saturating_sub(before.1);
    println!(
        "soak: {runs} dataflows, {} kB more memory than after the first 20",
        grown >> 10
    );
    assert!(
        runs <= 20 || grown < 32 << 20,
        "{grown} bytes more after {runs} dataflows"
    );
}
