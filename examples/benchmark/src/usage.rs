//! What processes of this machine take: memory, threads, time on a processor.
//!
//! Invariant: what the system does not tell is not estimated: then there is no answer. Memory is proportional: what
//! several processes share counts once. Absent: systems other than Linux, and which processes are asked about.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What some processes take together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub memory: u64,
    /// Threads.
    pub threads: usize,
    /// Time that the threads which are there have had on a processor.
    pub busy: Duration,
}

impl Usage {
    /// Of these processes; one that has ended takes nothing.
    pub fn of(processes: &[u32]) -> Option<Self> {
        let told = processes.iter().filter_map(|id| Self::of_one(*id));
        told.reduce(|one, other| Self {
            memory: one.memory + other.memory,
            threads: one.threads + other.threads,
            busy: one.busy + other.busy,
        })
    }

    fn of_one(process: u32) -> Option<Self> {
        let folder = Path::new("/proc").join(process.to_string());
        let rollup = fs::read_to_string(folder.join("smaps_rollup")).ok()?;
        let tasks = fs::read_dir(folder.join("task")).ok()?;
        let mut usage = Self {
            memory: proportional(&rollup)?,
            ..Self::default()
        };
        for task in tasks.filter_map(Result::ok) {
            usage.threads += 1;
            // A thread may have ended meanwhile.
            let times = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            usage.busy += busy(&times).unwrap_or_default();
        }
        Some(usage)
    }
}

/// Of a process's `smaps_rollup`, the bytes of its proportional set.
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes << 10)
}

/// Of a thread's `schedstat`, the time on a processor.
fn busy(times: &str) -> Option<Duration> {
    let nanos = times.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// A process with all that have come from it, as far as the system tells.
pub fn family(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent(&stat) {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(id) = family.get(next) {
        family.extend(children.remove(id).unwrap_or_default());
        next += 1;
    }
    family
}

/// Of a process's `stat`: what follows the name, which may have anything in it, is a state and the parent.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_writes_is_read() {
        assert_eq!(
            proportional("Rss: 9 kB\nPss:    12 kB\nPss_Dirty: 3 kB\n"),
            Some(12 << 10)
        );
        assert_eq!(proportional("Rss: 9 kB\n"), None);
        assert_eq!(busy("1500 20 3\n"), Some(Duration::from_nanos(1_500)));
        assert_eq!(parent("7 (a) b (c)) S 5 7 7 0"), Some(5));
        assert_eq!(parent(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory_threads_and_children() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .expect("a child");
        let here = family(std::process::id());
        let usage = Usage::of(&here).expect("Linux tells");
        let alone = Usage::of(&[child.id()]);
        child.kill().expect("it runs");
        child.wait().expect("it is a child");
        assert!(here.contains(&child.id()), "{here:?}");
        assert!(usage.memory > 0 && usage.threads > 1, "{usage:?}");
        assert!(alone.is_some_and(|alone| alone.memory < usage.memory));
        assert_eq!(Usage::of(&[child.id()]), None);
    }
}
