//! Shared memory that is full: large messages between processes and daemons arrive all the same, as copies, nothing crashes,
//! and it is said once.
//!
//! It is a small file system over `/dev/shm` that the daemons of the test alone see. Where that is not permitted the tests
//! say so.

use super::disk::{entering, with_disk};
use crate::cluster::{Cluster, DEADLINE};
use host_testing::{fault, fixtures, run};
use std::process::Command;

const FOLDER: &str = "/dev/shm";

/// A source in a process of its own on A, and readers in the daemon there, in a process of their own, and on B.
fn large_messages() -> String {
    let flow = fixtures::path("flow");
    let flow = flow.display();
    let reads = "{in: {source: camera/out, queue_size: 8, queue_policy: backpressure}}";
    let reader = |id: &str, machine: &str, process: &str| {
        format!(
            "  - id: {id}\n    path: '{flow}'\n    kind: checker\n    process: {process}\n    deploy: {{machine: {machine}}}\n    \
             inputs: {reads}\n"
        )
    };
    format!(
        "nodes:\n  - id: camera\n    path: '{flow}'\n    kind: source\n    process: own\n    deploy: {{machine: A}}\n    config: \
         {{count: 60, bytes: 1000000}}\n    inputs: {{tick: dora/timer/millis/5}}\n    outputs: [out]\n{}{}{}",
        reader("near", "A", "daemon"),
        reader("apart", "A", "own"),
        reader("far", "B", "daemon"),
    )
}

/// Daemons A and B that both see the same small shared memory.
fn with_memory(options: &str) -> Option<Cluster> {
    let words = with_disk(options, FOLDER)?;
    let mut cluster = Cluster::without_coordinator();
    cluster.begin("A", &words);
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
    let folder = cluster.path().join("B").display().to_string();
    let mut words = entering(cluster.daemon("A"));
    let there = ["sh", "-c", "cd \"$0\" && exec \"$@\"", &folder].map(str::to_owned);
    words.extend(there);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cluster.begin("B", &words);
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    Some(cluster)
}

/// Takes what is left of it.
fn fill(cluster: &Cluster) {
    let words = entering(cluster.daemon("A"));
    let (first, rest) = words.split_first().expect("words");
    let fill = format!("head -c 1G /dev/zero > {FOLDER}/full; test -s {FOLDER}/full");
    run(
        Command::new(first).args(rest).args(["sh", "-c", &fill]),
        DEADLINE,
    )
    .success();
}

/// That all large messages arrive, and the daemons live.
fn all_arrive(cluster: &Cluster) {
    cluster.write("large.yml", large_messages());
    let run = cluster.dora(&["start", "--attach", "large.yml"]);
    for reader in ["near@A", "apart@A", "far@B"] {
        let line = format!("{reader}: received 60 missing 0");
        assert!(run.stderr.contains(&line), "{run}\n{cluster}");
    }
    run.success();
    for machine in ["A", "B"] {
        let daemon = cluster.daemon(machine);
        let said = daemon.stderr();
        for crash in ["SIGBUS", "crashed", "another worker"] {
            assert!(!said.contains(crash), "{daemon}");
        }
    }
}

fn told(cluster: &Cluster, machine: &str) -> usize {
    let said = cluster.daemon(machine).stderr();
    said.matches("no room for shared memory").count()
}

#[test]
fn large_messages_arrive_without_room_for_shared_memory() {
    // Room for nothing; for what the engine takes to begin with, and not for messages.
    for (options, size) in [("size=4k", "has no room"), ("size=3m", "has little room")] {
        let Some(cluster) = with_memory(options) else {
            return;
        };
        let checked = "all large messages arrive as copies; told once per daemon; no SIGBUS; what runs goes on";
        let _row = fault(format!("/dev/shm {size}"), "daemons A and B", checked);
        all_arrive(&cluster);
        all_arrive(&cluster);
        for machine in ["A", "B"] {
            let times = told(&cluster, machine);
            assert!(times <= 1, "{cluster}");
        }
        if options == "size=4k" {
            assert_eq!(told(&cluster, "A"), 1, "{cluster}");
        }
    }
}

#[test]
fn shared_memory_that_fills_up_harms_nothing_that_runs() {
    let Some(cluster) = with_memory("size=200m") else {
        return;
    };
    let checked = "all large messages arrive, before and after; no SIGBUS";
    let _row = fault("/dev/shm becomes full", "daemons A and B", checked);
    all_arrive(&cluster);
    fill(&cluster);
    all_arrive(&cluster);
}
