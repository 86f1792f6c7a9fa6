//! A daemon is killed while a dataflow starts: the start fails and names the machine, and nothing runs.

use super::flows;
use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example};
use host_testing::fault;

fn nothing_runs(cluster: &Cluster) {
    let nodes = cluster.json(&["node", "list", "--json"]);
    assert_eq!(nodes, serde_json::json!([]), "{cluster}");
}

#[test]
fn killed_during_the_check_the_start_names_the_machine() {
    let checked = "the start fails and names B; nothing runs; the next start is whole";
    let _row = fault(
        "SIGKILL of a daemon during the check of a start",
        "machine B of two",
        checked,
    );
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    // So that the check takes until it is killed.
    cluster.daemon("B").signal_child("STOP");
    let start = cluster.background(&["start", "--detach", "endless.yml"]);
    cluster.coordinator().complains(": starting", DEADLINE);
    cluster.take_daemon("B").kill();
    assert_fails(
        &start.end(DEADLINE),
        &["machine `B` was lost during the start"],
    );
    nothing_runs(&cluster);
    // The machine is usable again, and the next start is none of the first.
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    cluster.write("example.yml", example());
    let uuid = cluster.start("example.yml", &[]);
    cluster.until_status(&uuid, "finished");
    nothing_runs(&cluster);
}

/// Killed at whatever point of the start that is: it runs whole or not at all.
#[test]
fn killed_at_any_time_the_start_is_undone_or_was_done() {
    let checked = "the start is undone, or was done; no node is left";
    let _row = fault(
        "SIGKILL of a daemon at two moments of a start",
        "machine B of two",
        checked,
    );
    let mut cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    for said in ["starting", "runs 1 node here"] {
        let name = format!("camera-{}", said.len());
        let start = cluster.background(&["start", "--detach", "endless.yml", "--name", &name]);
        match said {
            "starting" => cluster
                .coordinator()
                .complains(&format!("dataflow `{name}`"), DEADLINE),
            _ => cluster.daemon("B").complains(said, DEADLINE),
        }
        cluster.take_daemon("B").kill();
        let run = start.end(DEADLINE);
        if run.status.is_some_and(|status| status.success()) {
            // It had begun: what is left of it is stopped like any other.
            let stop = cluster.dora(&["stop", &name]);
            assert!(stop.stderr.contains("lost with machine `B`"), "{stop}");
        } else {
            assert_fails(&run, &["`B`"]);
        }
        nothing_runs(&cluster);
        cluster.start_daemon("B", &[]);
        cluster.connected("B");
    }
    let last = cluster.start("endless.yml", &[]);
    flows(cluster.daemon("B"));
    cluster.dora(&["stop", &last]).success();
}
