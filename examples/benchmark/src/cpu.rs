//! Processor time of this process and of all that it has started.
//!
//! Invariant: processes that have ended count, as long as somebody has collected them. Absent: Windows, which tells it of
//! no process that has ended.

use std::time::Duration;

/// What Linux counts in, whatever its own clock's: hundredths of a second.
#[cfg(target_os = "linux")]
const TICK: Duration = Duration::from_millis(10);

/// Used so far.
#[cfg(target_os = "linux")]
pub fn used() -> Option<Duration> {
    let processes = std::fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    // One that has ended meanwhile has no row any more, and is counted where it was collected.
    let mut left: Vec<_> = ids.filter_map(|id| Some((id, stat(id)?))).collect();
    let mut family = vec![std::process::id()];
    let mut ticks = 0;
    while let Some(id) = family.pop() {
        left.retain(|(of, (parent, used))| {
            if *of == id {
                ticks += used;
            } else if *parent == id {
                family.push(*of);
            }
            *of != id
        });
    }
    u32::try_from(ticks).ok().map(|ticks| TICK * ticks)
}

#[cfg(not(target_os = "linux"))]
pub fn used() -> Option<Duration> {
    None
}

/// The parent of a process, and its ticks with those of its children that have ended: see proc_pid_stat(5).
#[cfg(target_os = "linux")]
fn stat(id: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before may have spaces and parentheses.
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let ticks = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
    Some((parent, ticks.sum::<Result<_, _>>().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn children_count_while_they_run_and_afterwards() {
        let before = used().expect("a count");
        let mut child = Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("a shell");
        let deadline = Instant::now() + Duration::from_secs(20);
        while used().expect("a count") < before + 3 * TICK {
            assert!(Instant::now() < deadline, "nothing is counted");
            std::thread::sleep(TICK);
        }
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        assert!(used().expect("a count") >= before + 3 * TICK);
    }
}
