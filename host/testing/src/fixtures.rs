//! The crates of `host/testing/fixtures`, built when a test first asks for one.
//!
//! Invariant: one build at a time on the machine (a lock on a file), at most one per process and profile, in a target
//! folder of their own, so that a build of the workspace never waits for one of theirs.

use crate::{repo_root, target_dir};
use std::collections::HashMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// How the fixtures are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// As `cargo build` does it.
    Debug,
    /// The same with `panic = "abort"`.
    Abort,
    /// As `cargo build --release` does it: for benchmarks.
    Release,
}

impl Profile {
    /// The name of the profile and of its folder.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Profile::Debug => ("dev", "debug"),
            Profile::Abort => ("abort", "abort"),
            Profile::Release => ("release", "release"),
        }
    }

    /// What is built: everything, or as little as is asked for in that profile.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Profile::Debug => &["--workspace"],
            Profile::Abort => &[
                "--package=constructor-plugin",
                "--package=features",
                "--package=good-plugin",
            ],
            Profile::Release => &["--package=features"],
        }
    }
}

/// The shared library of the fixture crate `name`; builds the fixtures when this process has not yet done so.
///
/// # Panics
/// When they cannot be built, with the compiler's words, or when there is no such fixture.
pub fn path(name: &str) -> PathBuf {
    library(name, Profile::Debug)
}

/// As [`path`], with a profile.
///
/// # Panics
/// As [`path`].
pub fn library(name: &str, profile: Profile) -> PathBuf {
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    artifact(&file, profile)
}

/// The executable `name` of the fixtures.
///
/// # Panics
/// As [`path`].
pub fn executable(name: &str) -> PathBuf {
    program(name, Profile::Debug)
}

/// As [`executable`], with a profile.
///
/// # Panics
/// As [`path`].
pub fn program(name: &str, profile: Profile) -> PathBuf {
    artifact(&format!("{name}{EXE_SUFFIX}"), profile)
}

fn artifact(file: &str, profile: Profile) -> PathBuf {
    let path = built(profile).join(file);
    assert!(path.is_file(), "no fixture makes {}", path.display());
    path
}

/// The folder with what `profile` builds.
fn built(profile: Profile) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<Profile, Result<PathBuf, String>>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let result = built
        .get_or_insert_default()
        .entry(profile)
        .or_insert_with(|| build(profile));
    match result {
        Ok(folder) => folder.clone(),
        Err(reason) => panic!("the fixtures cannot be built: {reason}"),
    }
}

fn build(profile: Profile) -> Result<PathBuf, String> {
    let (name, folder) = profile.names();
    let target = cargo_build(
        &repo_root().join("host/testing/fixtures"),
        profile.packages(),
        name,
    )?;
    Ok(target.join(folder))
}

/// Builds packages of a workspace into the target folder of the fixtures, and returns that folder.
pub(crate) fn cargo_build(
    workspace: &Path,
    packages: &[&str],
    profile: &str,
) -> Result<PathBuf, String> {
    let target = target_dir().join("fixtures");
    let lock = fs::create_dir_all(&target)
        .and_then(|()| File::create(target.join("lock")))
        .and_then(|lock| lock.lock().map(|()| lock))
        .map_err(|error| format!("no lock in {}: {error}", target.display()))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace)
        .args(["build", "--quiet", "--profile", profile])
        .args(packages)
        .arg("--target-dir")
        .arg(&target)
        // What is set for the tests themselves (another target, coverage, sanitizers) is not meant for these.
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    drop(lock);
    if output.status.success() {
        Ok(target)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
