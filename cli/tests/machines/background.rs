//! `dora up` and `dora down`, and what needs no coordinator: `dora completion`.

use crate::cluster::{Cluster, DEADLINE, endless};
use host_testing::wait_until;
#[cfg(not(target_os = "linux"))]
use std::process::Command;

/// What `dora up` starts leaves its group; a test that fails must not leave it behind.
struct Up<'a>(&'a Cluster);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.dora(&["down"]);
    }
}

#[test]
fn up_starts_both_in_the_background_and_down_ends_them() {
    let cluster = Cluster::without_coordinator();
    let up = Up(&cluster);
    let address = cluster.address();
    let run = cluster.dora(&["up", "--machine-id", "A"]);
    assert!(run.stderr.contains("`dora down` ends both"), "{run}");
    let started = format!("started a coordinator at {address}\nstarted a daemon as machine A\n");
    assert_eq!(run.success(), started);
    let run = cluster.dora(&["up", "--machine-id", "A"]);
    let there = format!("a coordinator runs at {address}\na daemon runs as machine A\n");
    assert_eq!(run.success(), there);
    // A second machine beside the first.
    let run = cluster.dora(&["up", "--machine-id", "B"]);
    let more = format!("a coordinator runs at {address}\nstarted a daemon as machine B\n");
    assert_eq!(run.success(), more);
    cluster.write("endless.yml", endless());
    cluster.start("endless.yml", &["--name", "camera"]);
    let status = cluster.json(&["status", "--json"]);
    assert_eq!(status["dataflows"], 1);
    let daemons = status["daemons"].as_array().expect("rows");
    let pids: Vec<u64> = daemons
        .iter()
        .filter_map(|daemon| daemon["pid"].as_u64())
        .collect();
    assert_eq!(pids.len(), 2, "{status:#}");
    let run = cluster.dora(&["down"]);
    assert!(
        run.stderr.contains(&format!(
            "the coordinator at {address} and its daemons have ended"
        )),
        "{run}"
    );
    run.success();
    for pid in pids {
        wait_until("the daemon has ended", DEADLINE, || !is_alive(pid));
    }
    let run = cluster.dora(&["destroy"]);
    assert!(
        run.stderr
            .contains(&format!("no coordinator runs at {address}")),
        "{run}"
    );
    run.success();
    drop(up);
}

/// A zombie that nobody has collected yet has ended.
#[cfg(target_os = "linux")]
fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with('Z')
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_alive(pid: u64) -> bool {
    let script = format!("kill -s 0 {pid}");
    let run = host_testing::run(Command::new("sh").args(["-c", &script]), DEADLINE);
    run.status.is_some_and(|status| status.success())
}

#[cfg(windows)]
fn is_alive(pid: u64) -> bool {
    let filter = format!("PID eq {pid}");
    let run = host_testing::run(Command::new("tasklist").args(["/FI", &filter]), DEADLINE);
    run.stdout.contains(&pid.to_string())
}

#[test]
fn down_ends_what_was_started_by_hand() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    cluster.start("endless.yml", &[]);
    cluster.dora(&["down"]).success();
    for machine in ["A", "B"] {
        let run = cluster.take_daemon(machine).end(DEADLINE);
        assert!(run.stdout.ends_with("stopped\n"), "{run}");
        run.success();
    }
    let run = cluster.take_coordinator().end(DEADLINE);
    assert!(run.stderr.contains(": ended"), "{run}");
    assert!(run.success().ends_with("stopped\n"));
}

#[test]
fn completion_knows_the_commands() {
    let cluster = Cluster::without_coordinator();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = cluster.dora(&["completion", shell]).success();
        for word in [
            "coordinator",
            "daemon",
            "start",
            "topic",
            "coordinator-addr",
        ] {
            assert!(script.contains(word), "{shell}: {word} is missing");
        }
        assert!(
            !script.contains("describe-plugin"),
            "{shell}: hidden commands are not offered"
        );
    }
    let run = cluster.dora(&["completion", "cmd"]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(2),
        "{run}"
    );
    assert!(run.stderr.contains("powershell"), "{run}");
}
