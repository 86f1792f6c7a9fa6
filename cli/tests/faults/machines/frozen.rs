//! A daemon or the coordinator is frozen: every command comes back with an error or the truth, and nothing is lost when it
//! goes on.

use super::{SOON, flows, reach, soon, until_nodes};
use crate::cluster::{Cluster, DEADLINE, assert_fails, endless};
use host_testing::fault;
use std::time::Instant;

const RUNNING: [&str; 3] = [
    "rust-node@A: running",
    "rust-status-node@A: running",
    "rust-sink@B: running",
];

fn running() -> (Cluster, String) {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    flows(cluster.daemon("B"));
    (cluster, camera)
}

#[test]
fn with_a_frozen_daemon_commands_come_back_and_it_goes_on_where_it_was() {
    let checked = "every command answers within 5 s; B's nodes go on where they were";
    let _row = fault(
        "SIGSTOP of a daemon, then SIGCONT",
        "machine B of two",
        checked,
    );
    let (cluster, camera) = running();
    let echo = ["topic", "echo", "rust-status-node/status", "--count", "1"];
    cluster.daemon("B").signal_child("STOP");
    // Before anybody has noticed; each takes until somebody has.
    let began = Instant::now();
    let start = cluster.background(&["start", "--detach", "endless.yml"]);
    let logs = soon(&cluster, &["logs", "camera"]);
    assert!(logs.stderr.contains("machine `B`"), "{logs}");
    let start = start.end(DEADLINE);
    assert_fails(&start, &["machine `B` was lost during the start"]);
    assert!(began.elapsed() < SOON, "{:?}: {start}", began.elapsed());
    let list = cluster.until(&["list", "--json"], |list| {
        reach(list, &camera, "B") == "lost"
    });
    assert_eq!(reach(&list, &camera, "A"), "connected");
    // Since it is known.
    for args in [
        &["list"][..],
        &["node", "list"],
        &["status"],
        &["topic", "list"],
        &echo,
    ] {
        soon(&cluster, args).success();
    }
    let start = soon(&cluster, &["start", "--detach", "endless.yml"]);
    assert_fails(&start, &["`B`"]);
    let logs = soon(&cluster, &["logs", "camera"]);
    assert!(logs.stderr.contains("machine `B`"), "{logs}");

    cluster.daemon("B").signal_child("CONT");
    until_nodes(&cluster, &camera, &RUNNING);
    flows(cluster.daemon("B"));
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status(&camera, "stopped");
}

#[test]
fn a_stop_does_not_wait_for_a_frozen_daemon_whose_nodes_end_when_it_goes_on() {
    let checked = "the stop names it and does not wait; its nodes end when it goes on";
    let _row = fault(
        "SIGSTOP of a daemon during a stop",
        "machine B of two",
        checked,
    );
    let (cluster, camera) = running();
    cluster.daemon("B").signal_child("STOP");
    let stop = soon(&cluster, &["stop", "camera"]);
    assert!(
        stop.stderr.contains("machine `B`"),
        "it says who did not stop: {stop}"
    );
    cluster.daemon("B").signal_child("CONT");
    cluster.daemon("B").complains("has ended here", DEADLINE);
    cluster.until_status(&camera, "stopped");
    assert_eq!(
        cluster.json(&["node", "list", "--json"]),
        serde_json::json!([])
    );
}

#[test]
fn with_a_frozen_coordinator_commands_fail_soon_and_dataflows_go_on() {
    let checked = "every command fails within 5 s; dataflows go on and are known afterwards";
    let _row = fault(
        "SIGSTOP of the coordinator, then SIGCONT",
        "two daemons",
        checked,
    );
    let (cluster, camera) = running();
    cluster.coordinator().signal("STOP");
    let port = cluster.port().to_string();
    for args in [
        &["list"][..],
        &["node", "list"],
        &["status"],
        &["logs", "camera"],
        &["stop", "camera"],
        &["topic", "echo", "rust-node/random"],
        &["start", "--detach", "endless.yml"],
        &["start", "--attach", "endless.yml"],
        &["restart", "camera"],
        &["clean"],
        &["down"],
    ] {
        assert_fails(&soon(&cluster, args), &[&port, "has not answered"]);
    }
    flows(cluster.daemon("B"));
    cluster.coordinator().signal("CONT");
    until_nodes(&cluster, &camera, &RUNNING);
    let list = cluster.json(&["list", "--json"]);
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list:#}");
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status(&camera, "stopped");
}

/// Those that were there before it froze are not held up either.
#[test]
fn who_looks_on_is_told_that_the_coordinator_is_frozen() {
    let checked = "each ends and says that the coordinator hangs";
    let _row = fault(
        "SIGSTOP of the coordinator",
        "commands that look on",
        checked,
    );
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let start = cluster.background(&["start", "--attach", "endless.yml", "--name", "camera"]);
    start.says("sink received", DEADLINE);
    let echo = cluster.background(&["topic", "echo", "rust-node/random"]);
    let logs = cluster.background(&["logs", "camera", "--follow"]);
    echo.says("UInt64", DEADLINE);
    logs.says("sink received", DEADLINE);
    cluster.coordinator().signal("STOP");
    for process in [echo, logs, start] {
        let run = process.end(DEADLINE);
        assert!(!run.status.is_some_and(|status| status.success()), "{run}");
        assert!(run.stderr.contains("the coordinator at"), "{run}");
        assert!(run.stderr.contains("hangs"), "{run}");
    }
    cluster.coordinator().signal("CONT");
}
