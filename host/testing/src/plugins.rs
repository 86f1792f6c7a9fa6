//! The workspace's own plugins, built when a test first asks for one.
//!
//! Invariant: as for the fixtures: one build at a time on the machine, in their target folder. Absent: which plugins
//! there are; tests name packages.

use crate::fixtures::cargo_build;
use crate::repo_root;
use std::collections::HashMap;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The shared library of a package of the workspace, such as `random`.
///
/// # Panics
/// When it cannot be built, with the compiler's words.
pub fn plugin(package: &str) -> PathBuf {
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", package.replace('-', "_"));
    artifact(package, &file)
}

/// The executable of a package's node: `random-node` of `random`.
///
/// # Panics
/// As [`plugin`].
pub fn program(package: &str) -> PathBuf {
    artifact(package, &format!("{package}-node{EXE_SUFFIX}"))
}

/// A file that the build of a package makes.
fn artifact(package: &str, file: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, Result<PathBuf, String>>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let build = || cargo_build(&repo_root(), &["--package", package], "dev");
    match built
        .get_or_insert_default()
        .entry(package.to_owned())
        .or_insert_with(build)
    {
        Ok(target) => target.join("debug").join(file),
        Err(reason) => panic!("{package} cannot be built: {reason}"),
    }
}

/// A descriptor with a longer queue for an input: on a busy machine a thread may not run for a tenth of a second, and ten
/// messages are all that wait by default.
///
/// # Panics
/// When it has no such input, or not in the short form.
pub fn with_long_queue(text: &str, input: &str, source: &str) -> String {
    let plain = format!("{input}: {source}\n");
    assert!(text.contains(&plain), "{text}");
    let long = format!("{input}: {{source: {source}, queue_size: 200}}\n");
    text.replace(&plain, &long)
}

/// The text of a descriptor of the repository, with the plugins in `target/release` replaced by those that the tests
/// build, so that it runs from any folder.
///
/// # Panics
/// When there is no such file, or a plugin cannot be built.
pub fn descriptor(file: &str) -> String {
    let path = repo_root().join(file);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => panic!("cannot read {}: {error}", path.display()),
    };
    let lines = text
        .lines()
        .map(|line| match line.split_once("../../target/release/") {
            Some((before, stem)) => {
                let library = plugin(&stem.replace('_', "-"));
                format!("{before}'{}'\n", library.display())
            }
            None => format!("{line}\n"),
        });
    lines.collect()
}
