//! `dora topic echo` and `hz`: attached to what runs, on any machine, without slowing it.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless};
use host_testing::python::Python;
use host_testing::{fixtures, skipped, wait_until};
use serde_json::Value;

/// The example with a node on B that sends on what it receives from A.
fn with_relay() -> String {
    format!(
        "{}\n  - id: relay\n    deploy: {{machine: B}}\n    path: '{}'\n    kind: relay\n    inputs: {{in: \
         rust-node/random}}\n    outputs: [out]\n",
        endless(),
        fixtures::path("flow").display()
    )
}

#[test]
fn messages_of_both_machines_are_shown_while_they_run() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", with_relay());
    let uuid = cluster.start("endless.yml", &["--name", "camera"]);
    let echo = |args: &[&str]| cluster.dora(&[&["topic", "echo"], args].concat());
    let text = echo(&["rust-status-node/status", "--count", "3"]).success();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.lines()
            .all(|line| line.contains("Utf8[1]  [\"operator received random value 0x")),
        "{text}"
    );
    for topic in ["rust-node/random", "relay/out"] {
        let json = echo(&[topic, "--count", "5", "--json"]).success();
        let messages = json
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let messages: Vec<Value> = messages.collect();
        assert_eq!(messages.len(), 5, "{json}");
        for message in &messages {
            assert_eq!(
                (&message["type"], &message["length"]),
                (&"UInt64".into(), &1.into()),
                "{json}"
            );
            assert!(message["data"][0].is_u64(), "{json}");
        }
    }
    for topic in ["rust-node/random", "relay/out"] {
        let hz = [
            "topic", "hz", topic, "--window", "1s", "--count", "2", "--json",
        ];
        let json = cluster.dora(&hz).success();
        let last: Value = serde_json::from_str(json.lines().last().expect("a line")).expect("JSON");
        // A timer of 100 Hz, on a machine that may be busy.
        let rate = last["hz"].as_f64().expect("a number");
        assert!((20.0..150.0).contains(&rate), "{topic}: {json}");
        assert_eq!(last["lost"], 0, "{topic}: {json}");
    }
    let text = cluster
        .dora(&["topic", "hz", "relay/out", "--count", "1"])
        .success();
    assert!(text.contains(" Hz  ") && text.contains("0 lost"), "{text}");
    cluster.dora(&["stop", &uuid]).success();
}

/// Sends small and large ones in turns until it is told to stop.
const SENDING: &str = r#"
import pyarrow as pa
from dora import Node
node = Node()
small, large = pa.array([1], type=pa.uint8()), pa.array(bytes(100_000), type=pa.uint8())
number = 0
while True:
    event = node.next(timeout=0.01)
    if event is not None and event["type"] == "STOP":
        break
    node.send_output("out", large if number % 2 else small, {"number": number})
    number += 1
"#;

const READING: &str = r#"
from dora import Node
for event in Node():
    if event["type"] == "INPUT":
        print("received", flush=True)
"#;

#[test]
fn what_nodes_of_dora_hand_each_other_is_shown_too() {
    let python = match Python::with_dora("1.1.0") {
        Ok(python) => python,
        Err(reason) => return skipped(&format!("no PyPI: {reason}")),
    };
    let cluster = Cluster::new(&["A"]);
    cluster.write("sending.py", SENDING);
    cluster.write("reading.py", READING);
    let env = format!("env: {{VIRTUAL_ENV: '{}'}}", python.folder().display());
    let text = format!(
        "nodes:\n  - id: one\n    path: sending.py\n    {env}\n    outputs: [out]\n  - id: two\n    path: \
         reading.py\n    {env}\n    inputs: {{in: one/out}}\n"
    );
    cluster.write("python.yml", text);
    cluster.start("python.yml", &["--name", "python"]);
    cluster.daemon("A").says("received", DEADLINE);
    let echo = ["topic", "echo", "one/out", "--count", "10", "--json"];
    let json = cluster.dora(&echo).success();
    let messages = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let messages: Vec<Value> = messages.collect();
    for length in [1, 100_000] {
        let of_length = |message: &&Value| message["length"] == length;
        assert!(messages.iter().any(|message| of_length(&message)), "{json}");
    }
    let hz = ["topic", "hz", "one/out", "--window", "1s", "--count", "2"];
    let text = cluster.dora(&hz).success();
    assert!(text.contains(" Hz  "), "{text}");
    cluster.dora(&["stop", "python"]).success();
}

#[cfg(unix)]
#[test]
fn who_looks_on_and_does_not_read_holds_nobody_up() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    cluster.start("endless.yml", &["--name", "camera"]);
    let echo = cluster.background(&["topic", "echo", "rust-status-node/status"]);
    echo.says("operator received", DEADLINE);
    echo.signal("STOP");
    let printed = || cluster.daemon("B").stdout().lines().count();
    let before = printed();
    // More than any queue on the way holds.
    wait_until("500 more messages", DEADLINE, || printed() > before + 500);
    echo.signal("CONT");
    cluster.dora(&["stop", "camera"]).success();
    echo.end(DEADLINE).success();
}

#[test]
fn an_output_that_is_not_there_is_told_with_those_that_are() {
    let cluster = Cluster::new(&["A", "B"]);
    let run = cluster.dora(&["topic", "echo", "rust-node/random"]);
    assert_fails(
        &run,
        &["no output `rust-node/random`: no node that runs has outputs"],
    );
    cluster.write("endless.yml", endless());
    let first = cluster.start("endless.yml", &["--name", "camera"]);
    for command in ["echo", "hz"] {
        let run = cluster.dora(&["topic", command, "rust-status-node/state"]);
        assert_fails(
            &run,
            &[
                "no output `rust-status-node/state`; there are `rust-node/random`, `rust-status-node/status`",
            ],
        );
    }
    let run = cluster.dora(&["topic", "echo", "rust-node"]);
    assert_eq!(
        run.status.and_then(|status| status.code()),
        Some(2),
        "{run}"
    );
    assert!(
        run.stderr
            .contains("write NODE/OUTPUT; `dora topic list` shows them"),
        "{run}"
    );
    let second = cluster.start("endless.yml", &[]);
    let run = cluster.dora(&["topic", "echo", "rust-node/random"]);
    assert_fails(
        &run,
        &[
            "several dataflows have an output `rust-node/random`; choose one with `--dataflow`",
            &second,
        ],
    );
    let run = cluster.dora(&[
        "topic",
        "echo",
        "rust-node/random",
        "-d",
        &first,
        "--count",
        "1",
    ]);
    run.success();
}

#[test]
fn it_ends_with_the_dataflow() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    cluster.start("endless.yml", &["--name", "camera"]);
    let echo = cluster.background(&["topic", "echo", "rust-status-node/status"]);
    let hz = cluster.background(&["topic", "hz", "rust-node/random"]);
    echo.says("operator received", DEADLINE);
    hz.says(" Hz ", DEADLINE);
    cluster.dora(&["stop", "camera"]).success();
    echo.end(DEADLINE).success();
    hz.end(DEADLINE).success();
}
