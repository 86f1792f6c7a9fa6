//! What the tests of the workspace share: fixtures that are built once, fresh folders, programs with a deadline.
//!
//! Invariant: nothing here waits without a deadline, except for the compiler. What fails says what was run and what
//! it printed; a test has nothing better to do with a failed fixture than to end, so these functions panic.
//! Absent: anything that knows the host or the contract; fixtures are files to whoever asks for them.

mod background;
mod compile;
mod fault;
pub mod fixtures;
mod folder;
mod left;
pub mod plugins;
mod program;
pub mod python;

pub use background::{Background, wait_until};
pub use compile::{cc, cc_program};
pub use fault::fault;
pub use folder::{Folder, fresh_dir, fresh_dir_named};
pub use left::Left;
pub use program::{Run, run};

use std::io::Write;
use std::path::{Path, PathBuf};

/// Says that a test shows nothing here, and why: past the capture of what passed tests print.
pub fn skipped(why: &str) {
    // The line may have begun. Who cannot be told has closed the stream.
    let line = format!("\nskipped: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
}

/// The folder of the workspace's manifest.
pub fn repo_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    match here.ancestors().nth(2) {
        Some(root) => root.to_owned(),
        None => panic!("{} is not two folders deep", here.display()),
    }
}

/// The folder that the workspace is built in.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        // Relative to the folder that cargo was started in; the tests run in others.
        Some(folder) => repo_root().join(folder),
        None => repo_root().join("target"),
    }
}
