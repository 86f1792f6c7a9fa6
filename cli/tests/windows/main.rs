//! The Windows build under Wine: the same descriptors, programs with `.exe`, plugins with `.dll`, Ctrl-C and Ctrl-Break, and
//! what users of Windows stumble over.
//!
//! Where Wine, the compiler's target or its linker is missing each test says `skipped: …` and passes. Absent: what Wine
//! does not have of Windows (log-off, services, access lists), and what does not depend on the system.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod ends;
mod machines;
mod paths;
mod plugins;
mod problems;
mod runs;
mod wine;
