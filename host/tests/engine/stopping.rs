//! Stops: asked for, refused, cut short.

use crate::harness::{GRACE, run, start};
use host::engine::Command;
use host_testing::fresh_dir;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_stop_reaches_every_node() {
    let live = start(
        "
        nodes:
          - id: source
            kind: source
            config: {count: 1000000000}
            inputs: {tick: dora/timer/millis/1}
          - id: thread
            kind: own-thread
            config: {count: 1000000000, micros: 100}
          - id: inspect
            kind: inspect
            inputs: {one: source/out, two: thread/out}
          - id: inline
            kind: inspect
            thread: sender
            inputs: {in: inspect/out}
    ",
    );
    live.log.wait_for("inline", "on_input", 10);
    live.stop(GRACE);
    let ended = live.end();
    let stopped = |node: &str| format!("{node}: stopped");
    assert_eq!(
        ended.endings(),
        ["source", "thread", "inspect", "inline"].map(stopped)
    );
    assert_eq!(ended.report.failures().count(), 0);
    let last = ended.log.matching("inline", " on ThreadId");
    assert!(last[last.len() - 2].starts_with("on_stop"), "{last:?}");
    assert!(last[last.len() - 1].starts_with("drop"), "{last:?}");
}

fn stubborn(file: &Path) -> String {
    format!(
        "
        nodes:
          - id: willing
            kind: relay
            inputs: {{tick: dora/timer/millis/1}}
          - id: stubborn
            kind: stubborn
            config: {{until: '{}'}}
            inputs: {{in: willing/out}}
          - id: reader
            kind: checker
            inputs: {{in: stubborn/out}}
    ",
        file.display()
    )
}

#[test]
fn whoever_does_not_stop_within_the_grace_period_is_named() {
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let live = start(&stubborn(&file));
    live.log.wait_for("stubborn", "blocks", 1);
    // Enough for those that are willing, on a busy machine too.
    live.stop(Duration::from_secs(2));
    let ended = live.end();
    assert_eq!(
        ended.endings(),
        ["willing: stopped", "stubborn: stuck", "reader: stopped"]
    );
    let failures: Vec<_> = ended
        .report
        .failures()
        .map(|node| node.id.as_str())
        .collect();
    assert_eq!(failures, ["stubborn"]);
    assert_eq!(
        ended.log.matching("stubborn", "did not stop in time").len(),
        1
    );
    // Its thread ends when its callback returns at last.
    std::fs::write(&file, "").expect("a fresh folder can be written");
}

#[test]
fn a_second_request_ends_it_at_once() {
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let live = start(&stubborn(&file));
    live.log.wait_for("stubborn", "blocks", 1);
    live.stop(Duration::from_secs(1_000));
    live.log.wait_for("willing", "stopped", 1);
    live.command(Command::Abandon);
    let ended = live.end();
    assert_eq!(ended.endings()[1], "stubborn: stuck");
    std::fs::write(&file, "").expect("a fresh folder can be written");
}

#[test]
fn a_shorter_grace_period_replaces_the_first() {
    let folder = fresh_dir();
    let file = folder.path().join("go on");
    let live = start(&stubborn(&file));
    live.log.wait_for("stubborn", "blocks", 1);
    live.stop(Duration::from_secs(1_000));
    live.stop(Duration::from_millis(50));
    assert_eq!(live.end().endings()[1], "stubborn: stuck");
    std::fs::write(&file, "").expect("a fresh folder can be written");
}

#[test]
fn a_stop_that_comes_before_anything_has_begun_ends_everything() {
    let live = start(
        "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 1000000000}
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, queue_policy: backpressure}}
    ",
    );
    live.stop(GRACE);
    let ended = live.end();
    assert_eq!(ended.endings(), ["source: stopped", "reader: stopped"]);
}

#[test]
fn a_node_that_is_blocked_while_it_is_made_can_be_stopped() {
    // Its reader takes nothing before every node has been made, and it waits for its reader.
    let live = crate::harness::start_with(
        "
        nodes:
          - id: source
            kind: source
            config: {count: 100, in_create: 100}
            inputs: {tick: dora/timer/millis/1}
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, queue_policy: backpressure}}
    ",
        |plan| plan.patience = Duration::from_millis(20),
    );
    live.log.wait_for("source", "has been waiting", 1);
    live.stop(GRACE);
    let ended = live.end();
    assert_eq!(ended.endings()[1], "reader: stopped");
    assert_eq!(ended.node("reader").received, 0);
}

#[test]
fn nothing_is_ticked_or_started_by_a_stop() {
    let ended = run("
        nodes:
          - id: bad
            kind: failing
            config: {how: create}
          - id: ticked
            kind: relay
            inputs: {tick: dora/timer/micros/100}
    ");
    assert_eq!(ended.node("ticked").received, 0);
    assert_eq!(ended.report.timers, []);
}
