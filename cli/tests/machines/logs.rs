//! `dora logs`: of all machines, while the dataflow runs and after its end.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example};
use host_testing::fixtures;

/// The example with a node on A that counts what it receives and says so at its end. The sink is alone on B: what it
/// prints can be nobody else's.
fn with_checker(text: &str) -> String {
    format!(
        "{text}\n  - id: checker\n    deploy: {{machine: A}}\n    path: '{}'\n    kind: checker\n    inputs: {{in: \
         {{source: rust-node/random, queue_size: 200}}}}\n    outputs: [total]\n",
        fixtures::path("flow").display()
    )
}

#[test]
fn lines_of_all_machines_are_there_after_the_end() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("dataflow.yml", with_checker(&example()));
    cluster.write("endless.yml", endless());
    let uuid = cluster.start("dataflow.yml", &["--name", "camera"]);
    cluster.until_status(&uuid, "finished");
    let all = cluster.dora(&["logs", "camera"]).success();
    assert_eq!(
        all.matches("rust-sink@B: sink received message: ").count(),
        100,
        "{all}"
    );
    assert!(all.contains("checker@A: received 100 missing 0"), "{all}");
    // In the order of time, whatever the machine.
    let times: Vec<&str> = all
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(times.is_sorted(), "{all}");
    assert_eq!(
        cluster.dora(&["logs", "camera", "--all-nodes"]).success(),
        all
    );
    assert_eq!(cluster.dora(&["logs", &uuid]).success(), all);
    // The last lines of all, not of each machine.
    let tail = cluster.dora(&["logs", "camera", "--tail", "7"]).success();
    let last: Vec<&str> = all.lines().collect();
    assert_eq!(tail.lines().collect::<Vec<_>>(), last[last.len() - 7..]);
    let sink = cluster
        .dora(&["logs", "camera", "rust-sink", "--tail", "5"])
        .success();
    assert_eq!(sink.lines().count(), 5, "{sink}");
    assert!(
        sink.lines()
            .all(|line| line.contains("rust-sink@B: sink received message: ")),
        "{sink}"
    );
    assert_eq!(
        cluster.dora(&["logs", "camera", "--tail", "0"]).success(),
        ""
    );
    let json = cluster
        .dora(&["logs", "camera", "checker", "--json"])
        .success();
    let lines = json.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.map(|line| line.expect("JSON")).collect();
    let total = lines
        .iter()
        .find(|line| line["message"] == "received 100 missing 0");
    let total = total.unwrap_or_else(|| panic!("{json}"));
    assert_eq!(
        (&total["node_id"], &total["machine_id"]),
        (&"checker".into(), &"A".into()),
        "{json}"
    );
    let run = cluster.dora(&["logs", "camera", "rust-sinc"]);
    assert_fails(
        &run,
        &[
            "the dataflow has no node `rust-sinc`; it has ",
            "`rust-sink`",
        ],
    );
    assert_fails(
        &cluster.dora(&["logs", "camra"]),
        &["there is no dataflow `camra`"],
    );
    // Following one that is over ends at once, with all its lines.
    assert_eq!(cluster.dora(&["logs", "camera", "--follow"]).success(), all);
    // It is remembered while others run, and the only one that runs needs no name.
    cluster.start("endless.yml", &[]);
    let last = cluster.dora(&["logs", "camera", "--tail", "1"]).success();
    assert!(all.ends_with(&last) && last.lines().count() == 1, "{last}");
    cluster.dora(&["logs", "--tail", "1"]).success();
}

#[test]
fn followed_lines_come_as_they_are_said_and_end_with_the_dataflow() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", with_checker(&endless()));
    cluster.start("endless.yml", &["--name", "camera"]);
    let all = cluster.background(&["logs", "--follow", "--tail", "0"]);
    let sink = cluster.background(&["logs", "camera", "rust-sink", "--follow"]);
    let checker = cluster.background(&["logs", "camera", "checker", "--follow"]);
    for logs in [&all, &sink] {
        logs.says("rust-sink@B: sink received message: ", DEADLINE);
    }
    cluster.dora(&["stop", "camera"]).success();
    let all = all.end(DEADLINE).success();
    assert!(all.contains("checker@A: received "), "{all}");
    // No line of the sink is missing: each says a number, and all have been received in this order.
    let sink = sink.end(DEADLINE).success();
    let whole = cluster.dora(&["logs", "camera", "rust-sink"]).success();
    assert_eq!(
        sink.lines().collect::<Vec<_>>(),
        whole.lines().collect::<Vec<_>>()
    );
    assert!(!sink.contains("checker"), "{sink}");
    let checker = checker.end(DEADLINE).success();
    assert!(checker.contains("checker@A: received "), "{checker}");
    assert!(!checker.contains("rust-sink"), "{checker}");
}
