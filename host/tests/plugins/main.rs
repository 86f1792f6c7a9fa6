//! Loaded libraries: what the loader does with good and bad plugins, and what their nodes do, run by hand.
//!
//! The file check has tests of its own; here are the things that need a library to be mapped.

mod c_plugin;
mod copies;
mod failures;
mod foreign;
mod harness;
mod lines;
mod loader;
mod messages;
mod mistakes;
mod pointers;
mod refused;
mod threads;
