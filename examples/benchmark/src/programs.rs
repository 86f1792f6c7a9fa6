//! The program `dora`, this project's or dora's own: one dataflow to its end, or a coordinator with daemons.
//!
//! Invariant: folders are fresh and ports free, nothing of the user's own is used, and nothing outlives the value that has
//! started it. Absent: dataflows.

use crate::usage;
use host_testing::{Background, Folder, run, wait_until};
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What daemons and coordinator have for their end.
const END: Duration = Duration::from_secs(5);
/// Between two looks whether they have ended.
const LOOK: Duration = Duration::from_millis(5);
/// What takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A program `dora`.
#[derive(Debug, Clone)]
pub struct Dora {
    program: PathBuf,
    whose: Whose,
    /// An environment of Python that its nodes are to find.
    python: Option<PathBuf>,
}

/// Whose program it is: their options differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This project's.
    Ours,
    /// Dora's own.
    Theirs,
}

impl Dora {
    /// A program at this path.
    pub fn new(program: PathBuf, whose: Whose) -> Self {
        Self {
            program,
            whose,
            python: None,
        }
    }

    /// With nodes that find the Python of this virtual environment.
    pub fn with_python(self, environment: Option<PathBuf>) -> Self {
        Self {
            python: environment,
            ..self
        }
    }

    /// The program with arguments, to be run in a folder, with its state below it.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(arguments);
        command
            .env("DORA_STATE_DIR", folder.join("state"))
            .env("DORA_CACHE_DIR", folder.join("cache"))
            .env_remove("DORA_COORDINATOR_ADDR")
            .env_remove("DORA_COORDINATOR_PORT")
            .env_remove("DORA_OUT_DIR")
            .env_remove("RUST_LOG")
            .env_remove("VIRTUAL_ENV");
        if let Some(environment) = &self.python {
            command.env("VIRTUAL_ENV", environment);
            command.env("PATH", path_with(environment));
        }
        command
    }

    /// Starts a dataflow alone, as `dora run` does.
    pub fn start(&self, folder: &Path, descriptor: &str) -> Background {
        let file = write(folder, descriptor);
        Background::start(&mut self.command(folder, &["run", &file]))
    }

    /// Runs a dataflow alone to its end.
    ///
    /// # Errors
    /// It has failed, or not ended in time; with the last of what was said.
    pub fn run(&self, folder: &Path, descriptor: &str) -> Result<(), String> {
        let file = write(folder, descriptor);
        let done = run(&mut self.command(folder, &["run", &file]), DEADLINE);
        match done.status {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(format!("{status}: {}", end_of(&done.stderr, &done.stdout))),
            None => Err(format!("not over within {DEADLINE:?}")),
        }
    }
}

/// Writes a descriptor into a folder; its name.
fn write(folder: &Path, descriptor: &str) -> String {
    let file = folder.join("dataflow.yml");
    std::fs::write(&file, descriptor).expect("a file");
    file.display().to_string()
}

/// The search path, with the programs of an environment of Python first.
fn path_with(environment: &Path) -> OsString {
    let programs = environment.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs).chain(std::env::split_paths(&usual));
    std::env::join_paths(all).expect("no separators")
}

/// The last lines of what a program has said.
fn end_of(stderr: &str, stdout: &str) -> String {
    let lines: Vec<_> = stdout.lines().chain(stderr.lines()).collect();
    let last = lines.len().saturating_sub(10);
    lines.get(last..).unwrap_or_default().join("\n")
}

/// A coordinator and daemons of one program.
pub struct Cluster {
    // Before the folder: what runs in it ends first.
    daemons: Vec<Background>,
    coordinator: Background,
    dora: Dora,
    port: String,
    folder: Folder,
}

impl Cluster {
    /// Starts them, a daemon for each of these machines, and waits until all are connected.
    pub fn start(dora: &Dora, machines: &[&str]) -> Self {
        let folder = host_testing::fresh_dir();
        let port = free_port();
        let mut words = vec!["coordinator", "--port", &port];
        if dora.whose == Whose::Theirs {
            // Nothing in the user's own folder.
            words.extend(["--store", "memory"]);
        }
        let coordinator = Background::start(&mut dora.command(folder.path(), &words));
        said(&coordinator, "Listening ");
        let mut cluster = Self {
            daemons: Vec::new(),
            coordinator,
            dora: dora.clone(),
            port,
            folder,
        };
        for machine in machines {
            let local = free_port();
            let words = [
                "daemon",
                "--machine-id",
                machine,
                "--local-listen-port",
                &local,
            ];
            let daemon = Background::start(&mut cluster.command(&words));
            cluster.daemons.push(daemon);
        }
        for daemon in &cluster.daemons {
            said(daemon, "Connected to dora-coordinator");
        }
        cluster
    }

    /// The folder that everything runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program with arguments, to be run against this coordinator.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.dora.command(self.folder(), arguments);
        command.env("DORA_COORDINATOR_PORT", &self.port);
        command
    }

    /// Starts a dataflow and leaves it.
    ///
    /// # Errors
    /// The command has failed; with the last of what it has said.
    pub fn begin(&self, descriptor: &str) -> Result<(), String> {
        let file = write(self.folder(), descriptor);
        let mut command = self.command(&["start", "--detach", &file]);
        let done = run(&mut command, DEADLINE);
        match done.status {
            Some(status) if status.success() => Ok(()),
            _ => Err(end_of(&done.stderr, &done.stdout)),
        }
    }

    /// Whether the coordinator or a daemon is there.
    fn runs(&mut self) -> bool {
        let all = self.daemons.iter_mut().chain([&mut self.coordinator]);
        all.into_iter().any(|program| program.ended().is_none())
    }

    /// Everything that runs, the nodes included.
    pub fn processes(&self) -> Vec<u32> {
        let mut all = self.of_daemons();
        all.extend(usage::family(self.coordinator.id()));
        all
    }

    /// The daemons and what they have started.
    pub fn of_daemons(&self) -> Vec<u32> {
        let daemons = self.daemons.iter();
        daemons.flat_map(|it| usage::family(it.id())).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let all = self.processes();
        // Who is told to end, and has the time for it, leaves no shared memory behind. Dora's own coordinator does not end while
        // something runs; whether something does is not known here.
        let _ = run(&mut self.command(&["stop", "--all"]), DEADLINE / 2);
        let told = run(&mut self.command(&["down"]), DEADLINE / 2);
        if !told.status.is_some_and(|status| status.success()) {
            eprintln!("{told}");
        }
        let until = Instant::now() + END;
        while self.runs() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        // Dora's own daemon leaves its nodes when it is killed.
        for process in all {
            kill(process);
        }
    }
}

fn kill(process: u32) {
    let id = process.to_string();
    let (program, words) = match cfg!(windows) {
        true => ("taskkill", vec!["/F", "/PID", &id]),
        false => ("sh", vec!["-c", "kill -s KILL $0", &id]),
    };
    let mut command = Command::new(program);
    command
        .args(words)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // That it has ended meanwhile is as well.
    let _ = command.status();
}

/// Waits until a program has said something, on whichever stream.
fn said(program: &Background, text: &str) {
    wait_until(text, DEADLINE, || {
        program.stdout().contains(text) || program.stderr().contains(text)
    });
}

/// A port that nobody has.
fn free_port() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    address.port().to_string()
}
