//! The `dora` command: parses arguments, calls `host`, prints.
//!
//! Invariant: a user's mistake ends in one message on standard error and the exit status 1, or 2 when the command line
//! itself is wrong; a reader that closes standard output ends the command quietly. Absent: anything that a test could
//! want without a terminal.

#![deny(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod args;
mod command;
mod failure;
mod table;
mod terminal;
mod view;

use clap::Parser;
use host::sys::allocator::Allocator;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    let args = args::Args::parse();
    // Before there is a second thread.
    let worker = command::guarded(&args.command);
    let code = match command::run(args.command) {
        Ok(code) => code,
        Err(report) => failure::report(&report),
    };
    if let Some(worker) = worker {
        worker.leave();
    }
    // The network's session may not have ended yet, and would leave what it has made.
    host::sys::leftovers::let_go();
    code
}
