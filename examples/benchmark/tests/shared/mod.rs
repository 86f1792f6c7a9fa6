//! What the tests of this program share.

use host_testing::run;
use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What takes longer has failed.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// The `dora` that stands beside the benchmark when the tests of the workspace are built, or is built now.
pub fn dora() -> PathBuf {
    let beside =
        Path::new(env!("CARGO_BIN_EXE_benchmark")).with_file_name(format!("dora{EXE_SUFFIX}"));
    if !beside.is_file() {
        let mut cargo = Command::new(env!("CARGO"));
        run(
            cargo.args(["build", "--quiet", "--package", "dora"]),
            DEADLINE,
        )
        .success();
    }
    beside
}

/// The cells of a row of a table.
pub fn cells(line: &str) -> Vec<&str> {
    let line = line
        .strip_prefix("| ")
        .and_then(|line| line.strip_suffix(" |"));
    line.expect("a row of a table")
        .split(" | ")
        .map(str::trim)
        .collect()
}
