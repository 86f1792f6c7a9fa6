//! What nodes of dora 1.x are told of the nodes that they read.

use crate::dataflow::{Ended, Running};
use crate::place::{Place, python};
use host_testing::{fixtures, fresh_dir};

/// Says what it is told.
const LISTENS: &str = r#"
from dora import Node
node = Node()
for event in node:
    kind = event["type"]
    if kind == "NODE_FAILED":
        value = event["value"]
        print("failed", value["source_node_id"], value["affected_input_ids"], value["error"])
    elif kind != "INPUT":
        print("told", kind, event["id"])
"#;

/// A node that fails as `keys` say, and a node of this release that reads it.
fn listens(release: &'static str, keys: &str) -> Option<Ended> {
    if !Place::Dora(release).is_there() {
        return None;
    }
    let venv = python(release).expect("just looked for");
    let folder = fresh_dir();
    std::fs::write(folder.path().join("listens.py"), LISTENS).expect("written");
    let flow = fixtures::path("flow");
    let (flow, venv) = (flow.display(), venv.folder().display());
    let text = format!(
        "nodes:\n  - id: source\n    path: '{flow}'\n    kind: source\n    config: {{count: 20}}\n    inputs: {{tick: \
         dora/timer/millis/20}}\n    outputs: [out]\n  - id: fails\n    path: '{flow}'\n    kind: failing\n{keys}    inputs: \
         {{in: source/out}}\n    outputs: [out]\n  - id: listener\n    path: listens.py\n    env: {{VIRTUAL_ENV: \
         '{venv}'}}\n    inputs: {{first: fails/out, other: source/out, second: fails/out}}\n"
    );
    Some(Running::in_folder(folder, &text, &[]).end())
}

#[test]
fn a_node_that_fails_is_told_to_its_readers() {
    let keys = "    config: {how: error, at: 3}\n";
    let Some(ended) = listens("1.1.0", keys) else {
        return;
    };
    let ended = ended
        .exits(1)
        .says("listener: failed fails ['first', 'second'] failed: no picture: the lens is covered")
        .says("listener: told INPUT_CLOSED first");
    let said = &ended.run().stdout;
    let place = |text: &str| said.find(text).expect("it is there");
    assert!(
        place("failed fails") < place("INPUT_CLOSED first"),
        "{said}"
    );
}

#[test]
fn a_node_that_begins_again_is_told_to_its_readers() {
    let keys = "    config: {how: error, at: 3, times: 1}\n    restart_policy: on-failure\n";
    let Some(ended) = listens("1.1.0", keys) else {
        return;
    };
    ended.exits(0).says("listener: told NODE_RESTARTED fails");
}

#[test]
fn nodes_before_1_0_hear_nothing_of_it() {
    let keys = "    config: {how: error, at: 3}\n";
    let Some(ended) = listens("0.4.1", keys) else {
        return;
    };
    let ended = ended.exits(1).says("listener: told INPUT_CLOSED first");
    assert!(
        !ended.run().stdout.contains("failed fails"),
        "{}",
        ended.run()
    );
}
