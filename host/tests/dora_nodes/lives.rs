//! How dora nodes of a dataflow begin, are refused, and end.

use crate::each;
use crate::flow::{GRACE, Is, processes, start, start_in};
use crate::flows::RELAY;
use ::host::engine::Ending;
use ::host::process::dora::sniff::Versions;
use std::time::{Duration, Instant};

const PAIR: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
  - id: py
    inputs: {in: source/out}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: py/out}
";

/// Says its process id at the first message, and passes messages on.
const NAMED: &str = r#"
import os
from dora import Node
node = Node()
said = False
for event in node:
    if event["type"] == "INPUT":
        if not said:
            print("pid", os.getpid())
            said = True
        node.send_output("out", event["value"], event["metadata"])
    else:
        print("event", event["type"])
print("the end")
"#;

#[test]
fn a_stop_reaches_the_node() {
    each(|python, format| {
        let flow = start(PAIR, &[("py", Is::Script(python, NAMED))]);
        flow.log.wait("py", "pid", 1);
        let began = Instant::now();
        flow.stop(GRACE);
        let ended = flow.end();
        assert!(began.elapsed() < GRACE, "{format}");
        ended.is_well();
        assert_eq!(ended.node("py").ending, Ending::Stopped);
        let said = ended.log.of("py");
        for line in ["event STOP", "the end"] {
            assert!(said.iter().any(|it| it == line), "{format}: {said:#?}");
        }
    });
}

#[test]
fn a_node_that_ignores_the_stop_is_ended_by_force() {
    const DEAF: &str = r#"
import os, time
from dora import Node
node = Node()
print("pid", os.getpid())
while True:
    time.sleep(1)
"#;
    each(|python, format| {
        let flow = start(PAIR, &[("py", Is::Script(python, DEAF))]);
        let pid = pid(&flow.log.wait("py", "pid", 1));
        flow.stop(Duration::from_millis(300));
        let ended = flow.end();
        assert_eq!(ended.node("py").ending, Ending::Stuck, "{format}");
        gone(pid);
    });
}

#[test]
fn other_versions_are_refused_when_only_one_is_wanted() {
    each(|python, format| {
        let flow = start_in(
            processes(Versions::Strict),
            PAIR,
            &[("py", Is::Script(python, NAMED))],
            false,
        );
        if format.starts_with("0.7") {
            flow.log.wait("py", "pid", 1);
            flow.stop(GRACE);
            flow.end().is_well();
            return;
        }
        let text = format!(
            "version mismatch: message format v{format} is not compatible with expected message format v0.7.0"
        );
        let ended = flow.end();
        let Ending::NotCreated(failure) = &ended.node("py").ending else {
            panic!("{format}: {:#?}", ended.endings());
        };
        assert_eq!(failure.text, text);
        // By the node itself, and by the runtime.
        let said = ended.log.of("py");
        assert!(
            said.iter().filter(|line| line.contains(&text)).count() >= 2,
            "{format}: {said:#?}"
        );
    });
}

#[test]
fn a_node_that_is_killed_has_failed_and_its_readers_are_told() {
    each(|python, format| {
        let flow = start(PAIR, &[("py", Is::Script(python, NAMED))]);
        let pid = pid(&flow.log.wait("py", "pid", 1));
        kill(pid);
        flow.log.wait("checker", "closed in", 1);
        flow.stop(GRACE);
        let ended = flow.end();
        let Ending::Failed { failure, .. } = &ended.node("py").ending else {
            panic!("{format}: {:#?}", ended.endings());
        };
        if cfg!(unix) {
            assert_eq!(failure.text, "its process ended with SIGKILL");
        }
        assert_eq!(ended.node("checker").ending, Ending::Finished);
    });
}

#[test]
fn a_node_that_fails_says_why_and_is_started_again() {
    const FAILING: &str = r#"
import os
from dora import Node
node = Node()
for event in node:
    if event["type"] == "INPUT":
        print("pid", os.getpid())
        node.send_output("out", event["value"], event["metadata"])
        raise RuntimeError("it is broken")
"#;
    let yaml = PAIR.replace(
        "outputs: [out]\n  - id: checker",
        "outputs: [out]\n    restart_policy: on-failure\n    max_restarts: 2\n  - id: checker",
    );
    each(|python, format| {
        let flow = start(&yaml, &[("py", Is::Script(python, FAILING))]);
        flow.log.wait("checker", "closed in", 1);
        flow.stop(GRACE);
        let ended = flow.end();
        let py = ended.node("py");
        let Ending::Failed { failure, .. } = &py.ending else {
            panic!("{format}: {:#?}", ended.endings());
        };
        assert!(
            failure.to_string().contains("RuntimeError: it is broken"),
            "{failure}"
        );
        assert_eq!(failure.text, "its process ended with exit code 1");
        assert_eq!(py.restarts, 2, "{format}");
        // What each instance has sent has arrived.
        assert_eq!(py.outputs["out"], 3, "{format}");
        assert_eq!(ended.node("checker").received, 3, "{format}");
    });
}

#[test]
fn a_program_that_is_no_dora_node_is_told_from_one() {
    each(|python, _| {
        for (script, expected) in [
            ("print('x')", "exited before initializing dora"),
            (
                "import sys; sys.exit('no camera')",
                "exited before initializing dora: its process ended with exit code 1",
            ),
        ] {
            let ended = start(PAIR, &[("py", Is::Script(python, script))]).end();
            let Ending::NotCreated(failure) = &ended.node("py").ending else {
                panic!("{:#?}", ended.endings());
            };
            assert!(failure.text.starts_with(expected), "{failure}");
        }
    });
}

#[test]
fn a_start_that_fails_ends_the_nodes_that_have_connected() {
    let yaml = "
nodes:
  - id: py
    outputs: [out]
  - id: bad
    inputs: {in: py/out}
";
    each(|python, format| {
        let late = "import time; time.sleep(1); raise SystemExit('no camera')";
        let dora = [
            ("py", Is::Script(python, RELAY)),
            ("bad", Is::Script(python, late)),
        ];
        let ended = start(yaml, &dora).end();
        assert!(
            matches!(ended.node("bad").ending, Ending::NotCreated(_)),
            "{format}: {:#?}",
            ended.endings()
        );
        assert_eq!(ended.node("py").ending, Ending::Stopped, "{format}");
    });
}

#[test]
fn a_dynamic_node_comes_and_goes() {
    const DYNAMIC: &str = r#"
from dora import Node
node = Node("py")
count = 0
for event in node:
    if event["type"] == "INPUT":
        node.send_output("out", event["value"], event["metadata"])
        count += 1
        if count == 5:
            break
print("the end")
"#;
    // The releases look at one port and no other.
    let _port = crate::life::dynamic_port();
    each(|python, format| {
        let flow = start(PAIR, &[("py", Is::Dynamic)]);
        let folder = host_testing::fresh_dir();
        let running = python.start_alone(folder.path(), DYNAMIC);
        let output = running.ended(Duration::from_secs(60)).expect("it ends");
        assert!(output.status.success(), "{format}: {output:?}");
        flow.log.wait("checker", "closed in", 1);
        flow.stop(GRACE);
        let ended = flow.end();
        ended.is_well();
        assert_eq!(ended.node("checker").received, 5, "{format}");
    });
}

#[test]
fn a_dynamic_node_that_never_comes_holds_nobody_up() {
    let yaml = "
nodes:
  - id: source
    kind: source
    config: {count: 10}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
  - id: py
    inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 1}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: py/out}
";
    let _port = crate::life::dynamic_port();
    // Nobody reads what would be its first message.
    let alone = "
nodes:
  - id: source
    kind: source
    config: {count: 10}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
  - id: py
    outputs: [out]
";
    for yaml in [yaml, alone] {
        start(yaml, &[("py", Is::Dynamic)]).end().is_well();
    }
}

pub fn pid(line: &str) -> u32 {
    let number = line.strip_prefix("pid ").expect("a line of the node");
    number.parse().expect("a number")
}

pub fn kill(pid: u32) {
    let pid = pid.to_string();
    let (program, args) = match cfg!(windows) {
        true => ("taskkill", vec!["/F", "/PID", &pid]),
        false => ("kill", vec!["-s", "KILL", &pid]),
    };
    let status = std::process::Command::new(program).args(args).status();
    assert!(status.expect("a system with processes").success());
}

/// Waits until there is no such process.
fn gone(pid: u32) {
    if cfg!(target_os = "linux") {
        let there = || std::path::Path::new(&format!("/proc/{pid}")).exists();
        let end = Instant::now() + Duration::from_secs(30);
        while there() {
            assert!(Instant::now() < end, "process {pid} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
