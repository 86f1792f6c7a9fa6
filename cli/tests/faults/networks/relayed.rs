//! Daemons that others cannot reach: their data go through the coordinator.

use super::Lab;
use crate::cluster::{DEADLINE, assert_fails, endless};
use host_testing::plugins;

/// With B listening on loopback.
fn lab() -> Option<Lab> {
    let mut lab = Lab::new()?;
    lab.start_daemon("A", &[]);
    lab.start_daemon("B", &["--listen", "127.0.0.1:0"]);
    Some(lab)
}

#[test]
fn a_daemon_on_loopback_says_that_its_data_are_relayed() {
    let Some(lab) = lab() else {
        return;
    };
    lab.cluster.daemon("B").complains(
        "Data to and from other machines go through the coordinator",
        DEADLINE,
    );
    let status = lab.cluster.json(&["status", "--json"]);
    assert_eq!(status["daemons"][1]["address"], "", "{status:#}");
    let text = plugins::with_long_queue(&endless(), "message", "rust-status-node/status");
    let out = lab.start("out", &text, "B");
    // That they cannot go straight changes nothing.
    lab.network.between_a_and_b(false);
    lab.flows("B");
    let nodes = lab.stop(&out);
    assert_eq!(nodes[2]["dropped"], 0, "{nodes:#?}");
}

/// The worst case for the network, which may take the new daemon for the one before and not tell it of others.
#[test]
fn one_that_was_killed_and_started_again_at_once_is_reached() {
    let Some(mut lab) = lab() else {
        return;
    };
    lab.cluster.write("endless.yml", endless());
    for _ in 0..3 {
        lab.cluster.take_daemon("B").kill();
        lab.start_daemon("B", &["--listen", "127.0.0.1:0"]);
        let out = lab.cluster.start("endless.yml", &[]);
        lab.flows("B");
        lab.stop(&out);
    }
}

#[test]
fn without_consent_nothing_listens_for_other_machines() {
    let Some(lab) = Lab::new() else {
        return;
    };
    let daemon = lab.cluster.spare_daemon("A", "A", &[]);
    assert_fails(&daemon.end(DEADLINE), &["10.77.0.2", "--insecure"]);
}
