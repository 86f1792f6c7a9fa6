//! `dora build`: runs the nodes' build commands and shows how far they are.

use super::print_warnings;
use super::signals::Signals;
use crate::args::BuildArgs;
use crate::terminal::{self, BAD, FAINT, GOOD, HEADING, safe};
use eyre::{Result, WrapErr};
use host::build::{self, BuildError, Job, Options, Progress};
use host::descriptor::Descriptor;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime;

/// Runs the command.
pub fn run(args: &BuildArgs) -> Result<ExitCode> {
    let descriptor = Descriptor::read(&args.descriptor)?;
    print_warnings(&descriptor.warnings);
    build(&descriptor, args.parallel, args.verbose)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds a descriptor's nodes and shows on standard error what happens: one line for each job that is done, on a
/// terminal also one that says what runs. `verbose` shows all output of the commands. Ctrl-C ends it.
///
/// # Errors
/// As [`build::run`].
pub fn build(descriptor: &Descriptor, parallel: NonZeroUsize, verbose: bool) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(stop.clone()).wrap_err("cannot watch for Ctrl-C")?;
    let mut display = Display {
        out: terminal::stderr(),
        live: io::stderr().is_terminal() && !verbose,
        verbose,
        running: Vec::new(),
        shown: None,
        jobs: 0,
    };
    let options = Options { parallel, stop };
    let result = build::run(descriptor, &options, &mut |progress| {
        // A closed standard error is no reason to stop the build.
        let _ = display.show(&progress);
    });
    let _ = display.clear();
    if result.is_ok() && display.jobs == 0 {
        let file = descriptor.file.display().to_string();
        let _ = writeln!(
            display.out,
            "nothing to build: no node of {} has a `build`",
            safe(&file)
        );
    }
    match result {
        // As for all other problems of a descriptor.
        Err(BuildError::Commands(problems)) => Err(problems.into()),
        result => Ok(result?),
    }
}

/// Sets the flag when this process is asked to end, from a thread of its own.
fn stop_on_signals(stop: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _within = runtime.enter();
        Signals::new()?
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(signals.next());
            stop.store(true, Ordering::Relaxed);
        })?;
    Ok(())
}

/// How often the live line changes.
const REFRESH: Duration = Duration::from_millis(250);

struct Display<W> {
    out: W,
    /// The last line is rewritten while something runs.
    live: bool,
    verbose: bool,
    running: Vec<(String, Instant)>,
    /// When the live line was written, if it stands there.
    shown: Option<Instant>,
    jobs: usize,
}

impl<W: Write> Display<W> {
    fn show(&mut self, progress: &Progress<'_>) -> io::Result<()> {
        match progress {
            Progress::Started(job) => self.started(job),
            Progress::Output(job, line) if self.verbose => {
                writeln!(self.out, "{FAINT}{}:{FAINT:#} {line}", names(job))
            }
            Progress::Output(..) | Progress::Tick => self.refresh(),
            Progress::Built(job, took) => self.done(job, &format!("{GOOD}built{GOOD:#}"), *took),
            Progress::Failed(job, took) => self.done(job, &format!("{BAD}failed{BAD:#}"), *took),
        }
    }

    fn started(&mut self, job: &Job) -> io::Result<()> {
        self.jobs += 1;
        self.running.push((names(job), Instant::now()));
        if self.live {
            self.shown = None;
            return self.refresh();
        }
        let commands: Vec<_> = job.commands.iter().map(ToString::to_string).collect();
        let commands = commands.join("; ");
        writeln!(
            self.out,
            "building {HEADING}{}{HEADING:#}: {}",
            names(job),
            safe(&commands)
        )
    }

    fn done(&mut self, job: &Job, what: &str, took: Duration) -> io::Result<()> {
        let names = names(job);
        self.running.retain(|(running, _)| *running != names);
        self.clear()?;
        writeln!(
            self.out,
            "{what} {HEADING}{names}{HEADING:#} in {:.1} s",
            took.as_secs_f64()
        )?;
        self.refresh()
    }

    /// Writes the live line anew when it is time.
    fn refresh(&mut self) -> io::Result<()> {
        let recent = self.shown.is_some_and(|at| at.elapsed() < REFRESH);
        if !self.live || recent || self.running.is_empty() {
            return Ok(());
        }
        let texts = self
            .running
            .iter()
            .map(|(names, started)| format!("{names} {} s", started.elapsed().as_secs()));
        let text = texts.collect::<Vec<_>>().join(", ");
        // Cut rather than wrapped: a wrapped line could not be taken back. 80 columns are always there.
        let text: String = text.chars().take(68).collect();
        self.clear()?;
        write!(self.out, "building {text}")?;
        self.out.flush()?;
        self.shown = Some(Instant::now());
        Ok(())
    }

    /// Takes the live line back.
    fn clear(&mut self) -> io::Result<()> {
        if self.live && self.shown.take().is_some() {
            write!(self.out, "\r\u{1b}[K")?;
            self.out.flush()?;
        }
        Ok(())
    }
}

fn names(job: &Job) -> String {
    let names: Vec<_> = job.nodes.iter().map(|node| node.as_str()).collect();
    names.join(", ")
}
