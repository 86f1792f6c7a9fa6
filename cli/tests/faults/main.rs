//! The fault matrix: each test injects a fault for real and checks that nothing else was harmed, that nothing was lost that
//! was promised, and that nothing is left behind. A test tells a row per place that it injects into; the whole run of the
//! tests makes a table of them.
//!
//! Invariant: how long something may take to be noticed is asserted with room for a busy machine; what is measured is
//! printed. What cannot be injected here says so and tells no row; a few tests beside them tell none, either, and show what
//! else the laboratory of the rows can show. Absent: faults of files that are no plugins, of descriptors and of wires, which
//! have tests of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tests that look at processes and send signals are for Unix alone, and so is what only they need.
#![cfg_attr(windows, allow(unused_imports, dead_code))]

#[allow(dead_code)] // Of what it can do this takes a part.
#[path = "../machines/cluster.rs"]
mod cluster;
#[allow(dead_code)] // As above.
#[path = "../nodes/dataflow.rs"]
mod dataflow;
#[cfg(unix)]
mod machines;
#[cfg(target_os = "linux")]
mod networks;
mod nodes;
#[allow(dead_code)] // As above.
#[path = "../nodes/place.rs"]
mod place;
#[cfg(target_os = "linux")]
mod world;

use std::time::Duration;

/// Nothing here takes so long, also on a machine that is slow.
const DEADLINE: Duration = Duration::from_secs(120);
