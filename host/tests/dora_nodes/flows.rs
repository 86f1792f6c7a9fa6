//! Messages between plugins and dora nodes, and between dora nodes of different generations.

use crate::flow::{Is, start};
use crate::python::Python;
use crate::{RELEASES, each};

/// Passes messages on.
pub const RELAY: &str = r#"
from dora import Node
node = Node()
for event in node:
    if event["type"] == "INPUT":
        node.send_output("out", event["value"], event["metadata"])
    else:
        print("event", event["type"])
print("the end")
"#;

#[test]
fn messages_go_from_a_plugin_through_a_dora_node_to_a_plugin() {
    let yaml = "
nodes:
  - id: source
    kind: source
    config: {count: 300, burst: 3}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
  - id: py
    inputs: {in: {source: source/out, queue_size: 1000}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: py/out, queue_size: 1000}}
";
    each(|python, format| {
        let ended = start(yaml, &[("py", Is::Script(python, RELAY))]).end();
        ended.is_well();
        assert_eq!(ended.checked("checker"), (300, 0), "{format}");
        let said = ended.log.of("py");
        for line in ["event INPUT_CLOSED", "the end"] {
            assert!(said.iter().any(|it| it == line), "{format}: {said:#?}");
        }
    });
}

#[test]
fn nodes_of_all_generations_are_mixed_in_one_dataflow() {
    let pythons: Vec<_> = RELEASES
        .iter()
        .filter_map(|(release, _)| Python::with_dora(release).ok())
        .collect();
    let [one, two, three] = pythons.as_slice() else {
        eprintln!("skipped: no PyPI");
        return;
    };
    // Large enough for shared memory where a generation has it.
    let yaml = "
nodes:
  - id: source
    kind: source
    config: {count: 60, bytes: 8000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
  - id: a
    inputs: {in: {source: source/out, queue_size: 100}}
    outputs: [out]
  - id: b
    inputs: {in: {source: a/out, queue_size: 100}}
    outputs: [out]
  - id: c
    inputs: {in: {source: b/out, queue_size: 100}}
    outputs: [out]
  - id: d
    inputs: {in: {source: c/out, queue_size: 100}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: d/out, queue_size: 100}}
";
    let script = |python| Is::Script(python, RELAY);
    let dora = [
        ("a", script(one)),
        ("b", script(two)),
        ("c", script(three)),
        ("d", script(one)),
    ];
    let ended = start(yaml, &dora).end();
    ended.is_well();
    assert_eq!(ended.checked("checker"), (60, 0));
}
