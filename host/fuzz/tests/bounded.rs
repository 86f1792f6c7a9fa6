//! Each target with its corpus, and with the corpus changed at random: as far as a few seconds go, and always the same.
//! `FUZZ_RUNS=1000000` does more, and says how fast; `FUZZ_SEED=2` takes another course.

use host_fuzz::mutate::{Random, mutate};
use host_fuzz::{TARGETS, Target};
use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest input.
const MOST_BYTES: usize = 16 * 1024;
/// What takes longer hangs: the slowest take milliseconds on a busy machine.
const HANGS: Duration = Duration::from_secs(10);

/// The files of the corpus, and what other tests hold of the same.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("corpus").join(name)];
    if name == "descriptor" {
        let more = ["good", "bad"].map(|it| here.join("../tests/descriptors").join(it));
        folders.extend(more);
    }
    let mut files = Vec::new();
    for folder in folders {
        let entries = std::fs::read_dir(&folder).expect("a folder of the corpus");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    files.sort();
    let read = |file| std::fs::read(file).expect("a readable seed");
    files.iter().map(read).collect()
}

fn timed(target: Target, bytes: &[u8]) -> bool {
    let started = Instant::now();
    let taken = catch_unwind(|| target(bytes)).unwrap_or_else(|panic| {
        eprintln!("the input was \"{}\"", bytes.escape_ascii());
        resume_unwind(panic)
    });
    assert!(
        started.elapsed() < HANGS,
        "it hangs: {}",
        bytes.escape_ascii()
    );
    taken
}

/// The number in a variable, if it is set.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// The corpus itself, then so many changes of it.
fn bounded(name: &str, runs: usize) {
    let (_, target) = *TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a target");
    let seeds = corpus(name);
    let taken = seeds.iter().filter(|seed| timed(target, seed)).count();
    assert!(taken >= 2, "{taken} of {} seeds are taken", seeds.len());
    let wanted = number("FUZZ_RUNS");
    let runs = wanted.map_or(runs, |runs| runs as usize);
    let seed = number("FUZZ_SEED").unwrap_or(1);
    let mut random = Random::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let started = Instant::now();
    let mut taken = 0;
    for _ in 0..runs {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &seeds, MOST_BYTES, &mut random);
        taken += usize::from(timed(target, &bytes));
    }
    if wanted.is_some() {
        let took = started.elapsed().as_secs_f64();
        let per_second = runs as f64 / took;
        println!(
            "fuzz | {name} | {} seeds | {runs} runs | {taken} taken | {took:.1} s | {per_second:.0}/s",
            seeds.len()
        );
    }
    assert!(
        taken > 0 && taken < runs,
        "{taken} of {runs} changed inputs are taken"
    );
}

macro_rules! targets {
    ($($name:ident $runs:literal)+) => {
        $(#[test]
        fn $name() {
            bounded(stringify!($name), $runs);
        })+

        #[test]
        fn every_target_is_here() {
            let here = [$(stringify!($name)),+];
            assert!(TARGETS.iter().map(|(name, _)| *name).eq(here));
        }
    };
}

targets! {
    codec 20_000
    control 2_000
    descriptor 4_000
    ledger 10_000
    link_data 15_000
    log_files 1_000
    native_wire 3_000
    node_frames 8_000
    node_session 10_000
    preflight 10_000
}
