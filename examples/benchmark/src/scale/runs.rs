//! The dataflows: chains, fans, and nodes that have nothing to do.
//!
//! Invariant: whatever their shape, one `sender` of the benchmark's plugin sends messages of 8 bytes and `reader`s report.
//! Absent: what is made of the reports.

use crate::idle::{Idle, Signs};
use crate::load::START_MILLIS;
use crate::outcome::Outcome;
use crate::programs::{DEADLINE, Dora};
use crate::usage::{self, Usage};
use eyre::{WrapErr, ensure, eyre};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of messages that come as fast as they go, so many wait at each input.
const QUEUE: usize = 100;
/// Between two looks at what a dataflow takes.
const LOOK: Duration = Duration::from_millis(100);

/// Runs them.
pub struct Runs {
    pub dora: Dora,
    pub plugin: PathBuf,
    pub folder: host_testing::Folder,
    /// For how long one figure is measured.
    pub time: Duration,
}

/// What the sender does.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// Each message is timed, with so much time between two.
    Timed(Duration),
    /// As fast as they go, and none is lost.
    Flood,
}

impl Runs {
    /// Through so many nodes, each but the first reading the one before it.
    ///
    /// # Errors
    /// It fails, or loses a message.
    pub fn chain(&self, nodes: usize, pace: Pace) -> eyre::Result<Outcome> {
        let mut text = self.sender(pace)?;
        let mut source = "sender/out".to_owned();
        for node in 2..nodes {
            self.node(
                &mut text,
                &format!("relay{node}"),
                "relay",
                "{}",
                &input(&source, pace),
            )?;
            source = format!("relay{node}/out");
        }
        self.reader(&mut text, 0, &source, pace)?;
        self.run(&text)?;
        self.outcome(0)
    }

    /// From a sender to a reader beside nodes that have nothing to do.
    ///
    /// # Errors
    /// As [`Runs::chain`].
    pub fn beside(&self, idle: usize, pace: Pace) -> eyre::Result<Outcome> {
        let mut text = self.sender(pace)?;
        self.reader(&mut text, 0, "sender/out", pace)?;
        // They end with their first tick, which comes when all is over.
        let tick = format!("dora/timer/millis/{}", 2 * self.time.as_millis());
        for node in 0..idle {
            self.node(&mut text, &format!("idle{node}"), "idle", "{}", &tick)?;
        }
        self.run(&text)?;
        self.outcome(0)
    }

    /// To so many readers; what each has got, and the most memory that was seen meanwhile.
    ///
    /// # Errors
    /// As [`Runs::chain`].
    pub fn fan(&self, readers: usize, pace: Pace) -> eyre::Result<(Vec<String>, Option<u64>)> {
        let mut text = self.sender(pace)?;
        for node in 0..readers {
            self.reader(&mut text, node, "sender/out", pace)?;
        }
        let memory = self.watched(&text)?;
        let reports = (0..readers).map(|node| {
            let file = self.report(node);
            std::fs::read_to_string(&file).wrap_err_with(|| file.display().to_string())
        });
        Ok((reports.collect::<eyre::Result<_>>()?, memory))
    }

    /// So many nodes that have nothing to do.
    ///
    /// # Errors
    /// They do not start.
    pub fn idle(&self, nodes: usize) -> eyre::Result<Idle> {
        let signs = Signs::new(nodes)?;
        let mut text = String::from("nodes:\n");
        for node in 0..nodes {
            let config = format!("{{file: '{}'}}", signs.file(node).display());
            let tick = "dora/timer/secs/3600";
            self.node(&mut text, &format!("idle{node}"), "idle", &config, tick)?;
        }
        let began = Instant::now();
        let program = self.dora.start(self.folder.path(), &text);
        signs.wait(DEADLINE).wrap_err_with(|| program.to_string())?;
        let start = began.elapsed();
        Ok(Idle::of(start, || usage::family(program.id()), self.time))
    }

    /// The first node, which everything else reads.
    fn sender(&self, pace: Pace) -> eyre::Result<String> {
        let file = self.folder.path().join("sent");
        let file = file.display();
        let (count, micros, millis) = match pace {
            Pace::Timed(pace) => {
                let count = self.time.as_nanos() / pace.as_nanos().max(1);
                // Fewer are no median.
                (count.max(10), pace.as_micros(), 0)
            }
            Pace::Flood => (1_000_000_000, 0, self.time.as_millis()),
        };
        let mut text = String::from("nodes:\n");
        let config = format!(
            "{{bytes: 8, count: {count}, micros: {micros}, millis: {millis}, file: '{file}'}}"
        );
        let tick = format!(
            "{{source: dora/timer/millis/{START_MILLIS}, queue_size: 1, queue_policy: drop_newest}}"
        );
        self.named(&mut text, "sender", "sender", &config, ("start", &tick))?;
        Ok(text)
    }

    /// A node that reports what comes from there.
    fn reader(
        &self,
        text: &mut String,
        number: usize,
        source: &str,
        pace: Pace,
    ) -> eyre::Result<()> {
        let config = reader(&self.report(number), pace);
        let id = format!("reader{number}");
        self.node(text, &id, "reader", &config, &input(source, pace))
    }

    fn node(
        &self,
        text: &mut String,
        id: &str,
        kind: &str,
        config: &str,
        input: &str,
    ) -> eyre::Result<()> {
        self.named(text, id, kind, config, ("in", input))
    }

    fn named(
        &self,
        text: &mut String,
        id: &str,
        kind: &str,
        config: &str,
        (port, input): (&str, &str),
    ) -> eyre::Result<()> {
        let plugin = self.plugin.display();
        write!(
            text,
            "  - id: {id}\n    path: '{plugin}'\n    kind: {kind}\n    config: {config}\n    inputs: {{{port}: {input}}}\n"
        )?;
        Ok(())
    }

    fn report(&self, reader: usize) -> PathBuf {
        self.folder.path().join(format!("report{reader}"))
    }

    fn run(&self, text: &str) -> eyre::Result<()> {
        let ran = self.dora.run(self.folder.path(), text);
        ran.map_err(|why| eyre!("{why}"))
    }

    /// Runs it, and looks meanwhile how much memory it takes: the most that was seen.
    fn watched(&self, text: &str) -> eyre::Result<Option<u64>> {
        let mut program = self.dora.start(self.folder.path(), text);
        let until = Instant::now() + DEADLINE;
        let mut most = None;
        while program.ended().is_none() {
            ensure!(
                Instant::now() < until,
                "not over within {DEADLINE:?}: {program}"
            );
            let usage = Usage::of(&usage::family(program.id()));
            most = most.max(usage.map(|usage| usage.memory));
            std::thread::sleep(LOOK);
        }
        let ended = program.end(DEADLINE);
        let good = ended.status.is_some_and(|status| status.success());
        ensure!(good, "{ended}");
        Ok(most)
    }

    fn outcome(&self, reader: usize) -> eyre::Result<Outcome> {
        let file = self.report(reader);
        let report = std::fs::read_to_string(&file).wrap_err_with(|| file.display().to_string())?;
        let outcome = Outcome::read(self.sent()?, &report)?;
        ensure!(outcome.lost() == 0, "{} messages were lost", outcome.lost());
        Ok(outcome)
    }

    /// How many messages the last run has sent.
    ///
    /// # Errors
    /// It has not said so.
    pub fn sent(&self) -> eyre::Result<u64> {
        let sent = std::fs::read_to_string(self.folder.path().join("sent"));
        Ok(sent.wrap_err("the sender's report")?.trim().parse()?)
    }
}

fn input(source: &str, pace: Pace) -> String {
    match pace {
        Pace::Timed(_) => format!("{{source: {source}, queue_size: {QUEUE}}}"),
        Pace::Flood => {
            format!("{{source: {source}, queue_size: {QUEUE}, queue_policy: backpressure}}")
        }
    }
}

fn reader(file: &Path, pace: Pace) -> String {
    let timed = matches!(pace, Pace::Timed(_));
    format!("{{latencies: {timed}, file: '{}'}}", file.display())
}
