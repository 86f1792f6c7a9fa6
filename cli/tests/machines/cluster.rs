//! A coordinator, daemons and commands of one test: the real `dora`, in a folder of the test's own, on free ports.
//!
//! Invariant: nothing that was started here outlives the value, and nothing that runs elsewhere on the machine is met.
//! Absent: what the tests are about.

use host_testing::{Background, Folder, Left, Run, fresh_dir, plugins, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// How long anything may take on a busy machine. What hangs is told by it; what is slow is not.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The processes of one test. Each daemon has a folder of its own, named like its machine.
pub struct Cluster {
    daemons: BTreeMap<String, Background>,
    coordinator: Option<Background>,
    /// Where the coordinator listens, if not on loopback.
    host: Option<String>,
    port: u16,
    /// What the commands of a folder are begun with, such as what puts them into a network of their own.
    prefixes: BTreeMap<String, Vec<String>>,
    /// What is in the environment of everything beside what is always there.
    variables: BTreeMap<String, OsString>,
    folder: Folder,
}

impl Cluster {
    /// Nothing runs, and `port` stands for none yet.
    fn empty() -> Self {
        let folder = fresh_dir();
        for name in ["here", "coordinator"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self {
            daemons: BTreeMap::new(),
            coordinator: None,
            host: None,
            port: 0,
            prefixes: BTreeMap::new(),
            variables: BTreeMap::new(),
            folder,
        }
    }

    /// As [`Cluster::without_coordinator`], for a coordinator at this address, with the commands of each of these folders
    /// begun with these words.
    #[cfg(target_os = "linux")]
    pub fn elsewhere(host: &str, prefixes: BTreeMap<String, Vec<String>>) -> Self {
        let mut cluster = Self::without_coordinator();
        cluster.host = Some(host.to_owned());
        cluster.prefixes = prefixes;
        cluster
    }

    /// Nothing runs. The port is one that nobody has, and that the system gives to nobody who asks for any: a
    /// coordinator can be started on it later, or again.
    pub fn without_coordinator() -> Self {
        let mut cluster = Self::empty();
        cluster.port = lasting_port();
        cluster
    }

    /// A coordinator on any free port, and daemons of these machines that are connected to it.
    pub fn new(machines: &[&str]) -> Self {
        Self::empty().with(machines)
    }

    /// As [`Cluster::new`], on a port on which the coordinator can be started again.
    pub fn lasting(machines: &[&str]) -> Self {
        Self::without_coordinator().with(machines)
    }

    fn with(mut self, machines: &[&str]) -> Self {
        self.start_coordinator(&[]);
        for machine in machines {
            self.start_daemon(machine, &[]);
        }
        for machine in machines {
            self.connected(machine);
        }
        self
    }

    /// Says that the test leaves something behind on purpose; see [`Folder::may_leave`].
    pub fn may_leave(&self, what: Left, why: &'static str) {
        self.folder.may_leave(what, why);
    }

    /// The folder of the test.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder that commands run in.
    pub fn here(&self) -> PathBuf {
        self.path().join("here")
    }

    /// The port of the coordinator.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address and the port of the coordinator.
    pub fn address(&self) -> String {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        format!("{host}:{}", self.port)
    }

    /// Sets a variable of what is started from now on, and of all that this starts.
    pub fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        self.variables.insert(variable.to_owned(), value.into());
    }

    /// Begins the commands of a folder, which is made, with these words from now on.
    #[cfg(unix)]
    pub fn begin(&mut self, folder: &str, words: &[&str]) {
        std::fs::create_dir_all(self.path().join(folder)).expect("a folder");
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.prefixes.insert(folder.to_owned(), words);
    }

    /// Writes a file into the folder that commands run in.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.here().join(file);
        let folder = path.parent().expect("inside a folder");
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// `dora` with these arguments in a folder of the test, to be run. Nothing of the user's own is used.
    pub fn command(&self, folder: &str, args: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_dora");
        let prefix = self.prefixes.get(folder).map_or(&[][..], Vec::as_slice);
        let mut command = match prefix {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.current_dir(self.path().join(folder)).args(args);
        command
            .env("DORA_COORDINATOR_PORT", self.port.to_string())
            .env("DORA_STATE_DIR", self.path().join("state"))
            .env("DORA_CACHE_DIR", self.path().join("cache"))
            // Users have it set, and a mistake of theirs is no fault of the program.
            .env("RUST_BACKTRACE", "1")
            .env_remove("DORA_COORDINATOR_ADDR")
            .env_remove("DORA_OUT_DIR")
            .env_remove("RUST_LOG")
            .env_remove("VIRTUAL_ENV")
            .envs(&self.variables);
        if let Some(host) = &self.host {
            command.env("DORA_COORDINATOR_ADDR", host);
        }
        command
    }

    /// Runs a command to its end.
    pub fn dora(&self, args: &[&str]) -> Run {
        run(&mut self.command("here", args), DEADLINE)
    }

    /// Starts a command.
    pub fn background(&self, args: &[&str]) -> Background {
        Background::start(&mut self.command("here", args))
    }

    /// Runs a command that succeeds, and parses what it prints.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.dora(args).success();
        match serde_json::from_str(&text) {
            Ok(value) => value,
            Err(error) => panic!("{args:?} prints no JSON: {error}\n{text}"),
        }
    }

    /// Starts the coordinator and waits until it listens.
    pub fn start_coordinator(&mut self, args: &[&str]) {
        let port = self.port.to_string();
        let args = [&["coordinator", "--port", &port], args].concat();
        let process = Background::start(&mut self.command("coordinator", &args));
        let line = process.line("Listening for incoming daemon connection on ", DEADLINE);
        let port = line.rsplit(' ').next().and_then(|port| port.parse().ok());
        self.port = port.expect("a port");
        self.coordinator = Some(process);
    }

    /// The coordinator.
    pub fn coordinator(&self) -> &Background {
        self.coordinator.as_ref().expect("it runs")
    }

    /// The coordinator, to be ended.
    pub fn take_coordinator(&mut self) -> Background {
        self.coordinator.take().expect("it runs")
    }

    /// Starts the daemon of a machine, with more arguments, and does not wait for it.
    pub fn start_daemon(&mut self, machine: &str, args: &[&str]) {
        let process = self.spare_daemon(machine, machine, args);
        self.daemons.insert(machine.to_owned(), process);
    }

    /// Starts a daemon that nobody else here knows of, in a folder of its own.
    pub fn spare_daemon(&self, folder: &str, machine: &str, args: &[&str]) -> Background {
        std::fs::create_dir_all(self.path().join(folder)).expect("a folder");
        let own = ["daemon", "--machine-id", machine, "--local-listen-port"];
        // The last one counts, and clap takes one only.
        let own = match args.contains(&"--local-listen-port") {
            true => own.split_last().expect("some").1.to_vec(),
            false => [&own[..], &["0"]].concat(),
        };
        Background::start(&mut self.command(folder, &[&own[..], args].concat()))
    }

    /// Waits until the daemon of a machine is connected.
    pub fn connected(&self, machine: &str) {
        let line = format!("Connected to dora-coordinator at {}", self.address());
        assert_eq!(self.daemon(machine).line("Connected", DEADLINE), line);
    }

    /// Waits until the coordinator has so many daemons again; its status.
    pub fn all_connected(&self, daemons: usize) -> Value {
        self.until(&["status", "--json"], |status| {
            let all = status["daemons"].as_array().expect("an array").iter();
            all.filter(|it| it["state"] == "connected").count() == daemons
        })
    }

    /// The daemon of a machine.
    pub fn daemon(&self, machine: &str) -> &Background {
        self.daemons.get(machine).expect("a daemon")
    }

    /// The daemon of a machine, to be ended.
    pub fn take_daemon(&mut self, machine: &str) -> Background {
        self.daemons.remove(machine).expect("a daemon")
    }

    /// Starts a dataflow with more arguments and leaves it; its UUID.
    pub fn start(&self, file: &str, args: &[&str]) -> String {
        let args = [&["start", "--detach", file], args].concat();
        self.dora(&args).success().trim().to_owned()
    }

    /// Waits until a command that prints JSON prints what is wanted, and returns it.
    pub fn until(&self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let until = std::time::Instant::now() + DEADLINE;
        loop {
            let value = self.json(args);
            if wanted(&value) {
                return value;
            }
            assert!(
                std::time::Instant::now() < until,
                "not by the deadline: {args:?}: {value:#}\n{self}"
            );
        }
    }

    /// Waits until `dora list` gives a dataflow, by UUID or name, this status; its object.
    pub fn until_status(&self, dataflow: &str, status: &str) -> Value {
        let list = self.until(&["list", "--json"], |list| {
            find(list, dataflow).is_some_and(|found| found["status"] == status)
        });
        find(&list, dataflow).expect("it was there").clone()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Their nodes may hang, so daemons are killed. Their workers then take away processes and shared memory. A
        // coordinator has none.
        if !self.daemons.is_empty() {
            let why = "its daemon was killed while it wrote it";
            self.folder.may_leave(Left::Files, why);
        }
        self.daemons.clear();
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.finish();
        }
    }
}

/// The object of a dataflow in what `dora list` prints.
pub fn find<'a>(list: &'a Value, dataflow: &str) -> Option<&'a Value> {
    let mut list = list.as_array().expect("an array").iter();
    list.find(|it| it["uuid"] == dataflow || it["name"] == dataflow)
}

impl std::fmt::Display for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for process in self.coordinator.iter().chain(self.daemons.values()) {
            writeln!(f, "{process}\n")?;
        }
        Ok(())
    }
}

/// Ports below those that systems give out by themselves, so that nobody gets one while a coordinator is away.
pub fn lasting_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Other processes of tests begin elsewhere, the next one too far away for the two to meet.
    let begin = u64::from(std::process::id()) * 199 % 10_000;
    let begin = u16::try_from(begin).unwrap_or_default();
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (begin + offset) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The example of the tutorial, with the plugins that the tests build, and with longer queues.
pub fn example() -> String {
    let inputs = [
        ("tick", "dora/timer/millis/10"),
        ("random", "rust-node/random"),
        ("message", "rust-status-node/status"),
    ];
    let long = |text: String, (input, source)| plugins::with_long_queue(&text, input, source);
    inputs.into_iter().fold(plain_example(), long)
}

fn plain_example() -> String {
    plugins::descriptor("examples/multiple-daemons/dataflow.yml")
}

/// The example as it stands, sending so many numbers.
pub fn example_of(count: u64) -> String {
    let config = format!("outputs:\n      - random\n    config: {{count: {count}}}\n");
    let text = plain_example().replace("outputs:\n      - random\n", &config);
    assert!(text.contains("config:"), "{text}");
    text
}

/// The same, going on until it is stopped.
pub fn endless() -> String {
    example_of(1_000_000)
}

/// As [`endless`], with the sink on A, and the others on B: A reads what B sends.
pub fn reversed() -> String {
    let swapped = endless().replace("machine: A", "machine: @");
    let swapped = swapped.replace("machine: B", "machine: A");
    swapped.replace("machine: @", "machine: B")
}

/// Checks that a command has failed by the user's mistake: status 1, an error with these parts, no trace of the program's
/// own places.
pub fn assert_fails(run: &Run, parts: &[&str]) {
    let code = run.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{run}");
    assert!(run.stderr.contains("error: "), "{run}");
    for part in parts {
        assert!(run.stderr.contains(part), "`{part}` is missing: {run}");
    }
    for trace in ["Location:", "backtrace", "cli/src", "panicked"] {
        assert!(!run.stderr.contains(trace), "{run}");
    }
}
