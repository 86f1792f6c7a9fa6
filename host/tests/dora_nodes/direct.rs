//! 1.x nodes that hand each other messages past the runtime: how that begins, and how such nodes end.
//!
//! Nodes ask each other for half a second whether they are heard, and else send through the runtime: on a machine that is
//! busy either may be. What is said here holds for both, and one test waits for a dataflow that goes past.

use crate::flow::{Flow, GRACE, Is, processes, start_in};
use crate::python::Python;
use crate::{lives, skipped};
use ::host::engine::Ending;
use ::host::process::dora::sniff::Versions;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ONE_TO_TWO: &str = "
nodes:
  - id: one
    outputs: [out]
  - id: two
    inputs: {in: {source: one/out, queue_size: 100}}
  - id: three
    inputs: {in: {source: one/out, queue_size: 100}}
";

/// Sends until it is told to stop, small and large ones in turns.
const SENDING: &str = r#"
import os, time
import pyarrow as pa
from dora import Node
node = Node()
print("pid", os.getpid())
small, large = pa.array([1], type=pa.uint8()), pa.array(bytes(100_000), type=pa.uint8())
number = 0
while True:
    event = node.next(timeout=0.001)
    if event is not None and event["type"] == "STOP":
        break
    node.send_output("out", large if number % 2 else small, {"number": number})
    number += 1
    if number == 20:
        print("under way")
print("the end")
"#;

/// Says what it has received of each length, and how it has ended.
const READING: &str = r#"
import os
from dora import Node
node = Node()
print("pid", os.getpid())
last, lengths = -1, set()
for event in node:
    if event["type"] == "INPUT":
        number = event["metadata"]["number"]
        if number <= last:
            print("out of order", last, number)
        last = number
        if len(event["value"]) not in lengths:
            lengths.add(len(event["value"]))
            if len(lengths) == 2:
                print("has both")
    else:
        print("event", event["type"])
print("the end")
"#;

fn python() -> Option<Python> {
    let python = Python::with_dora("1.1.0");
    python
        .map_err(|reason| skipped(&format!("no PyPI: {reason}")))
        .ok()
}

fn start(python: &Python) -> Flow {
    let dora = [
        ("one", Is::Script(python, SENDING)),
        ("two", Is::Script(python, READING)),
        ("three", Is::Script(python, READING)),
    ];
    let flow = start_in(processes(Versions::All), ONE_TO_TWO, &dora, true);
    flow.log.wait("one", "under way", 1);
    for reader in ["two", "three"] {
        flow.log.wait(reader, "has both", 1);
    }
    flow
}

fn pid_of(flow: &Flow, node: &str) -> u32 {
    lives::pid(&flow.log.wait(node, "pid", 1))
}

/// The shared memory that the session of a process has.
fn memory_of(pid: u32) -> BTreeSet<PathBuf> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mapped = maps.split_whitespace().map(Path::new);
    let of_session = |file: &&Path| file.starts_with("/dev/shm") && file.exists();
    mapped.filter(of_session).map(Path::to_owned).collect()
}

/// Waits until that is gone.
fn is_gone(memory: &BTreeSet<PathBuf>) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Some(left) = memory.iter().find(|file| file.exists()) {
        assert!(Instant::now() < end, "{} is left", left.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn messages_go_past_the_runtime_and_are_counted() {
    let Some(python) = python() else { return };
    // A few times, for nodes that do not find each other in time.
    let went_past = (0..5).any(|_| {
        let flow = start(&python);
        let tapped = flow.probe.tap("one", "out", 1).expect("an output");
        flow.stop(GRACE);
        let ended = flow.end();
        ended.is_well();
        if tapped.messages.try_recv().is_ok() {
            return false;
        }
        // The runtime has seen none since somebody looked on.
        let sent = ended.node("one").outputs["out"];
        assert!(sent >= 20, "{sent}");
        for reader in ["two", "three"] {
            assert_eq!(ended.node(reader).received, sent, "{reader}");
        }
        true
    });
    assert!(went_past, "all messages went through the runtime");
}

#[test]
fn a_stop_ends_them_in_order() {
    let Some(python) = python() else { return };
    let flow = start(&python);
    let memory = memory_of(pid_of(&flow, "one"));
    flow.stop(GRACE);
    let ended = flow.end();
    ended.is_well();
    for node in ["one", "two", "three"] {
        assert_eq!(ended.node(node).ending, Ending::Stopped, "{node}");
        let said = ended.log.of(node);
        assert!(said.iter().any(|line| line == "the end"), "{said:#?}");
        assert!(!said.iter().any(|line| line.contains("order")), "{said:#?}");
    }
    is_gone(&memory);
}

#[test]
fn readers_of_one_that_is_killed_are_told() {
    let Some(python) = python() else { return };
    let flow = start(&python);
    let pid = pid_of(&flow, "one");
    let memory = memory_of(pid);
    lives::kill(pid);
    let ended = flow.end();
    assert!(
        matches!(ended.node("one").ending, Ending::Failed { .. }),
        "{:#?}",
        ended.endings()
    );
    for reader in ["two", "three"] {
        assert_eq!(ended.node(reader).ending, Ending::Finished, "{reader}");
        let said = ended.log.of(reader);
        for line in ["event INPUT_CLOSED", "the end"] {
            assert!(said.iter().any(|it| it == line), "{said:#?}");
        }
    }
    is_gone(&memory);
}

#[test]
fn one_that_reads_and_is_killed_holds_nobody_up() {
    let Some(python) = python() else { return };
    let flow = start(&python);
    let pid = pid_of(&flow, "two");
    let memory = memory_of(pid);
    lives::kill(pid);
    flow.log.wait("two", "SIGKILL", 1);
    flow.stop(GRACE);
    let ended = flow.end();
    assert!(
        matches!(ended.node("two").ending, Ending::Failed { .. }),
        "{:#?}",
        ended.endings()
    );
    for node in ["one", "three"] {
        assert_eq!(ended.node(node).ending, Ending::Stopped, "{node}");
    }
    is_gone(&memory);
}
