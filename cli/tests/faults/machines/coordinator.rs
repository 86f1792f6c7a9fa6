//! The coordinator is killed or told to end: dataflows go on, and the next one on its port knows all that there is to know.

use super::{all_counted, flows, until_nodes};
use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example, find};
use host_testing::fault;
use std::time::{Duration, Instant};

/// Daemons are back within two seconds; a busy machine takes some more.
const BACK: Duration = Duration::from_secs(10);

const RUNNING: [&str; 3] = [
    "rust-node@A: running",
    "rust-status-node@A: running",
    "rust-sink@B: running",
];

fn all_connected(cluster: &Cluster) -> bool {
    let status = cluster.json(&["status", "--json"]);
    let daemons = status["daemons"].as_array().expect("an array");
    daemons.len() == 2 && daemons.iter().all(|daemon| daemon["state"] == "connected")
}

/// Starts the coordinator again and waits until both daemons are back; how long that took.
fn back(cluster: &mut Cluster) -> Duration {
    cluster.start_coordinator(&[]);
    let began = Instant::now();
    while !all_connected(cluster) {
        let took = began.elapsed();
        assert!(took < BACK, "not back after {took:?}\n{cluster}");
    }
    began.elapsed()
}

fn dataflows_go_on_without_it_and_the_next_one_knows_them(signal: &str) {
    let checked =
        "dataflows go on; the next one has daemons, dataflows and history back within 2 s";
    let _row = fault(
        format!("SIG{signal} of the coordinator"),
        "two daemons",
        checked,
    );
    let mut cluster = Cluster::lasting(&["A", "B"]);
    cluster.write("example.yml", example());
    cluster.write("endless.yml", endless());
    let over = cluster.start("example.yml", &["--name", "before"]);
    cluster.until_status(&over, "finished");
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    flows(cluster.daemon("B"));

    let coordinator = cluster.take_coordinator();
    coordinator.signal(signal);
    let ended = coordinator.end(DEADLINE);
    let in_order = ended.status.is_some_and(|status| status.success());
    assert_eq!(in_order, signal == "TERM", "{ended}");
    flows(cluster.daemon("B"));
    let address = cluster.address();
    assert_fails(
        &super::soon(&cluster, &["list"]),
        &[&format!("no dora coordinator at {address}")],
    );
    let took = back(&mut cluster);
    println!("the daemons were back after {took:?}");

    let list = cluster.json(&["list", "--json"]);
    let found = find(&list, &camera).expect("it runs");
    assert_eq!(found["name"], "camera");
    cluster.until_status(&camera, "running");
    until_nodes(&cluster, &camera, &RUNNING);
    let ended = find(&list, &over).expect("history");
    assert_eq!(ended["name"], "before");
    assert_eq!(ended["status"], "finished");
    all_counted(ended);
    flows(cluster.daemon("B"));

    cluster.dora(&["stop", "camera"]).success();
    assert_eq!(cluster.until_status(&camera, "stopped")["failed"], 0);
}

#[test]
fn dataflows_go_on_when_it_is_killed() {
    dataflows_go_on_without_it_and_the_next_one_knows_them("KILL");
}

#[test]
fn dataflows_go_on_when_it_is_told_to_end() {
    dataflows_go_on_without_it_and_the_next_one_knows_them("TERM");
}

/// A successor in the very moment is the worst case for the network, which may take it for the one before.
#[test]
fn killed_and_started_again_at_once_it_still_reaches_the_daemons() {
    let checked = "daemons are back each time; orders reach them";
    let _row = fault(
        "SIGKILL of the coordinator, 4 times, started again at once",
        "two daemons",
        checked,
    );
    let mut cluster = Cluster::lasting(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    for round in 0..4 {
        cluster.take_coordinator().kill();
        let took = back(&mut cluster);
        println!("round {round}: the daemons were back after {took:?}");
    }
    until_nodes(&cluster, &camera, &RUNNING);
    flows(cluster.daemon("B"));
    // Orders arrive: a second one starts, on both machines, and both end.
    let second = cluster.start("endless.yml", &["--name", "second"]);
    until_nodes(&cluster, &second, &RUNNING);
    for dataflow in [&camera, &second] {
        cluster.dora(&["stop", dataflow]).success();
        cluster.until_status(dataflow, "stopped");
    }
}
