//! The engine from the descriptor's text to the report, with plugins that are made for it (`fixtures/flow`).
//!
//! Every run has a deadline and a folder of its own, and afterwards every message is accounted for: see `harness`.

mod failures;
mod flows;
mod harness;
mod hygiene;
mod inputs;
mod many;
mod native;
mod outside;
mod queues;
mod remote;
mod restarts;
mod soak;
mod stopping;
mod taps;
mod threads;
mod timers;
