//! Messages between plugins and dora nodes, and between dora nodes of different generations.

use crate::flow::{Is, processes, start, start_in};
use crate::python::Python;
use crate::{RELEASES, each};
use ::host::process::dora::sniff::Versions;

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
        host_testing::skipped("no PyPI");
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

#[test]
fn readers_with_backpressure_lose_nothing_and_hold_nobody_else_up() {
    // As many as it can, and it says when it is through.
    const FAST: &str = r#"
import pyarrow as pa
from dora import Node
node = Node()
for number in range(400):
    node.send_output("out", pa.array([1, number], type=pa.uint64()))
print("all sent")
"#;
    let yaml = "
nodes:
  - id: fast
    outputs: [out]
  - id: slow
    kind: slow
    config: {micros: 5000}
    inputs: {in: {source: fast/out, queue_policy: backpressure, queue_size: 2}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: slow/out, queue_size: 1000}}
  - id: other-source
    kind: source
    config: {count: 50}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
  - id: py
    inputs: {in: {source: other-source/out, queue_size: 1000}}
    outputs: [out]
  - id: other-checker
    kind: checker
    inputs: {in: {source: py/out, queue_size: 1000}}
";
    each(|python, format| {
        let dora = [
            ("fast", Is::Script(python, FAST)),
            ("py", Is::Script(python, RELAY)),
        ];
        let flow = start(yaml, &dora);
        let others = flow.log.wait("other-checker", "received", 1);
        assert_eq!(others, "received 50 missing 0", "{format}");
        let through = flow
            .log
            .of("checker")
            .iter()
            .any(|line| line.starts_with("received"));
        assert!(!through, "{format}: the slow one was faster");
        let ended = flow.end();
        ended.is_well();
        assert_eq!(ended.checked("checker"), (400, 0), "{format}");
    });
}

#[test]
fn a_slow_dora_node_with_backpressure_loses_nothing() {
    const SLOW: &str = r#"
import time
from dora import Node
node = Node()
for event in node:
    if event["type"] == "INPUT":
        time.sleep(0.002)
        node.send_output("out", event["value"], event["metadata"])
"#;
    let yaml = "
nodes:
  - id: source
    kind: source
    config: {count: 500, burst: 50}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
  - id: py
    inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 2}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: py/out, queue_size: 1000}}
";
    each(|python, format| {
        let ended = start(yaml, &[("py", Is::Script(python, SLOW))]).end();
        ended.is_well();
        assert_eq!(ended.checked("checker"), (500, 0), "{format}");
    });
}

#[test]
fn what_a_node_prints_is_logged_and_sent() {
    const PRINTING: &str = r#"
import sys
import pyarrow as pa
from dora import Node
node = Node()
print("on stdout")
print("on stderr", file=sys.stderr)
print('{"level": "warn", "message": "taken apart", "target": "x"}')
node.send_output("out", pa.array([1]))
"#;
    let yaml = "
nodes:
  - id: py
    outputs: [out]
    send_stdout_as: lines
  - id: checker
    kind: checker
    inputs: {in: {source: py/lines, queue_size: 1000}}
";
    each(|python, format| {
        let ended = start(yaml, &[("py", Is::Script(python, PRINTING))]).end();
        ended.is_well();
        let said = ended.log.of("py");
        for line in ["on stdout", "on stderr", "taken apart"] {
            assert!(said.iter().any(|it| it == line), "{format}: {said:#?}");
        }
        assert!(ended.node("checker").received >= 2, "{format}");
    });
}

#[test]
fn nodes_of_one_generation_may_hand_each_other_messages() {
    const COUNT: usize = 200;
    // Small and large ones in turns, which are handed over in different ways. The nodes' sessions may drop some.
    const SENDING: &str = r#"
import time
import pyarrow as pa
from dora import Node
node = Node()
for number in range(200):
    values = [0, number] + [0] * (1000 if number % 2 else 0)
    node.send_output("out", pa.array(values, type=pa.uint64()))
    time.sleep(0.002)
"#;
    const READING: &str = r#"
from dora import Node
node = Node()
numbers = []
for event in node:
    if event["type"] == "INPUT":
        numbers.append(event["value"][1].as_py())
print("in order", all(a < b for a, b in zip(numbers, numbers[1:])), "most", len(numbers) > 100)
"#;
    let yaml = "
nodes:
  - id: one
    outputs: [out]
  - id: two
    inputs: {in: {source: one/out, queue_size: 1000}}
  - id: three
    inputs: {in: {source: one/out, queue_size: 1000}}
";
    each(|python, format| {
        let dora = [
            ("one", Is::Script(python, SENDING)),
            ("two", Is::Script(python, READING)),
            ("three", Is::Script(python, READING)),
        ];
        let ended = start_in(processes(Versions::All), yaml, &dora, true).end();
        ended.is_well();
        for reader in ["two", "three"] {
            let said = ended.log.of(reader);
            assert!(
                said.iter().any(|it| it == "in order True most True"),
                "{format}: {said:#?}"
            );
            assert_eq!(ended.node(reader).received, COUNT as u64, "{format}");
        }
        assert_eq!(ended.node("one").outputs["out"], COUNT as u64, "{format}");
    });
}
