//! The few things that need the system's own calls, each with its twin on every platform.
//!
//! Absent: decisions. Whoever calls says what happens when a platform cannot do a thing.

pub mod affinity;
pub mod allocator;
pub mod crash;
pub mod descendants;
pub mod detached;
#[cfg(windows)]
pub mod dll;
pub mod ending;
pub mod family;
#[cfg(unix)]
pub mod fork;
pub mod host_name;
#[cfg(windows)]
mod job;
pub mod leftovers;
pub mod listener;
pub mod memory;
pub mod memory_lock;
pub mod redirect;
pub mod scene;
pub mod shared_memory;
#[cfg(windows)]
pub mod together;
