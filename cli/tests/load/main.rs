//! The real `dora` under load, and for long: many dataflows, many nodes, a reader that is far too slow, a day of a robot. What
//! it takes of the system is looked at from outside, and may not grow.
//!
//! Invariant: one test at a time, because they measure; each bound says why it is what it is. A run of the tests has a part
//! of it, which is named where it is made; `.ci/soak` asks for the whole. Absent: how fast any of it is, which
//! `examples/benchmark` measures. Linux only, where the system says what a process has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)] // Of what it can do this takes a part.
#[path = "../machines/cluster.rs"]
mod cluster;
#[allow(dead_code)] // As above.
#[path = "../nodes/dataflow.rs"]
mod dataflow;
mod dataflows;
mod day;
mod nodes;
#[allow(dead_code)] // As above.
#[path = "../nodes/place.rs"]
mod place;
mod slow;
mod usage;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Nothing here takes so long, also on a machine that is slow.
const DEADLINE: Duration = Duration::from_secs(300);

/// Until it is dropped no other test here runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number in a variable, if it is set.
fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
