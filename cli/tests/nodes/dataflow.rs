//! A dataflow with the node under test in the middle: a source and a checker in the daemon around it, and a witness that
//! reads the source past it.

use crate::DEADLINE;
use crate::place::Place;
use host_testing::{Background, Folder, Run, fixtures, fresh_dir, wait_until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long what was killed may take to be gone once the command has ended.
const GONE: Duration = Duration::from_secs(20);

/// What flows, and through what. What is not set is what a user gets.
#[derive(Debug, Clone)]
pub struct Dataflow<'a> {
    /// Where the node in the middle runs.
    pub place: Place,
    /// Its kind.
    pub kind: &'a str,
    /// The settings of its kind.
    pub settings: &'a [(&'a str, &'a str)],
    /// More keys of it, a line each.
    pub keys: &'a str,
    /// Queue and policy of its input.
    pub input: &'a str,
    /// The config of the source.
    pub source: &'a str,
    /// Time between two ticks of the source, in milliseconds.
    pub tick: u32,
    /// Kind and config of a node between it and the checker, which must not lose anything, if there is one.
    pub reader: Option<(&'a str, &'a str)>,
    /// More arguments of `dora run`.
    pub args: &'a [&'a str],
    /// `RUST_BACKTRACE` of all its processes.
    pub backtrace: &'a str,
}

impl<'a> Dataflow<'a> {
    /// A node of this kind, to which ten messages go.
    pub fn new(place: Place, kind: &'a str, settings: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            place,
            kind,
            settings,
            keys: "",
            input: "queue_size: 4, queue_policy: backpressure",
            source: "count: 10",
            tick: 2,
            reader: None,
            args: &[],
            backtrace: "0",
        }
    }

    /// The descriptor; `mark` is in the environment of the node in the middle.
    pub fn text(&self, mark: &str) -> String {
        let flow = fixtures::path("flow").display().to_string();
        let plugin = |id: &str, kind: &str, config: &str, keys: &str| {
            format!(
                "  - id: {id}\n    path: '{flow}'\n    kind: {kind}\n    config: {{{config}}}\n    {keys}\n"
            )
        };
        let tick = format!("inputs: {{tick: dora/timer/millis/{}}}", self.tick);
        let reader = |of: &str| {
            format!("inputs: {{in: {{source: {of}, queue_size: 100, queue_policy: backpressure}}}}")
        };
        let mut text = "nodes:\n".to_owned();
        text += &plugin(
            "source",
            "source",
            self.source,
            &format!("{tick}\n    outputs: [out]"),
        );
        // It would reach nothing.
        let variables: &[_] = match self.place {
            Place::Daemon => &[],
            _ => &[("OF_SUBJECT", mark)],
        };
        text += &format!(
            "  - id: subject\n{}{}    inputs: {{in: {{source: source/out, {}}}}}\n    outputs: [out]\n",
            self.place.node(self.kind, self.settings, variables),
            self.keys,
            self.input,
        );
        if self.place == Place::Shared {
            let keys = format!(
                "process: work\n    outputs: [out]\n{}    {}",
                self.keys,
                reader("source/out")
            );
            text += &plugin("other", "relay", "", &keys);
        }
        let mut last = "subject/out";
        if let Some((kind, config)) = self.reader {
            let keys = "inputs: {in: {source: subject/out, queue_size: 1, queue_policy: backpressure}}\n    outputs: [out]";
            text += &plugin("between", kind, config, keys);
            last = "between/out";
        }
        text += &plugin("checker", "checker", "", &reader(last));
        text + &plugin("witness", "checker", "", &reader("source/out"))
    }

    /// Starts it.
    pub fn start(&self) -> Running {
        let folder = fresh_dir();
        let text = self.text(&mark(folder.path()));
        Running::begin(folder, "", &text, self.args, self.backtrace)
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ended {
        self.start().end()
    }
}

/// A `dora run` that runs, in a folder of its own.
pub struct Running {
    program: Background,
    folder: Folder,
}

/// As [`Running`], after its end.
pub struct Ended {
    run: Run,
    /// With what it has written.
    _folder: Folder,
}

impl Running {
    /// `dora run` with these arguments of a descriptor that is made of a text that nobody else has.
    pub fn of(text: impl Fn(&str) -> String, args: &[&str]) -> Self {
        let folder = fresh_dir();
        let text = text(&mark(folder.path()));
        Self::in_folder(folder, &text, args)
    }

    /// As [`Running::of`], in a folder with files of the test's.
    pub fn in_folder(folder: Folder, text: &str, args: &[&str]) -> Self {
        Self::begin(folder, "", text, args, "0")
    }

    /// As [`Running::in_folder`], with the descriptor in a folder below.
    pub fn below(folder: Folder, below: &str, text: &str, args: &[&str]) -> Self {
        Self::begin(folder, below, text, args, "0")
    }

    fn begin(folder: Folder, below: &str, text: &str, args: &[&str], backtrace: &str) -> Self {
        let place = folder.path().join(below);
        std::fs::write(place.join("dataflow.yml"), text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_dora"));
        command
            .current_dir(place)
            .args(["run", "dataflow.yml"])
            .args(args)
            .env("DORA_CACHE_DIR", folder.path().join("cache"))
            .env("RUST_BACKTRACE", backtrace)
            .env("OF_TEST", mark(folder.path()))
            .env_remove("DORA_OUT_DIR")
            .env_remove("VIRTUAL_ENV");
        Self {
            program: Background::start(&mut command),
            folder,
        }
    }

    /// Waits for a line of a node.
    pub fn says(&self, node: &str, text: &str) {
        let line = format!("{node}: {text}");
        wait_until(&format!("{line}\n{}", self.program), DEADLINE, || {
            self.program.stdout().contains(&line) || self.program.stderr().contains(&line)
        });
    }

    /// Waits until a node has said this so often.
    pub fn says_times(&self, node: &str, text: &str, times: usize) {
        let line = format!("{node}: {text}");
        wait_until(&format!("{times} times {line}"), DEADLINE, || {
            self.count(&line) >= times
        });
    }

    /// How often this has been printed.
    pub fn count(&self, text: &str) -> usize {
        let said = [self.program.stdout(), self.program.stderr()];
        said.iter().map(|said| said.matches(text).count()).sum()
    }

    /// The processes that the command itself has started, which is the one that runs the dataflow.
    #[cfg(target_os = "linux")]
    pub fn workers(&self) -> Vec<u32> {
        self.program.children()
    }

    /// Its processes and those of its nodes.
    #[cfg(target_os = "linux")]
    pub fn all(&self) -> Vec<u32> {
        with_variable("OF_TEST", &mark(self.folder.path()))
    }

    /// Whether the command has ended.
    pub fn is_over(&mut self) -> bool {
        self.program.ended().is_some()
    }

    /// Asks it to end, as Ctrl-C does, which is ignored where a shell has started the tests in the background.
    #[cfg(unix)]
    pub fn stop(&self) {
        self.program.signal("TERM");
    }

    /// The processes of the node in the middle.
    #[cfg(target_os = "linux")]
    pub fn subjects(&self) -> Vec<u32> {
        with_variable("OF_SUBJECT", &mark(self.folder.path()))
    }

    /// Waits for its end, and that nothing is left of it.
    pub fn end(mut self) -> Ended {
        wait_until("the end of the dataflow", DEADLINE, || self.is_over());
        #[cfg(target_os = "linux")]
        wait_until("no process is left", GONE, || self.all().is_empty());
        Ended {
            run: self.program.end(DEADLINE),
            _folder: self.folder,
        }
    }
}

impl Ended {
    /// Its exit code.
    pub fn code(&self) -> Option<i32> {
        self.run.status.and_then(|status| status.code())
    }

    /// Checks how it ended.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{}", self.run);
        self
    }

    /// Checks that it printed this on either stream.
    pub fn says(self, text: &str) -> Self {
        let said = self.run.stdout.contains(text) || self.run.stderr.contains(text);
        assert!(said, "`{text}` is missing: {}", self.run);
        self
    }

    /// Checks the row of a node in the summary: how it ended.
    pub fn row(self, node: &str, ended: &str) -> Self {
        let is_row = |line: &str| {
            let rest = line.trim_start().strip_prefix(node);
            rest.is_some_and(|rest| {
                rest.starts_with(' ') && rest.trim_start().starts_with(&format!("{ended}  "))
            })
        };
        assert!(
            self.run.stderr.lines().any(is_row),
            "{node} has not {ended}: {}",
            self.run
        );
        self
    }

    /// What the summary has counted of a node: messages in, out, and dropped.
    pub fn counts(&self, node: &str) -> [u64; 3] {
        let mut rows = self.run.stderr.lines().filter_map(|line| {
            let rest = line.strip_prefix(&format!("  {node} "))?;
            let mut last = rest.split_whitespace().rev().map(|word| word.parse().ok());
            let (dropped, out, into) = (last.next()??, last.next()??, last.next()??);
            Some([into, out, dropped])
        });
        rows.next()
            .unwrap_or_else(|| panic!("{node} has no row: {}", self.run))
    }

    /// How many messages a checker says it has received, and how many numbers were missing among them.
    pub fn checked(&self, node: &str) -> (u64, u64) {
        let lines = self.run.stdout.lines().chain(self.run.stderr.lines());
        let mut said = lines.filter_map(|line| {
            let (_, said) = line.split_once(&format!("{node}: received "))?;
            let (received, missing) = said.split_once(" missing ")?;
            Some((received.parse().ok()?, missing.parse().ok()?))
        });
        said.next_back()
            .unwrap_or_else(|| panic!("{node} has checked nothing: {}", self.run))
    }

    /// All that it printed.
    pub fn run(&self) -> &Run {
        &self.run
    }
}

fn mark(folder: &Path) -> String {
    folder.display().to_string()
}

/// The processes in whose environment this variable is. One that has ended has none.
#[cfg(target_os = "linux")]
pub fn with_variable(name: &str, value: &str) -> Vec<u32> {
    let wanted = format!("{name}={value}");
    let processes = std::fs::read_dir("/proc").expect("the processes");
    let found = processes.filter_map(|entry| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables
            .any(|variable| variable == wanted.as_bytes())
            .then_some(id)
    });
    found.collect()
}
