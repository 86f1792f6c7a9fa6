//! Several machines: coordinator, daemons and commands as users run them, each test with processes, ports and a folder of
//! its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cluster;
mod coordinators;
mod daemons;
mod tutorial;
