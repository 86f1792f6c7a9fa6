//! Private copies of a whole process: gone at its end, and after a crash at the next start.
//!
//! The process is this test program itself, told by the environment to play it.

use crate::harness::{DEADLINE, Running, files_below};
use host::plugin::preflight::Isolation;
use host::plugin::{Loader, LoaderOptions};
use host_testing::{fixtures, fresh_dir};
use plugin_abi::ffi;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

const PLAY: &str = "DORA_TEST_LOADS_AND_WAITS";

/// A process that loads a plugin, says so, and waits for its standard input to end.
struct Other {
    child: Child,
}

impl Other {
    fn start(cache: &Path, in_place: bool) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "copies::plays_the_other_process", "--nocapture"])
            .env(PLAY, if in_place { "in place" } else { "copy" })
            .env("DORA_CACHE_DIR", cache)
            .env("FIXTURE", fixtures::path("features"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (said, lines) = channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                said.send(line).ok();
            }
        });
        let other = Self { child };
        loop {
            match lines.recv_timeout(DEADLINE) {
                Ok(line) if line.contains("loaded and works") => return other,
                Ok(_) => {}
                Err(error) => panic!("the other process has not loaded its plugin: {error}"),
            }
        }
    }

    /// Lets it end by itself.
    fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "{status}");
    }

    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("its end");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Only after a failure of the test: the process is gone otherwise.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Not a test unless it is told so.
#[test]
fn plays_the_other_process() {
    let Ok(how) = std::env::var(PLAY) else {
        return;
    };
    let loader = Loader::new(LoaderOptions {
        isolation: Isolation::Shared,
        in_place: how == "in place",
        level: Arc::default(),
        log: Arc::new(|_, _| {}),
    });
    let path = std::env::var_os("FIXTURE").expect("a plugin");
    let plugin = loader.load(path.as_ref()).expect("loaded");
    let mut echo = Running::start(&plugin, "echo", "{}");
    assert_eq!(echo.input("in", "x"), ffi::OK);
    println!("loaded and works");
    std::io::stdin().lines().for_each(drop);
}

/// Copies in the cache folder: libraries, without locks.
fn copies(cache: &Path) -> usize {
    let files = files_below(cache);
    files
        .iter()
        .filter(|path| path.file_name().is_some_and(|name| name != "lock"))
        .count()
}

#[test]
fn copies_are_gone_when_the_process_has_ended() {
    let cache = fresh_dir();
    let other = Other::start(cache.path(), false);
    assert_eq!(copies(cache.path()), 1);
    other.end();
    assert_eq!(files_below(cache.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn copies_of_a_process_that_crashed_are_gone_after_the_next_start() {
    let cache = fresh_dir();
    let alive = Other::start(cache.path(), false);
    let crashes = Other::start(cache.path(), false);
    assert_eq!(copies(cache.path()), 2);
    crashes.kill();
    assert_eq!(copies(cache.path()), 2, "nobody has cleaned up yet");
    let next = Other::start(cache.path(), false);
    assert_eq!(copies(cache.path()), 2, "those of the living");
    next.end();
    alive.end();
    assert_eq!(files_below(cache.path()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn in_place_no_cache_is_touched() {
    let cache = fresh_dir();
    let other = Other::start(cache.path(), true);
    assert_eq!(files_below(cache.path()), Vec::<std::path::PathBuf>::new());
    other.end();
}
