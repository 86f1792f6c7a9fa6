//! `dora daemon`: its coordinator, its machine id, its ports and its end.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless};
use host_testing::wait_until;

#[test]
fn it_waits_for_a_coordinator_and_says_so() {
    let mut cluster = Cluster::without_coordinator();
    cluster.start_daemon("A", &[]);
    let waiting = format!(
        "Waiting for a coordinator: no dora coordinator at {}",
        cluster.address()
    );
    cluster.daemon("A").complains(&waiting, DEADLINE);
    assert_eq!(cluster.daemon("A").stdout(), "");
    cluster.start_coordinator(&[]);
    cluster.connected("A");
    let said = cluster.daemon("A").stderr();
    assert_eq!(said.matches("Waiting").count(), 1, "told once: {said}");
}

#[test]
fn without_waiting_it_fails() {
    let cluster = Cluster::without_coordinator();
    let run = cluster.spare_daemon("A", "A", &["--no-wait"]).end(DEADLINE);
    let nobody = format!("no dora coordinator at {}", cluster.address());
    assert_fails(&run, &[&nobody, "start one with `dora coordinator`"]);
}

#[test]
fn a_machine_id_is_had_by_one() {
    let mut cluster = Cluster::new(&["A"]);
    let second = cluster.spare_daemon("second", "A", &[]).end(DEADLINE);
    let status = cluster.json(&["status", "--json"]);
    let first = &status["daemons"][0];
    let address = first["address"].as_str().expect("text");
    let taken = format!(
        "machine id \"A\" is already taken by the daemon at {}",
        address.trim_start_matches("tcp/")
    );
    let process = format!("process {}", first["pid"]);
    assert_fails(&second, &[&taken, &process, "--machine-id"]);
    assert_eq!(second.stdout, "", "{second}");
    cluster.coordinator().complains(
        "a second daemon with the machine id `A` was refused",
        DEADLINE,
    );
    // The first one has not noticed, and when it is gone its id is free.
    assert_eq!(first["state"], "connected");
    cluster.take_daemon("A").kill();
    cluster.start_daemon("A", &[]);
    cluster.connected("A");
}

/// The lines of standard error about the local port.
fn port_lines(stderr: &str) -> Vec<&str> {
    let lines = stderr.lines();
    lines
        .filter(|line| line.to_lowercase().contains("port"))
        .collect()
}

#[test]
fn a_second_daemon_on_a_host_takes_another_local_port() {
    let mut cluster = Cluster::new(&[]);
    // Whichever was first on this host has the usual port; only one of these two can be.
    for machine in ["A", "B"] {
        cluster.start_daemon(machine, &["--local-listen-port", "53291"]);
        cluster.connected(machine);
    }
    cluster.daemon("B").complains("Port 53291", DEADLINE);
    let second = cluster.daemon("B").stderr();
    let lines = port_lines(&second);
    assert_eq!(lines.len(), 1, "{second}");
    assert!(
        lines[0].contains("INFO")
            && lines[0].contains("Port 53291 is in use, so process nodes are served on port "),
        "{second}"
    );
    assert!(!second.contains("WARN"), "{second}");
}

#[test]
fn in_normal_use_it_says_that_it_is_connected_and_no_more() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.until(&["status", "--json"], |status| {
        status["daemons"].as_array().map(Vec::len) == Some(2)
    });
    for machine in ["A", "B"] {
        let daemon = cluster.daemon(machine);
        assert_eq!(
            (daemon.stdout().lines().count(), daemon.stderr()),
            (1, String::new())
        );
    }
    let mut said = String::new();
    wait_until("the coordinator has said of both", DEADLINE, || {
        said = cluster.coordinator().stderr();
        said.matches('\n').count() == 2
    });
    assert!(!said.contains("WARN"), "{said}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_its_nodes() {
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let uuid = cluster.start("endless.yml", &[]);
    let daemon = cluster.take_daemon("A");
    daemon.signal("INT");
    let run = daemon.end(DEADLINE);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[1..], ["received ctrlc signal", "stopped"], "{run}");
    assert!(run.stderr.contains("Stopping 1 dataflow"), "{run}");
    assert!(run.status.is_some_and(|status| status.success()), "{run}");
    // Its sender has ended, and so does the sink.
    let list = cluster.until_status(&uuid, "stopped");
    let ends = list["ended"]["nodes"].as_array().expect("rows");
    assert_eq!(ends.len(), 3, "{list:#}");
    wait_until("the machine is gone", DEADLINE, || {
        let status = cluster.json(&["status", "--json"]);
        let daemons = status["daemons"].as_array().expect("rows");
        daemons.iter().all(|daemon| daemon["machine"] != "A")
    });
}

#[test]
fn labels_place_nodes() {
    let mut cluster = Cluster::new(&["A"]);
    cluster.start_daemon("B", &["--labels", "gpu=yes,arch=arm64"]);
    cluster.connected("B");
    let status = cluster.until(&["status", "--json"], |status| {
        status["daemons"].as_array().map(Vec::len) == Some(2)
    });
    assert_eq!(status["daemons"][1]["labels"]["gpu"], "yes", "{status:#}");
    let text = endless().replace("machine: A", "labels: {gpu: \"yes\"}");
    let text = text.replace("machine: B", "labels: {arch: arm64}");
    cluster.write("labels.yml", &text);
    cluster.start("labels.yml", &[]);
    let nodes = cluster.json(&["ps", "--json"]);
    let nodes = nodes.as_array().expect("rows");
    assert!(
        nodes.iter().all(|node| node["machine"] == "B"),
        "{nodes:#?}"
    );
    cluster.write("no.yml", text.replace("yes", "no"));
    let run = cluster.dora(&["start", "--detach", "no.yml"]);
    assert_fails(
        &run,
        &[
            "no machine has the labels `gpu=no`",
            "connected: `A` and `B`",
        ],
    );
}
