//! Nodes wherever they run: the same dataflows with the node in the middle as a plugin in the daemon, in a host process,
//! as an executable, and as nodes of dora from PyPI; which programs are refused, and why. How nodes fail is in `../faults`.
//!
//! Where PyPI cannot be reached the tests say so and show nothing of nodes of dora.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tests that look at processes and send signals are for Unix alone, and so is what only they need.
#![cfg_attr(windows, allow(unused_imports, dead_code))]

mod conforms;
#[allow(dead_code)] // Part of what it can do is for other programs of tests.
mod dataflow;
mod ends;
mod lines;
mod operators;
mod options;
#[cfg(unix)]
mod paths;
#[allow(dead_code)] // As above.
mod place;
mod programs;
#[cfg(target_os = "linux")]
mod strangers;
mod upstream;

use std::time::Duration;

/// Nothing here takes so long, also on a machine that is slow.
const DEADLINE: Duration = Duration::from_secs(120);
