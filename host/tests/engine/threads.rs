//! On which threads nodes run.

use crate::harness::{Ended, run, start};
use std::collections::BTreeSet;

/// The threads that a node's callbacks ran on.
fn threads(ended: &Ended, node: &str) -> BTreeSet<String> {
    let lines = ended.log.matching(node, " on ThreadId");
    let words = lines.iter().filter_map(|line| line.split(' ').nth(2));
    words.map(str::to_owned).collect()
}

fn thread(ended: &Ended, node: &str) -> String {
    let threads = threads(ended, node);
    assert_eq!(threads.len(), 1, "{node}: {threads:?}");
    threads.into_iter().next().expect("one")
}

#[test]
fn threads_are_own_shared_by_name_or_the_senders() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 10}
            inputs: {tick: dora/timer/millis/1}
          - id: own
            kind: inspect
            inputs: {in: source/out}
          - id: another
            kind: inspect
            thread: own
            inputs: {in: own/out}
          - id: left
            kind: inspect
            thread: hands
            inputs: {in: own/out}
          - id: right
            kind: inspect
            thread: hands
            inputs: {in: left/out}
          - id: inline
            kind: inspect
            thread: sender
            inputs: {in: own/out}
          - id: inline-again
            kind: inspect
            thread: sender
            inputs: {in: inline/out}
    ");
    let of = |node| thread(&ended, node);
    assert_eq!(of("left"), of("right"));
    assert_eq!(of("own"), of("inline"));
    assert_eq!(of("own"), of("inline-again"));
    let different: BTreeSet<_> = ["own", "another", "left"].map(of).into();
    assert_eq!(different.len(), 3);
    assert_eq!(ended.node("inline-again").received, 10);
    assert_eq!(ended.report.failures().count(), 0);
}

#[test]
fn what_a_thread_of_the_senders_own_sends_is_queued_to_the_callbacks_thread() {
    let ended = run("
        nodes:
          - id: sender
            kind: own-thread
            config: {count: 50, micros: 100}
          - id: inline
            kind: inspect
            thread: sender
            inputs: {in: {source: sender/out, queue_size: 50}}
          - id: checker
            kind: checker
            thread: sender
            inputs: {in: {source: inline/out, queue_size: 50}}
    ");
    // Its callbacks are on one thread, that which made it, although the messages come from another.
    assert_eq!(threads(&ended, "inline").len(), 1);
    assert_eq!(ended.log.matching("inline", "on_input").len(), 50);
    assert_eq!(ended.checked("checker"), (50, 0));
}

#[test]
fn a_node_that_fails_inline_leaves_its_sender_alone() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 20}
            inputs: {tick: dora/timer/millis/1}
          - id: inline
            kind: failing
            thread: sender
            config: {how: panic, at: 3, times: 2}
            restart_policy: on-failure
            inputs: {in: {source: source/out, queue_size: 20}}
          - id: checker
            kind: checker
            thread: sender
            inputs: {in: {source: inline/out, queue_size: 20}}
    ");
    assert_eq!(ended.endings()[0], "source: finished");
    assert_eq!(ended.node("inline").restarts, 2);
    assert_eq!(
        ended.checked("checker"),
        (18, 2),
        "but for those that it failed on"
    );
}

#[test]
fn a_hundred_nodes_share_a_thread() {
    let mut yaml = String::from(
        "
        nodes:
          - id: node-0
            kind: source
            thread: all
            config: {count: 50}
            inputs: {tick: dora/timer/millis/1}
",
    );
    for i in 1..100 {
        let before = i - 1;
        yaml.push_str(&format!(
            "
          - id: node-{i}
            kind: relay
            thread: all
            inputs: {{in: {{source: node-{before}/out, queue_size: 50}}}}
"
        ));
    }
    yaml.push_str(
        "
          - id: checker
            kind: checker
            thread: all
            inputs: {in: {source: node-99/out, queue_size: 50}}
",
    );
    assert_eq!(run(&yaml).checked("checker"), (50, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn threads_keep_to_their_cores() {
    let ended = run("
        nodes:
          - id: pinned
            kind: inspect
            cpu_affinity: [0]
            inputs: {tick: dora/timer/millis/1}
            restart_policy: never
          - id: ender
            kind: failing
            config: {how: done}
            inputs: {in: pinned/out}
        exit_when_nodes_finish: true
    ");
    let lines = ended.log.matching("pinned", " cores ");
    assert!(lines.len() >= 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line.ends_with(" cores 0")),
        "{lines:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn cores_that_the_machine_lacks_are_reported() {
    let live = start(
        "
        nodes:
          - id: pinned
            kind: own-thread
            cpu_affinity: [1000]
    ",
    );
    let ended = live.end();
    assert_eq!(ended.endings(), ["pinned: finished"]);
    assert_eq!(
        ended
            .log
            .matching("pinned", "cpu_affinity has no effect")
            .len(),
        1
    );
}
