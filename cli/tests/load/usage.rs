//! What a process has of the system, as the system says it.

use host_testing::{Background, wait_until};
use std::fmt;
use std::fs;
use std::time::Duration;

/// What ended a moment ago may still be there for so long: the pools of threads give theirs back after ten seconds, and the
/// network's engine after some more.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Memory of its own that is in use, in KiB: files that are mapped come and go as the system likes.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Pieces of shared memory that are mapped, with names and without.
    pub shared: u64,
}

impl Usage {
    /// Of a process; `None` once it has ended.
    pub fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
        let is_shared = |line: &&str| line.contains("/dev/shm/") || line.contains("/memfd:");
        Some(Self {
            memory: number("RssAnon:")?,
            descriptors: fs::read_dir(format!("/proc/{process}/fd")).ok()?.count() as u64,
            threads: number("Threads:")?,
            shared: maps.lines().filter(is_shared).count() as u64,
        })
    }

    /// Of the process that does the work of a command.
    pub fn of_worker(command: &Background) -> Self {
        let worker = worker(command);
        Self::of(worker).unwrap_or_else(|| panic!("the worker has ended: {command}"))
    }

    /// Of each the larger.
    pub fn max(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
            shared: self.shared.max(other.shared),
        }
    }

    /// This and so much more.
    pub fn and(self, more: Self) -> Self {
        Self {
            memory: self.memory + more.memory,
            descriptors: self.descriptors + more.descriptors,
            threads: self.threads + more.threads,
            shared: self.shared + more.shared,
        }
    }

    /// Whether nothing is more than in the other.
    pub fn is_within(self, bound: Self) -> bool {
        self.max(bound) == bound
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            memory,
            descriptors,
            threads,
            shared,
        } = self;
        write!(
            f,
            "{:.1} MiB, {descriptors} descriptors, {threads} threads, {shared} pieces of shared memory",
            *memory as f64 / 1024.0
        )
    }
}

/// The one process that a command with a guard has started; a command without is its own.
pub fn worker(command: &Background) -> u32 {
    command.children().first().copied().unwrap_or(command.id())
}

/// Waits until a process has no more than this, and says what it has then.
pub fn until_within(what: &str, command: &Background, bound: Usage) -> Usage {
    let worker = worker(command);
    let mut last = None;
    let look = || {
        last = Usage::of(worker);
        last.is_some_and(|usage| usage.is_within(bound))
    };
    wait_for(what, bound, look);
    last.unwrap_or_else(|| panic!("{what} has ended: {command}"))
}

fn wait_for(what: &str, bound: Usage, look: impl FnMut() -> bool) {
    wait_until(&format!("{what} has no more than {bound}"), PATIENCE, look);
}

/// The same of a process whose use is to be told when it does not come down.
pub fn settled(what: &str, command: &Background, bound: Usage) -> Usage {
    let before = Usage::of_worker(command);
    println!("{what}: {before}");
    until_within(what, command, bound)
}
