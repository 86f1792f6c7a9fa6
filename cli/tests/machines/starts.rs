//! `dora start` of what is good: attached and detached, by name, twice at once, with variables.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example, find};
use host_testing::fixtures;

/// A node that fails at its tenth message, on a machine.
fn failing(machine: &str) -> String {
    format!(
        "\n  - id: failing\n    deploy: {{machine: {machine}}}\n    path: '{}'\n    kind: failing\n    config: {{how: \
         error, at: 10}}\n    inputs: {{in: rust-node/random}}\n    outputs: [out]\n",
        fixtures::path("flow").display()
    )
}

#[test]
fn no_message_is_sent_before_all_readers_are_ready_and_none_is_lost() {
    let cluster = Cluster::new(&["A", "B"]);
    let flow = fixtures::path("flow").display().to_string();
    // The first messages are sent while the source is made. 1,000 follow, as fast as it can.
    let checker = |id: &str, machine: &str| {
        format!(
            "  - id: {id}\n    deploy: {{machine: {machine}}}\n    path: '{flow}'\n    kind: checker\n    config: \
             {{expect: 1005}}\n    inputs: {{in: {{source: source/out, queue_size: 2000}}}}\n    outputs: [total]\n"
        )
    };
    let text = format!(
        "nodes:\n  - id: source\n    deploy: {{machine: A}}\n    path: '{flow}'\n    kind: source\n    config: {{count: 1005, \
         in_create: 5, burst: 50}}\n    inputs: {{tick: dora/timer/millis/1}}\n    outputs: [out]\n{}{}",
        checker("near", "A"),
        checker("far", "B")
    );
    cluster.write("dataflow.yml", text);
    for _ in 0..3 {
        let run = cluster.dora(&["start", "--attach", "dataflow.yml"]);
        for line in [
            "near@A: received 1005 missing 0",
            "far@B: received 1005 missing 0",
        ] {
            assert!(run.stderr.contains(line), "{line}: {run}");
        }
        run.success();
    }
}

#[test]
fn attached_it_shows_the_lines_of_all_machines_and_the_summary() {
    let cluster = Cluster::new(&["A", "B"]);
    let flow = fixtures::path("flow").display().to_string();
    let checker = format!(
        "\n  - id: checker\n    deploy: {{machine: A}}\n    path: '{flow}'\n    kind: checker\n    inputs: {{in: \
         {{source: rust-node/random, queue_size: 200}}}}\n    outputs: [total]\n"
    );
    cluster.write("dataflow.yml", example() + &checker);
    let run = cluster.dora(&["start", "--attach", "--name", "arm", "dataflow.yml"]);
    let sink: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(sink.len(), 100, "{run}");
    assert!(
        sink.iter()
            .all(|line| line.contains("rust-sink@B: sink received message: ")),
        "{run}"
    );
    for part in [
        "runs: checker, rust-node, rust-status-node on A; rust-sink on B\n",
        "checker@A: received 100 missing 0",
        "dataflow arm (",
        ") finished after ",
        "rust-node         A        finished  100  100        0\n",
        "rust-sink         B        finished  100    0        0\n",
    ] {
        assert!(run.stderr.contains(part), "{part}: {run}");
    }
    run.success();
}

#[test]
fn attached_it_fails_when_a_node_fails() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("dataflow.yml", example() + &failing("B"));
    let run = cluster.dora(&["start", "--attach", "dataflow.yml"]);
    assert_fails(
        &run,
        &[
            "failed after",
            "error: node `failing` on machine `B` failed: no picture",
            "the lens is covered",
        ],
    );
    // One node's end is not that of the others.
    assert_eq!(run.stdout.lines().count(), 100, "{run}");
    let uuid = cluster.start("dataflow.yml", &[]);
    let list = cluster.until_status(&uuid, "failed");
    assert_eq!(list["failed"], 1, "{list:#}");
    let rows = list["ended"]["nodes"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["node"] == "failing")
        .expect("a row");
    assert_eq!(
        (&row["machine"], &row["ended"]),
        (&"B".into(), &"failed".into())
    );
    assert!(row["error"].as_str().expect("text").contains("no picture"));
}

#[test]
fn names_are_had_once_and_a_descriptor_runs_twice() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let first = cluster.start("endless.yml", &["--name", "camera"]);
    let taken = cluster.dora(&["start", "--detach", "--name", "camera", "endless.yml"]);
    let words = format!(
        "the name `camera` is taken by the running dataflow {first}; choose another with `--name`"
    );
    assert_fails(&taken, &[&words]);
    let second = cluster.start("endless.yml", &["--name", "camera 2"]);
    let third = cluster.start("endless.yml", &[]);
    let list = cluster.json(&["list", "--json"]);
    for uuid in [&first, &second, &third] {
        assert_eq!(find(&list, uuid).expect("it runs")["status"], "running");
    }
    // Each has its own messages.
    for name in ["camera", "camera 2"] {
        let args = [
            "topic",
            "echo",
            "-d",
            name,
            "rust-status-node/status",
            "--count",
            "1",
        ];
        assert!(cluster.dora(&args).success().contains("operator received"));
    }
    assert_eq!(
        cluster.json(&["ps", "--json"]).as_array().map(Vec::len),
        Some(9)
    );
    cluster.dora(&["stop", "camera"]).success();
    cluster.until_status(&first, "stopped");
    // It is free again.
    let again = cluster.start("endless.yml", &["--name", "camera"]);
    assert_ne!(first, again);
    for name in ["", "  ", first.as_str()] {
        let run = cluster.dora(&["start", "--detach", "--name", name, "endless.yml"]);
        assert_fails(&run, &["name"]);
    }
    cluster.dora(&["stop", "--all"]).success();
    assert_eq!(cluster.json(&["ps", "--json"]), serde_json::json!([]));
}

#[test]
fn variables_that_plugins_cannot_have_are_told_once() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("dataflow.yml", example());
    let run = cluster.dora(&[
        "start",
        "--attach",
        "--env",
        "LEVEL=3",
        "--env",
        "A=b=c",
        "dataflow.yml",
    ]);
    let warning = "variables that are given with `--env` do not reach plugins that run inside the daemon; use `config`";
    assert_eq!(run.stderr.matches(warning).count(), 1, "{run}");
    run.success();
    let run = cluster.dora(&["start", "--env", "LEVEL", "dataflow.yml"]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(2),
        "{run}"
    );
    assert!(run.stderr.contains("LEVEL"), "{run}");
}

#[test]
fn without_a_terminal_it_leaves_and_says_so() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let run = cluster.dora(&["start", "endless.yml"]);
    assert!(
        run.stderr
            .contains("no terminal: leaving the dataflow when it runs (`--attach`"),
        "{run}"
    );
    let uuid = run.success().trim().to_owned();
    assert_eq!(
        cluster.until_status(&uuid, "running")["machines"]["B"],
        "connected"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_attached_dataflow() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let start = cluster.background(&["start", "--attach", "--name", "camera", "endless.yml"]);
    start.says("sink received message", DEADLINE);
    start.signal("INT");
    let run = start.end(DEADLINE);
    assert!(
        run.stderr.contains("stopping; nodes have 10s to end"),
        "{run}"
    );
    assert!(run.stderr.contains(") stopped after "), "{run}");
    run.success();
    assert_eq!(cluster.json(&["ps", "--json"]), serde_json::json!([]));
    cluster.until_status("camera", "stopped");
}

#[cfg(unix)]
#[test]
fn an_attached_command_that_is_killed_leaves_the_dataflow() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    let start = cluster.background(&["start", "--attach", "--name", "camera", "endless.yml"]);
    start.says("sink received message", DEADLINE);
    start.kill();
    // Another one can be attached to its lines, and ending that one stops nothing.
    let logs = cluster.background(&["logs", "camera", "--follow"]);
    logs.says("sink received message", DEADLINE);
    logs.signal("INT");
    logs.end(DEADLINE);
    assert_eq!(cluster.until_status("camera", "running")["running"], 3);
}
