//! Hostile input: for each thing that reads what is outside, one function that hands it any bytes and checks what it
//! promises: it ends, it does not panic, it takes what is right and refuses the rest with words that may be shown.
//!
//! Invariant: the same bytes do the same, whoever calls; the tests and libFuzzer call the same functions. Absent: where
//! bytes come from (the corpus, [`mutate`], libFuzzer).

mod codec;
mod control;
mod descriptor;
mod ledger;
mod link_data;
mod log_files;
pub mod mutate;
mod native_wire;
mod node_frames;
mod node_session;
mod preflight;
mod steps;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook};

/// Hands bytes over; whether something of them was taken.
pub type Target = fn(&[u8]) -> bool;

/// All targets by the names of their folders in the corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("codec", codec::target),
    ("control", control::target),
    ("descriptor", descriptor::target),
    ("ledger", ledger::target),
    ("link_data", link_data::target),
    ("log_files", log_files::target),
    ("native_wire", native_wire::target),
    ("node_frames", node_frames::target),
    ("node_session", node_session::target),
    ("preflight", preflight::target),
];

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// From now on a panic is only remembered, for [`run`] to say it if nobody has caught it.
pub fn say_last_panic_only() {
    set_hook(Box::new(|info| {
        LAST.with_borrow_mut(|last| *last = info.to_string());
    }));
}

/// Runs a target, and says the panic that comes out of it, if one does, before it goes on.
pub fn run(target: Target, bytes: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| target(bytes))).unwrap_or_else(|panic| {
        LAST.with_borrow(|last| eprintln!("{last}"));
        resume_unwind(panic)
    })
}

/// What is said to people: one line that a terminal does not obey.
fn assert_line(text: &str) {
    let fits = text.len() < 16 * 1024 && !text.contains(char::is_control);
    assert!(fits, "no line: {text:?}");
}
