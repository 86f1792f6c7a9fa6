//! What `dora start` refuses: each error names the machine at fault, and nothing runs afterwards.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, example};
use host_testing::{fixtures, plugins};
use plugin_abi::handshake::{MAGIC, Record};
use std::mem::offset_of;

/// A descriptor that must be refused by these words.
fn refused(cluster: &Cluster, text: &str, parts: &[&str]) {
    cluster.write("bad.yml", text);
    for attach in ["--detach", "--attach"] {
        let run = cluster.dora(&["start", attach, "bad.yml"]);
        assert_fails(&run, parts);
        assert_eq!(run.stdout, "", "{run}");
    }
    nothing_runs(cluster);
}

fn nothing_runs(cluster: &Cluster) {
    assert_eq!(
        cluster.json(&["node", "list", "--json"]),
        serde_json::json!([])
    );
    for daemon in ["A", "B"].map(|machine| cluster.daemon(machine)) {
        let (out, err) = (daemon.stdout(), daemon.stderr());
        assert_eq!(out.lines().count(), 1, "no node has printed: {daemon}");
        assert!(
            !err.contains(" runs "),
            "no node has been started: {daemon}"
        );
    }
}

/// The example with something else in one place.
fn with(from: &str, to: &str) -> String {
    let text = endless();
    assert!(text.contains(from), "{text}");
    text.replacen(from, to, 1)
}

#[test]
fn what_a_machine_cannot_run_is_told_with_its_name_and_nothing_runs() {
    let cluster = Cluster::new(&["A", "B"]);
    let sink = plugins::plugin("sink").display().to_string();
    refused(
        &cluster,
        &with("machine: B", "machine: C"),
        &[
            "bad.yml:",
            "node `rust-sink`: machine `C` is not connected; connected: `A` and `B`; start it with `dora daemon \
             --machine-id C`",
        ],
    );
    refused(
        &cluster,
        &with(&format!("'{sink}'"), "plugins/missing"),
        &[
            "machine `B` refuses its nodes",
            "node `rust-sink`: `plugins/missing` was not found; tried",
        ],
    );
    // The output is declared by its node and read on the other machine, but the plugin does not have it.
    let text = with("      - status\n", "      - state\n")
        .replace("rust-status-node/status", "rust-status-node/state");
    refused(
        &cluster,
        &text,
        &[
            "machine `A` refuses its nodes",
            "node `rust-status-node`: unknown output `state`",
            "did you mean `status`?",
        ],
    );
    refused(
        &cluster,
        &with(
            "message: rust-status-node/status",
            "massage: rust-status-node/status",
        ),
        &[
            "machine `B` refuses its nodes",
            "node `rust-sink`: unknown input `massage`",
            "did you mean `message`?",
        ],
    );
    refused(
        &cluster,
        &with(
            "message: rust-status-node/status",
            "message: rust-node/random",
        ),
        &[
            "node `rust-sink`: input `message` takes `Utf8`, but output `rust-node/random` sends `UInt64`",
        ],
    );
    refused(
        &cluster,
        &with(
            "      message: rust-status-node/status\n",
            "      message: rust-status-node/status\n    thread: sender\n",
        ),
        &[
            "node `rust-sink`: `thread: sender` needs its sender in the same process",
            "on machine `B`",
            "on machine `A`",
        ],
    );
    // What the descriptor alone tells needs no machine.
    refused(
        &cluster,
        &with(
            "message: rust-status-node/status",
            "message: rust-status-node/state",
        ),
        &[
            "bad.yml:",
            "unknown output \"state\" of node \"rust-status-node\"; it has: status",
            "nothing was started",
        ],
    );
    // All machines' faults are told at once.
    let text =
        with(&format!("'{sink}'"), "plugins/missing").replace("count: 1000000", "cuont: 1000000");
    refused(
        &cluster,
        &text,
        &[
            "machine `A` refuses its nodes",
            "cuont",
            "machine `B` refuses its nodes",
            "plugins/missing",
        ],
    );
    // They are told afterwards, too.
    let list = cluster.json(&["list", "--json"]);
    let last = list
        .as_array()
        .and_then(|list| list.last())
        .expect("history");
    assert_eq!(last["status"], "not started", "{last:#}");
    let why = last["ended"]["error"].as_str().expect("a reason");
    assert!(
        why.contains("plugins/missing") && why.contains("machine `B`"),
        "{why}"
    );
}

/// The sink with another minor version of the plugin ABI in its record.
fn of_another_abi() -> Vec<u8> {
    let mut bytes = std::fs::read(plugins::plugin("sink")).expect("read");
    let size = (size_of::<Record>() as u32).to_ne_bytes();
    let mark = |window: &[u8]| window[..16] == MAGIC && window[16..] == size;
    let record = bytes.windows(20).position(mark).expect("a record");
    bytes[record + offset_of!(Record, abi.minor)] = 5;
    bytes
}

#[test]
fn a_plugin_for_another_abi_is_refused_by_the_machine_that_has_it() {
    let cluster = Cluster::new(&["A", "B"]);
    let sink = plugins::plugin("sink").display().to_string();
    let old = cluster.write("old/libsink.so", of_another_abi());
    let old = old.display().to_string();
    refused(
        &cluster,
        &with(&sink, &old),
        &[
            "machine `B` refuses its nodes",
            "node `rust-sink`",
            "libsink.so",
            "built for plugin ABI 0.5",
            "this dora speaks 0.7; rebuild it with plugin-abi 0.7",
        ],
    );
    let library = fixtures::path("plain-library").display().to_string();
    refused(
        &cluster,
        &with(&sink, &library),
        &[
            "machine `B` refuses its nodes",
            "node `rust-sink`",
            "plain_library",
        ],
    );
}

#[test]
fn a_node_that_cannot_be_made_undoes_the_start_of_all() {
    let cluster = Cluster::new(&["A", "B"]);
    let failing = format!(
        "\n  - id: failing\n    deploy: {{machine: B}}\n    path: '{}'\n    kind: failing\n    config: {{how: create}}\n    \
         inputs: {{in: rust-node/random}}\n    outputs: [out]\n",
        fixtures::path("flow").display()
    );
    refused(
        &cluster,
        &(endless() + &failing),
        &[
            "nodes could not be made on machine `B`",
            "node `failing`",
            "no picture",
            "the lens is covered",
        ],
    );
}

#[test]
fn without_daemons_nothing_is_started() {
    let cluster = Cluster::new(&[]);
    cluster.write("bad.yml", example());
    let run = cluster.dora(&["start", "--detach", "bad.yml"]);
    assert_fails(
        &run,
        &["no daemon is connected to the coordinator; start one with `dora daemon`"],
    );
    let run = cluster.dora(&["start", "--detach", "missing.yml"]);
    assert_fails(&run, &["missing.yml"]);
}

#[test]
fn paths_are_looked_for_where_the_node_runs_and_every_place_is_named() {
    let cluster = Cluster::new(&["A", "B"]);
    let sink = format!("'{}'", plugins::plugin("sink").display());
    let text = |text: String| text.replace(&sink, "nodes/sink");
    let file = cluster.write("robot/dataflow.yml", text(example()));
    let folder = file.parent().expect("a folder").to_owned();
    let library = plugins::plugin("sink");
    let name = library.file_name().expect("a file");
    // Beside the descriptor, where its folder is there.
    let nodes = folder.join("nodes");
    std::fs::create_dir(&nodes).expect("made");
    std::fs::copy(&library, nodes.join(name)).expect("copied");
    let run = cluster.dora(&["start", "--attach", "--name", "robot", "robot/dataflow.yml"]);
    assert!(run.stdout.contains("sink received message"), "{run}");
    run.success();
    // Where it is not there, as on another computer: in the daemon's own folder. The descriptor is the coordinator's.
    cluster.write("robot/dataflow.yml", text(endless()));
    let uuid = cluster.start("robot/dataflow.yml", &["--name", "robot"]);
    std::fs::rename(&folder, cluster.here().join("gone")).expect("renamed");
    let run = cluster.dora(&["restart", &uuid]);
    let theirs = folder.join("nodes").display().to_string();
    let own = cluster.path().join("B").join("nodes").display().to_string();
    assert_fails(
        &run,
        &[
            "machine `B` refuses its nodes",
            "`nodes/sink` was not found; tried",
            &theirs,
            &own,
        ],
    );
    cluster.until(&["ps", "--json"], |nodes| nodes == &serde_json::json!([]));
    std::fs::create_dir_all(&own).expect("made");
    std::fs::copy(&library, std::path::Path::new(&own).join(name)).expect("copied");
    std::fs::rename(cluster.here().join("gone"), &folder).expect("renamed");
    std::fs::remove_dir_all(&nodes).expect("removed");
    let run = cluster.dora(&["start", "--attach", "robot/dataflow.yml"]);
    assert_fails(&run, &["machine `B` refuses its nodes", &theirs]);
    assert!(
        !run.stderr.contains(&own),
        "the folder is there, so it counts: {run}"
    );
}

#[test]
fn a_node_of_two_machines_that_nobody_has_is_told_for_each() {
    let cluster = Cluster::new(&["A"]);
    cluster.write("bad.yml", example().replace("machine: A", "machine: C"));
    let run = cluster.dora(&["start", "--detach", "bad.yml"]);
    assert_fails(
        &run,
        &[
            "node `rust-node`: machine `C`",
            "node `rust-status-node`: machine `C`",
            "node `rust-sink`: machine `B`",
        ],
    );
    cluster.daemon("A").says("Connected", DEADLINE);
}
