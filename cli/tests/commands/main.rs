//! The real `dora` as a user types it: each test in a fresh folder, with a deadline, what it prints compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod build;
/// Plugins for other systems, as the tests of the file check write them byte by byte.
#[cfg(not(windows))]
#[path = "../../../host/tests/preflight/bytes.rs"]
#[allow(dead_code)] // those tests need more of it
mod bytes;
#[cfg(not(windows))]
#[path = "../../../host/tests/preflight/images.rs"]
#[allow(dead_code)] // as above
mod images;
mod network;
mod new;
mod plugin;
mod usage;

use host_testing::{Folder, Run, fresh_dir, run};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A plugin of this system, for `bytes`.
#[cfg(not(windows))]
fn good() -> &'static [u8] {
    static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    GOOD.get_or_init(|| {
        let file = host_testing::fixtures::path("good-plugin");
        std::fs::read(file).expect("read")
    })
}

const DEADLINE: Duration = Duration::from_secs(60);

/// A folder of the test's own, and `dora` in it.
struct Place {
    folder: Folder,
    env: Vec<(&'static str, String)>,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: fresh_dir(),
            env: Vec::new(),
        }
    }

    /// The same folder with one more variable.
    fn with_env(mut self, name: &'static str, value: &str) -> Self {
        self.env.push((name, value.to_owned()));
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), content).expect("written");
    }

    fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dora"));
        command
            .current_dir(self.path())
            .args(args)
            .env("DORA_CACHE_DIR", self.path().join("cache"))
            .env_remove("RUST_BACKTRACE")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    fn dora(&self, args: &[impl AsRef<OsStr>]) -> Run {
        run(&mut self.command(args), DEADLINE)
    }
}

/// Compares the exit status and all that was printed. `<HERE>` stands for the folder.
fn assert_run(place: &Place, run: &Run, code: i32, stdout: &str, stderr: &str) {
    let here = place.path().display().to_string();
    let plain = |text: &str| text.replace(&here, "<HERE>");
    let found = run.status.and_then(|status| status.code());
    assert_eq!(found, Some(code), "{run}");
    assert_eq!(plain(&run.stdout), stdout, "{run}");
    assert_eq!(plain(&run.stderr), stderr, "{run}");
}
