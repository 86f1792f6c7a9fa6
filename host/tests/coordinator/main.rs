//! The coordinator and its client over a real network on loopback. The daemons are real as far as they decide and talk;
//! their nodes only pretend.

mod daemon;
mod end;
mod faults;
mod harness;
mod life;
mod logs;
mod memory;
mod taps;
