//! Daemons with real plugins, and a coordinator, in one process over loopback.

mod backpressure;
mod checks;
mod harness;
mod identity;
mod logs;
mod starts;
mod stops;
mod taps;
