//! A plugin's way in, step by step.
//!
//! Invariant: the file is in the system's cache, and none that was loaded before: each round has one of its own.

use super::Row;
use eyre::{WrapErr, eyre};
use host::plugin::preflight::{self, Isolation, Machine};
use host::plugin::{Copies, Loader, LoaderOptions};
use std::env::consts::DLL_SUFFIX;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

/// Bytes of the file: behind what the plugin has are others, as where there are symbols for a debugger.
const SIZE: usize = 10_000_000;

/// Rows of all steps.
///
/// # Errors
/// It cannot be copied or loaded.
pub fn rows(plugin: &Path, rounds: usize) -> eyre::Result<Vec<Row>> {
    let folder = host_testing::fresh_dir();
    let mut bytes = fs::read(plugin).wrap_err("the plugin")?;
    let length = bytes.len().max(SIZE);
    bytes.resize(length, 1);
    let mut copies = Copies::below(&folder.path().join("cache"))?;
    let loader = Loader::new(LoaderOptions {
        isolation: Isolation::Shared,
        in_place: true,
        level: Arc::new(AtomicU32::new(2)),
        log: Arc::new(|library, line| eprintln!("{library}: {}", line.message)),
    });
    let [mut check, mut copy, mut load] = [const { Vec::<Duration>::new() }; 3];
    for round in 0..rounds {
        let file = folder.path().join(format!("plugin{round}{DLL_SUFFIX}"));
        fs::write(&file, &bytes)?;
        let (report, took) = timed(|| preflight::read_file(&file));
        preflight::check(&report?, &Machine::this(), Isolation::Shared)?;
        check.push(took);
        let (made, took) = timed(|| copies.copy_of(&file));
        copy.push(took);
        let made = made?;
        let (loaded, took) = timed(|| loader.load(&made));
        loaded.map_err(|error| eyre!("{}: {error}", made.display()))?;
        load.push(took);
    }
    let what = format!("plugin of {:.0} MB", length as f64 / 1e6);
    Ok(vec![
        Row::times(format!("{what}: its file checked"), check, None),
        Row::times(format!("{what}: its private copy made"), copy, None),
        Row::times(
            format!("{what}: checked and loaded, the copy apart"),
            load,
            Some(2.0),
        ),
    ])
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = what();
    (done, began.elapsed())
}
