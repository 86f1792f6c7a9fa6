//! A daemon is killed: what is said of it, what the other machines' nodes do, and what becomes of the one after it.

use super::{all_counted, flows, nodes, reach, soon, until_nodes};
use crate::cluster::{Cluster, DEADLINE, endless, example, find, reversed};
use host_testing::{fault, wait_until};
use std::time::{Duration, Instant};

/// It is noticed within three seconds; a busy machine takes some more.
const NOTICED: Duration = Duration::from_secs(6);

/// Two dataflows: A sends to B, and B sends to A.
fn both_ways() -> (Cluster, String, String) {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("out.yml", endless());
    cluster.write("in.yml", reversed());
    let out = cluster.start("out.yml", &["--name", "out"]);
    let inward = cluster.start("in.yml", &["--name", "in"]);
    flows(cluster.daemon("B"));
    flows(cluster.daemon("A"));
    (cluster, out, inward)
}

/// Runs the example from the start to its end: B's sink, and no other one there, gets the messages.
fn runs_once(cluster: &Cluster) {
    cluster.write("example.yml", example());
    let fresh = cluster.start("example.yml", &[]);
    let ended = cluster.until_status(&fresh, "finished");
    let received = all_counted(&ended);
    // What it printed comes a moment later.
    let printed = || super::received(cluster.daemon("B")) as u64;
    wait_until("all is printed", DEADLINE, || printed() >= received);
    assert_eq!(printed(), received, "no double nodes");
}

#[test]
fn its_nodes_are_lost_and_the_others_go_on_or_end_by_their_inputs() {
    let checked =
        "told within 3 s; A's nodes go on or end by their inputs; a new daemon has its id";
    let _row = fault("SIGKILL of a daemon", "machine B of two", checked);
    let (mut cluster, out, inward) = both_ways();
    let began = Instant::now();
    cluster.take_daemon("B").kill();
    cluster.until(&["list", "--json"], |list| reach(list, &out, "B") == "lost");
    let took = began.elapsed();
    println!("noticed after {took:?}");
    assert!(took < NOTICED, "{took:?}");
    cluster
        .coordinator()
        .complains("machine `B` is not heard of any more", DEADLINE);

    // A's nodes that read none of B go on; what read B ends, because its input is closed.
    until_nodes(
        &cluster,
        &out,
        &[
            "rust-node@A: running",
            "rust-status-node@A: running",
            "rust-sink@B: unreachable",
        ],
    );
    until_nodes(
        &cluster,
        &inward,
        &[
            "rust-node@B: unreachable",
            "rust-status-node@B: unreachable",
            "rust-sink@A: finished",
        ],
    );
    let logs = soon(&cluster, &["logs", "out"]);
    assert!(
        logs.stderr
            .contains("no log lines from machine `B`, which is not connected"),
        "{logs}"
    );
    assert!(
        logs.stdout
            .contains("machine `B` is not heard of any more; nothing is waited for there"),
        "{logs}"
    );

    // It comes back under the same machine id, and what it ran is not run again.
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    cluster.until_status(&inward, "failed");
    let list = cluster.json(&["list", "--json"]);
    let ended = &find(&list, &inward).expect("history")["ended"]["nodes"];
    assert_eq!(ended[0]["ended"], "lost", "{ended:#}");
    assert_eq!(ended[2]["ended"], "finished", "{ended:#}");
    let lost = [
        "rust-node@A: running",
        "rust-status-node@A: running",
        "rust-sink@B: lost",
    ];
    until_nodes(&cluster, &out, &lost);
    runs_once(&cluster);
    assert_eq!(nodes(&cluster, &out), lost);

    let run = cluster.dora(&["stop", "out"]);
    assert!(run.stderr.contains("lost with machine `B`"), "{run}");
    cluster.until_status(&out, "failed");
}

#[test]
fn started_again_at_once_it_has_its_machine_id() {
    let checked = "it has its machine id at once; nothing runs twice";
    let _row = fault(
        "SIGKILL of a daemon, started again at once",
        "machine B of two",
        checked,
    );
    let (mut cluster, out, inward) = both_ways();
    cluster.take_daemon("B").kill();
    let began = Instant::now();
    cluster.start_daemon("B", &[]);
    cluster.connected("B");
    let took = began.elapsed();
    println!("the machine id was had again after {took:?}");
    assert!(took < NOTICED, "{took:?}");
    until_nodes(
        &cluster,
        &out,
        &[
            "rust-node@A: running",
            "rust-status-node@A: running",
            "rust-sink@B: lost",
        ],
    );
    cluster.until_status(&inward, "failed");
    runs_once(&cluster);
}

fn told_to_end_it_stops_its_nodes_and_the_coordinator_says_so(signal: &str) {
    let checked =
        "its nodes stop in order; nothing of it is lost; A's nodes go on or end by their inputs";
    let _row = fault(
        format!("SIG{signal} of a daemon"),
        "machine B of two",
        checked,
    );
    let (mut cluster, out, inward) = both_ways();
    let daemon = cluster.take_daemon("B");
    daemon.signal(signal);
    let run = daemon.end(DEADLINE);
    for said in ["received ctrlc signal", "stopped"] {
        assert!(run.stdout.contains(said), "{run}");
    }
    assert!(run.stderr.contains("`in` "), "{run}");
    assert!(run.status.is_some_and(|status| status.success()), "{run}");
    cluster
        .coordinator()
        .complains("the daemon of machine `B` has ended", DEADLINE);
    // Its nodes have stopped, not failed; nothing of them is lost.
    let ended = cluster.until_status(&inward, "stopped");
    assert_eq!(ended["ended"]["nodes"][0]["ended"], "stopped", "{ended:#}");
    assert_eq!(ended["ended"]["nodes"][2]["ended"], "finished", "{ended:#}");
    until_nodes(
        &cluster,
        &out,
        &[
            "rust-node@A: running",
            "rust-status-node@A: running",
            "rust-sink@B: stopped",
        ],
    );
    let list = cluster.json(&["list", "--json"]);
    let found = find(&list, &out).expect("it runs");
    assert_eq!(
        (&found["running"], &found["failed"]),
        (&2.into(), &0.into())
    );
    assert_eq!(reach(&list, &out, "B"), "connected", "nothing is lost");
    let status = cluster.json(&["status", "--json"]);
    assert_eq!(status["daemons"].as_array().map(Vec::len), Some(1));
    cluster.dora(&["stop", "out"]).success();
}

#[test]
fn told_to_end_by_a_service_manager() {
    told_to_end_it_stops_its_nodes_and_the_coordinator_says_so("TERM");
}

#[test]
fn told_to_end_by_ctrl_c() {
    told_to_end_it_stops_its_nodes_and_the_coordinator_says_so("INT");
}
