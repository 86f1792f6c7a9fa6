//! All processes that descend from this one, also those that have left its group and session.
//!
//! Where a process is a child subreaper, the orphans among its descendants become its children, so that none is lost.
//! Invariant: this process is never among them. Absent: systems other than Linux, which have neither subreapers nor a
//! list of parents: there only families are ended.

use std::time::Duration;

/// Makes the orphans among this process's descendants its own children.
///
/// # Errors
/// The system cannot do it.
#[cfg(target_os = "linux")]
pub fn adopt_orphans() -> std::io::Result<()> {
    let this = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(this)).map_err(Into::into)
}

/// As on Linux.
///
/// # Errors
/// None: there, orphans are nobody's.
#[cfg(not(target_os = "linux"))]
pub fn adopt_orphans() -> std::io::Result<()> {
    Ok(())
}

/// Kills all descendants, again and again until there are none: a dying one may just have started another. The shared memory
/// that they would leave is removed. Those that have ended are collected if this process waits for no child in another way.
/// Returns whether all have ended by the deadline.
#[cfg(target_os = "linux")]
pub fn kill_all(collect: bool, deadline: Duration) -> bool {
    linux::kill_all(collect, deadline)
}

/// As on Linux.
#[cfg(not(target_os = "linux"))]
pub fn kill_all(_collect: bool, _deadline: Duration) -> bool {
    true
}

/// Collects adopted children that have ended, except those that the caller has not seen before: it returns those, to be
/// handed over next time. Children of this process's own group are left to whoever has started them: libraries do that.
#[cfg(target_os = "linux")]
pub fn collect_adopted(seen: &[i32]) -> Vec<i32> {
    linux::collect_adopted(seen)
}

/// As on Linux.
#[cfg(not(target_os = "linux"))]
pub fn collect_adopted(_seen: &[i32]) -> Vec<i32> {
    Vec::new()
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::sys::leftovers;
    use rustix::process::{Pid, Signal, WaitOptions, getpgrp, getpid, kill_process, wait, waitpid};
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::thread;
    use std::time::{Duration, Instant};

    /// Between two looks at processes that are dying.
    const PAUSE: Duration = Duration::from_millis(2);

    /// A process, as the system's table has it.
    struct Process {
        id: i32,
        parent: i32,
        group: i32,
        ended: bool,
    }

    pub fn kill_all(collect: bool, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let mut memory = BTreeSet::new();
        let mut killed = false;
        loop {
            let living: Vec<i32> = descendants()
                .into_iter()
                .filter(|process| !process.ended)
                .map(|process| process.id)
                .collect();
            killed |= !living.is_empty();
            for id in &living {
                memory.extend(leftovers::mapped_by(*id));
                if let Some(pid) = Pid::from_raw(*id) {
                    // The only failure is that it has ended, or is another user's.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if collect {
                while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
            }
            if living.is_empty() || Instant::now() >= until {
                leftovers::remove(memory);
                if killed {
                    leftovers::sweep_sessions();
                }
                return living.is_empty();
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn collect_adopted(seen: &[i32]) -> Vec<i32> {
        let (this, own_group) = (getpid().as_raw_pid(), getpgrp().as_raw_pid());
        let ended = table().into_iter().filter(|process| {
            process.ended && process.parent == this && process.group != own_group
        });
        let (old, new): (Vec<i32>, Vec<i32>) = ended
            .map(|process| process.id)
            .partition(|id| seen.contains(id));
        for pid in old.into_iter().filter_map(Pid::from_raw) {
            // Collected by somebody else meanwhile.
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
        new
    }

    fn descendants() -> Vec<Process> {
        let mut by_parent: BTreeMap<i32, Vec<Process>> = BTreeMap::new();
        for process in table() {
            by_parent.entry(process.parent).or_default().push(process);
        }
        let mut found = Vec::new();
        let mut open = vec![getpid().as_raw_pid()];
        while let Some(parent) = open.pop() {
            for process in by_parent.remove(&parent).unwrap_or_default() {
                open.push(process.id);
                found.push(process);
            }
        }
        found
    }

    /// All processes that this one may see.
    fn table() -> Vec<Process> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        let ids = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter_map(read).collect()
    }

    /// `None`: it has gone meanwhile.
    fn read(id: i32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        parse(id, &stat)
    }

    /// `12 (name) S 1 12 …`: the name may hold anything, brackets too.
    fn parse(id: i32, stat: &str) -> Option<Process> {
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut words = rest.split(' ');
        let state = words.next()?;
        Some(Process {
            id,
            parent: words.next()?.parse().ok()?,
            group: words.next()?.parse().ok()?,
            ended: matches!(state, "Z" | "X"),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn odd_names_do_not_hide_a_process() {
            let process = parse(7, "7 (a) Z (b) S 3 5 6 0 -1").expect("a process");
            assert_eq!(
                (process.parent, process.group, process.ended),
                (3, 5, false)
            );
            assert!(parse(7, "7 (a) Z 3 5").expect("a process").ended);
            assert!(parse(7, "").is_none());
        }

        #[test]
        fn a_child_with_a_group_of_its_own_is_collected_when_it_is_seen_again() {
            use std::os::unix::process::CommandExt;
            let mut command = std::process::Command::new("true");
            let mut child = command.process_group(0).spawn().expect("a child");
            let id = i32::try_from(child.id()).expect("a number");
            let until = Instant::now() + Duration::from_secs(30);
            while !collect_adopted(&[]).contains(&id) {
                assert!(Instant::now() < until, "it has not ended");
                thread::sleep(PAUSE);
            }
            collect_adopted(&[id]);
            child.wait().expect_err("it is collected");
        }

        #[test]
        fn a_child_of_a_child_is_found() {
            let mut command = std::process::Command::new("sh");
            command.args(["-c", "sleep 100 & echo; wait"]);
            command.stdout(std::process::Stdio::piped());
            let mut child = command.spawn().expect("a shell");
            let mut line = [0];
            let mut stdout = child.stdout.take().expect("a pipe");
            std::io::Read::read_exact(&mut stdout, &mut line).expect("started");
            let id = i32::try_from(child.id()).expect("a number");
            let found = descendants();
            assert!(found.iter().any(|process| process.id == id));
            let below: Vec<i32> = found
                .iter()
                .filter(|process| process.parent == id)
                .map(|process| process.id)
                .collect();
            assert_eq!(below.len(), 1);
            child.kill().expect("killed");
            child.wait().expect("ended");
            let pid = Pid::from_raw(below[0]).expect("a number");
            kill_process(pid, Signal::KILL).expect("killed");
        }
    }
}
