//! Nodes that are processes of their own: the kinds of the fixture as an executable, among plugins.

use crate::harness::{DEADLINE, Ended, GRACE, Live, among_others, descriptor, launch, plan};
use host::descriptor::LogSpec;
use host::engine::{Ending, Plan, PlannedCode};
use host::plugin::info::PluginInfo;
use host::process::child::Launch;
use host::process::native::{AHEAD, Native, NativeSpec, OwnProcess, Spawn};
use host_testing::fixtures;
use plugin_abi::handshake::{ABI, PREFIX, Record, Versions};
use plugin_abi::wire::memory::Pool;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Starts a program as a process of its own.
fn process(program: &Path) -> Arc<dyn Spawn> {
    let folder = std::env::current_dir().expect("a folder");
    Arc::new(OwnProcess {
        launch: Launch::new(program.to_owned(), Vec::new(), folder),
        logs: LogSpec::default(),
    })
}

/// Makes processes of some nodes of a plan.
fn make_processes(plan: &mut Plan, nodes: &[usize], window: u32) {
    make_processes_of(plan, nodes, window, fixtures::executable("flow-node"));
}

fn make_processes_of(plan: &mut Plan, nodes: &[usize], window: u32, program: PathBuf) {
    let pool = Pool::default();
    for node in nodes {
        let code = &mut plan.nodes[*node].code;
        let PlannedCode::Plugin { kind, config, .. } = code else {
            panic!("no plugin");
        };
        let spec = NativeSpec {
            program: program.clone(),
            plugin: String::new(),
            kind: kind.name(),
            config: config.clone(),
            window,
            callback_timeout: None,
            start_timeout: DEADLINE,
        };
        let spawn = process(&program);
        *code = PlannedCode::Outside(Arc::new(Native::new(spec, spawn, pool.clone())));
    }
}

fn start(yaml: &str, nodes: &[usize], window: u32) -> Live {
    let _gate = among_others();
    let descriptor = descriptor(yaml);
    let mut plan = plan(&descriptor);
    make_processes(&mut plan, nodes, window);
    launch(descriptor, &plan)
}

fn run(yaml: &str, nodes: &[usize], window: u32) -> Ended {
    start(yaml, nodes, window).end()
}

/// A source, a node between and a checker, with what is to be put into the source's and the other's place.
fn chain(source: &str, middle: &str) -> String {
    format!(
        "
nodes:
  - id: source
    kind: source
    config: {source}
    inputs: {{tick: dora/timer/millis/1}}
    outputs: [out]
  - id: middle
    {middle}
    inputs: {{in: {{source: source/out, queue_policy: backpressure}}}}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {{in: {{source: middle/out, queue_policy: backpressure}}}}
"
    )
}

#[test]
fn messages_of_all_sizes_pass_through_processes_in_any_place() {
    for (bytes, count) in [(16, 2_000), (40_000, 500), (4 << 20, 20), (40 << 20, 4)] {
        let source = format!("{{count: {count}, burst: 50, bytes: {bytes}}}");
        let yaml = chain(&source, "kind: relay");
        for (nodes, window) in [
            (&[1][..], 1),
            (&[0], AHEAD),
            (&[2], AHEAD),
            (&[0, 1, 2], AHEAD),
        ] {
            let ended = run(&yaml, nodes, window);
            assert_eq!(ended.checked("checker"), (count, 0), "{bytes} {nodes:?}");
            for node in ["source", "middle", "checker"] {
                assert_eq!(
                    ended.node(node).ending,
                    Ending::Finished,
                    "{node} {nodes:?}"
                );
            }
            assert_eq!(ended.node("middle").outputs["out"], count);
        }
    }
}

#[test]
fn what_is_sent_while_it_is_made_comes_first_and_what_nobody_reads_is_counted() {
    let yaml = "
nodes:
  - id: source
    kind: source
    config: {count: 20, in_create: 5}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: source/out, queue_policy: backpressure}}
";
    let ended = run(yaml, &[0], 1);
    assert_eq!(ended.checked("checker"), (20, 0));
    let alone = "
nodes:
  - id: source
    kind: source
    config: {count: 20}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
";
    let ended = run(alone, &[0], 1);
    assert_eq!(ended.node("source").outputs["out"], 20);
}

#[test]
fn it_stops_when_it_is_asked_to() {
    let yaml = chain("{count: 1000000}", "kind: relay");
    let live = start(&yaml, &[0, 1, 2], AHEAD);
    let tap = live.probe.tap("middle", "out", 10).expect("an output");
    let first = tap.messages.recv_timeout(crate::harness::DEADLINE);
    first.expect("a message");
    live.stop(GRACE);
    let ended = live.end();
    for node in ["source", "middle", "checker"] {
        assert_eq!(ended.node(node).ending, Ending::Stopped, "{node}");
    }
}

#[test]
fn failures_read_as_those_of_a_plugin_and_say_where() {
    for (config, expected) in [
        ("{how: error}", "failed: no picture: the lens is covered"),
        ("{how: reported}", "failed: no picture: the lens is covered"),
        (
            "{how: create}",
            "not created: no picture: the lens is covered",
        ),
        ("{how: panic}", "failed: panicked at "),
        ("{how: exit}", "a node must not call exit"),
    ] {
        let middle = format!("kind: failing\n    config: {config}");
        let ended = run(&chain("{count: 100}", &middle), &[1], 1);
        let ending = ended.endings()[1].clone();
        assert!(ending.contains(expected), "{config}: {ending}");
        if config.contains("panic") {
            assert!(ending.contains("failing.rs:"), "{ending}");
            assert!(ending.contains(": no picture at message 1"), "{ending}");
        }
    }
}

#[test]
fn a_crash_ends_the_node_alone_and_names_the_callback() {
    let yaml = chain(
        "{count: 100}",
        "kind: failing\n    config: {how: abort, at: 3}",
    );
    let ended = run(&yaml, &[1], 1);
    let ending = ended.endings()[1].clone();
    assert!(ending.contains("its process ended with"), "{ending}");
    assert!(
        ending.contains("in its callback for input `in`"),
        "{ending}"
    );
    assert_eq!(ended.checked("checker").0, 2);
}

#[test]
fn one_that_has_crashed_is_made_again() {
    let middle =
        "kind: failing\n    config: {how: abort, at: 3, times: 1}\n    restart_policy: on-failure";
    let ended = run(&chain("{count: 100}", middle), &[1], 1);
    assert_eq!(ended.node("middle").restarts, 1);
    assert_eq!(ended.node("middle").ending, Ending::Finished);
    assert_eq!(ended.log.matching("middle", "restart_count 1").len(), 1);
}

#[test]
fn one_that_does_not_stop_is_ended_by_force() {
    let folder = host_testing::fresh_dir();
    let until = folder.path().join("never");
    let middle = format!(
        "kind: stubborn\n    config: {{until: '{}'}}",
        until.display()
    );
    let live = start(&chain("{count: 100}", &middle), &[1], 1);
    live.log.wait_for("middle", "blocks", 1);
    live.stop(Duration::from_millis(300));
    let ended = live.end();
    assert_eq!(ended.node("middle").ending, Ending::Stuck);
}

#[test]
fn threads_of_its_own_send_and_speak() {
    let yaml = "
nodes:
  - id: source
    kind: own-thread
    config: {count: 50}
    outputs: [out]
  - id: checker
    kind: checker
    inputs: {in: {source: source/out, queue_policy: backpressure}}
";
    let ended = run(yaml, &[0], 1);
    assert_eq!(
        ended.node("source").ending,
        Ending::Finished,
        "{:?}",
        ended.log.all()
    );
    assert_eq!(ended.checked("checker").0, 50);
}

/// How a chain ends whose middle is this program.
fn with_program(program: PathBuf) -> String {
    let _gate = among_others();
    let descriptor = descriptor(&chain("{count: 1}", "kind: relay"));
    let mut plan = plan(&descriptor);
    make_processes_of(&mut plan, &[1], 1, program);
    launch(descriptor, &plan).end().endings()[1].clone()
}

#[test]
fn what_is_no_node_is_refused() {
    let ending = with_program(fixtures::executable("node-executable"));
    let expected = "middle: not created: its process ended with";
    assert!(ending.starts_with(expected), "{ending}");
}

#[test]
fn an_executable_of_another_version_is_refused_with_both_versions() {
    let mut bytes = std::fs::read(fixtures::executable("flow-node")).expect("a file");
    // Where the record is, not where the code has its mark.
    let records = (0..bytes.len() - PREFIX).filter(|at| {
        let prefix = bytes.get(*at..).unwrap_or_default();
        Versions::read(prefix).is_some_and(|versions| versions.abi == ABI)
    });
    let records: Vec<usize> = records.collect();
    assert!(!records.is_empty());
    let format = std::mem::offset_of!(Record, message_format.minor);
    for record in records {
        bytes[record + format..][..2].copy_from_slice(&5_u16.to_ne_bytes());
    }
    let folder = host_testing::fresh_dir();
    let program = folder.path().join("old-node.exe");
    // A file cannot be run while somebody has it open for writing, as have, for a moment, the processes that this one
    // starts meanwhile: another one makes it.
    let made = folder.path().join("bytes");
    std::fs::write(&made, bytes).expect("a fresh folder can be written");
    if cfg!(unix) {
        let mut copy = std::process::Command::new("cp");
        let copied = copy.args([&made, &program]).status();
        assert!(copied.expect("it runs").success());
    } else {
        std::fs::copy(&made, &program).expect("a fresh folder can be written");
    }
    let permissions = std::fs::metadata(fixtures::executable("flow-node")).expect("a file");
    std::fs::set_permissions(&program, permissions.permissions()).expect("our own file");
    let ending = with_program(program);
    let expected = "old-node.exe: version mismatch: message format v0.5.0 is not compatible with expected message format v0.7.0; rebuild it with plugin-abi 0.7";
    assert!(ending.ends_with(expected), "{ending}");
}

#[test]
fn an_instance_that_fails_takes_no_more_than_the_message_it_failed_on() {
    let source = "{count: 60, burst: 20}";
    for (how, lost) in [("error", 3), ("panic", 3), ("reported", 0), ("abort", 3)] {
        let middle = format!(
            "kind: failing\n    config: {{how: {how}, at: 10, times: 3}}\n    restart_policy: on-failure"
        );
        let ended = run(&chain(source, &middle), &[1], 1);
        assert_eq!(ended.node("middle").restarts, 3, "{how}");
        assert_eq!(ended.checked("checker"), (60 - lost, lost), "{how}");
    }
}

#[test]
fn an_executable_declares_what_its_plugin_declares() {
    let described = Command::new(fixtures::executable("flow-node"))
        .arg(plugin_abi::executable::DESCRIBE)
        .output()
        .expect("it runs");
    let described: PluginInfo = serde_json::from_slice(&described.stdout).expect("its own form");
    let plugin = crate::harness::flow_info();
    assert_eq!(described, plugin);
}
