//! Several machines: coordinator, daemons and commands as users run them, each test with processes, ports and a folder of
//! its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tests that send signals are for Unix alone, and so is what only they need.
#![cfg_attr(windows, allow(unused_imports, dead_code))]

mod background;
mod closed;
#[allow(dead_code)] // Part of what it can do is for other programs of tests.
mod cluster;
mod coordinators;
mod daemons;
mod data;
mod examples;
mod logs;
mod processes;
mod start_errors;
mod starts;
mod stops;
mod topics;
mod tutorial;
mod views;
