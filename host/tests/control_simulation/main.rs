//! The control plane in simulated time: one coordinator, one to four daemons and some commands on a network that loses,
//! repeats, delays and reorders messages, while processes crash, freeze and return. Whatever has happened, once the
//! network is whole again everybody must agree on what runs.
//!
//! A schedule follows from its seed alone; a failure names the seed, and `CONTROL_SEED` runs that one alone.

mod check;
mod engine;
mod random;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Chaos, World};

/// Schedules in one run; `CONTROL_SCHEDULES` asks for another number.
const SCHEDULES: u64 = 10_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn run(seed: u64, chaos: Chaos) {
    let outcome = catch_unwind(AssertUnwindSafe(|| World::new(seed, chaos).run()));
    assert!(
        outcome.is_ok(),
        "seed {seed} fails under {chaos:?}; run it alone with CONTROL_SEED={seed}"
    );
}

fn schedules(chaos: Chaos, share: u64, from: u64) {
    if let Some(seed) = number("CONTROL_SEED") {
        return run(seed, chaos);
    }
    let count = number("CONTROL_SCHEDULES").unwrap_or(SCHEDULES) * share / 100;
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..count).step_by(threads as usize) {
                    run(from + seed, chaos);
                }
            });
        }
    });
}

#[test]
fn all_agree_although_messages_are_lost_repeated_and_late() {
    schedules(Chaos::Messages, 40, 0);
}

#[test]
fn all_agree_although_daemons_crash_freeze_and_return() {
    schedules(Chaos::Daemons, 25, 1_000_000);
}

#[test]
fn all_agree_although_the_coordinator_crashes_and_returns() {
    schedules(Chaos::Coordinator, 25, 2_000_000);
}

#[test]
fn all_agree_although_everything_goes_wrong_at_once() {
    schedules(Chaos::Everything, 10, 3_000_000);
}

#[test]
fn without_any_fault_every_wish_is_fulfilled() {
    schedules(Chaos::Nothing, 2, 4_000_000);
}
