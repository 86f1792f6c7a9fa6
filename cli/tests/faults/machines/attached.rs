//! An attached `dora start` is killed: the dataflow goes on, as a detached one.

use super::{flows, nodes};
use crate::cluster::{Cluster, DEADLINE, endless};
use host_testing::{fault, wait_until};

#[test]
fn a_dataflow_outlives_the_command_that_was_attached_to_it() {
    let checked = "the dataflow goes on, can be watched and stopped";
    let _row = fault("SIGKILL of an attached dora start", "a terminal", checked);
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let start = cluster.background(&["start", "--attach", "endless.yml", "--name", "camera"]);
    start.says("sink received", DEADLINE);
    start.kill();
    flows(cluster.daemon("B"));
    let camera = cluster.until_status("camera", "running");
    let uuid = camera["uuid"].as_str().expect("text");
    assert_eq!(nodes(&cluster, uuid).len(), 3);
    // Somebody else looks on and stops it.
    let logs = cluster.background(&["logs", "camera", "--follow"]);
    logs.says("sink received", DEADLINE);
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status("camera", "stopped");
    assert!(logs.end(DEADLINE).status.is_some_and(|it| it.success()));
    wait_until("nothing runs", DEADLINE, || {
        nodes(&cluster, uuid).is_empty()
    });
}
