//! Python with a release of dora in it, and nodes run by it.
//!
//! Invariant: an environment is made once, under a lock on a file, and kept in the target folder. Absent: which releases
//! there are, and what becomes of a test where PyPI cannot be reached: [`Python::with_dora`] says why there is none.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where a node of dora finds how to reach its runtime.
const VARIABLE: &str = "DORA_NODE_CONFIG";
/// The script of the fixtures: a node of dora that does what the kinds of `flow` do, as its variables say.
pub fn node_script() -> PathBuf {
    crate::repo_root().join("host/testing/fixtures/dora/node.py")
}

/// How long a package may take to come.
const INSTALL: Duration = Duration::from_secs(180);

/// An interpreter that has dora and pyarrow.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
    folder: PathBuf,
}

/// One at a time: tests of one process share the folders.
static MAKING: Mutex<()> = Mutex::new(());

impl Python {
    /// One with this release of dora; made when there is none yet.
    ///
    /// # Errors
    /// Why there is none, such as that PyPI cannot be reached.
    pub fn with_dora(release: &str) -> Result<Self, String> {
        let _making = MAKING.lock().unwrap_or_else(|it| it.into_inner());
        let environments = crate::target_dir().join("venvs");
        let lock = fs::create_dir_all(&environments)
            .and_then(|()| File::create(environments.join("lock")))
            .and_then(|lock| lock.lock().map(|()| lock));
        let _lock = lock.map_err(|error| error.to_string())?;
        let folder = environments.join(format!("dora-{release}"));
        let bin = if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        };
        let program = folder.join(bin);
        if !has_dora(&program) {
            let system = if cfg!(windows) { "python" } else { "python3" };
            let venv = Command::new(system)
                .args(["-m", "venv"])
                .arg(&folder)
                .spawn();
            end_well(venv.map_err(|error| error.to_string())?)?;
            let package = format!("dora-rs=={release}");
            let pip = Command::new(&program)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                ])
                .args(["--retries", "1", "--timeout", "15", &package, "pyarrow"])
                .spawn();
            end_well(pip.map_err(|error| error.to_string())?)?;
        }
        Ok(Self { program, folder })
    }

    /// The folder of its virtual environment.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The interpreter.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a script as a node.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(&self, folder: &Path, script: &str, config: &str) -> Running {
        self.run(folder, script, |command| {
            command.env(VARIABLE, config);
        })
    }

    /// Starts a script that knows of no daemon.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_alone(&self, folder: &Path, script: &str) -> Running {
        self.run(folder, script, |_| {})
    }

    fn run(&self, folder: &Path, script: &str, with: impl Fn(&mut Command)) -> Running {
        let file = folder.join("node.py");
        std::fs::write(&file, script).expect("a script");
        let mut command = Command::new(&self.program);
        command
            .arg(&file)
            .env("PYTHONUNBUFFERED", "1")
            .env("DORA_ZENOH_MULTICAST", "off")
            .env("DORA_ZENOH_LISTEN", "tcp/127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        with(&mut command);
        Running(Some(command.spawn().expect("python starts")))
    }
}

fn has_dora(program: &Path) -> bool {
    let asked = Command::new(program)
        .args(["-c", "import dora, pyarrow"])
        .output();
    asked.is_ok_and(|output| output.status.success())
}

fn end_well(mut child: Child) -> Result<(), String> {
    let end = Instant::now() + INSTALL;
    while Instant::now() < end {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return status
                .success()
                .then_some(())
                .ok_or_else(|| status.to_string());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
    Err("it took too long".to_owned())
}

/// A node's process; killed when dropped.
pub struct Running(Option<Child>);

impl Running {
    /// Its output after it has ended by itself.
    ///
    /// # Errors
    /// What it has printed, when it has not ended in time.
    ///
    /// # Panics
    /// When the system does not say how it has ended.
    pub fn ended(mut self, within: Duration) -> Result<Output, String> {
        let mut child = self.0.take().expect("it runs");
        let end = Instant::now() + within;
        let in_time = loop {
            if child.try_wait().expect("a child").is_some() {
                break true;
            }
            if Instant::now() > end {
                let _ = child.kill();
                break false;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let output = child.wait_with_output().expect("its output");
        if in_time {
            return Ok(output);
        }
        Err(format!("it did not end:\n{}", text(&output)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process printed.
pub fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}
