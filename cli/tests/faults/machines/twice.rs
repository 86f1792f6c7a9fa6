//! Two coordinators: beside each other they share nothing, and nobody takes the place of one that is frozen.

use super::{flows, nodes};
use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, find};
use host_testing::fault;

const STOPPED: &str = "stopped";

/// Both run a dataflow of the same name on machines of the same names.
#[test]
fn two_coordinators_of_one_host_share_nothing() {
    let checked =
        "equal names do not mix: a stop and a SIGKILL on one side leave the other as it was";
    let _row = fault("two coordinators", "one host, two daemons each", checked);
    let mut clusters = [Cluster::lasting(&["A", "B"]), Cluster::lasting(&["A", "B"])];
    let cameras = clusters.each_ref().map(|cluster| {
        cluster.write("endless.yml", endless());
        cluster.start("endless.yml", &["--name", "camera"])
    });
    let only_its_own = |cluster: &Cluster, dataflow: &str| {
        let list = cluster.json(&["list", "--json"]);
        assert_eq!(list.as_array().map(Vec::len), Some(1), "{list:#}");
        assert!(find(&list, dataflow).is_some(), "{list:#}");
        let status = cluster.json(&["status", "--json"]);
        let daemons = status["daemons"].as_array().expect("an array");
        let pids: Vec<_> = daemons.iter().map(|daemon| daemon["pid"].clone()).collect();
        let own = ["A", "B"].map(|machine| cluster.daemon(machine).id());
        assert_eq!(pids, own, "{status:#}");
    };
    for (cluster, camera) in clusters.iter().zip(&cameras) {
        flows(cluster.daemon("B"));
        only_its_own(cluster, camera);
    }
    let [first, second] = &mut clusters;
    first.dora(&["stop", "camera"]).success();
    first.until_status("camera", STOPPED);
    flows(second.daemon("B"));
    assert_eq!(nodes(second, &cameras[1]).len(), 3);

    first.take_coordinator().kill();
    flows(second.daemon("B"));
    first
        .daemon("A")
        .complains("does not answer; what runs goes on", DEADLINE);
    // Its daemons look for it at its own place and nowhere else.
    only_its_own(second, &cameras[1]);
    first.start_coordinator(&[]);
    first.all_connected(2);
    only_its_own(first, &cameras[0]);
    only_its_own(second, &cameras[1]);
    second.dora(&["stop", "camera"]).success();
    second.until_status("camera", STOPPED);
}

#[test]
fn nobody_takes_the_place_of_one_that_is_frozen() {
    let checked = "the second is refused and says who has the port; the first goes on as it was";
    let _row = fault(
        "a second coordinator on the port of a frozen one",
        "two daemons",
        checked,
    );
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    flows(cluster.daemon("B"));
    cluster.coordinator().signal("STOP");
    let port = cluster.port().to_string();
    let second = cluster.dora(&["coordinator", "--port", &port]);
    assert_fails(&second, &[&format!("port {port} of 127.0.0.1 is taken")]);
    flows(cluster.daemon("B"));
    cluster.coordinator().signal("CONT");
    cluster.until_status(&camera, "running");
    assert_eq!(nodes(&cluster, &camera).len(), 3);
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status("camera", STOPPED);
}
