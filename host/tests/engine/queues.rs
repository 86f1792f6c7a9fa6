//! What becomes of messages when a reader is slower than its sender.

use crate::harness::{GRACE, number, run, start, start_with};
use host_testing::fresh_dir;
use std::time::Duration;

/// A reader that is blocked in its first message while its sender sends a hundred: what it gets afterwards.
fn after_a_flood(policy: &str) -> (u64, Vec<u64>) {
    let folder = fresh_dir();
    let go_on = folder.path().join("go on");
    let yaml = format!(
        "
        nodes:
          - id: source
            kind: source
            config: {{count: 101, burst: 100}}
            inputs: {{tick: {{source: dora/timer/millis/5, queue_policy: drop_newest}}}}
          - id: reader
            kind: stubborn
            config: {{until: '{}'}}
            inputs: {{in: {{source: source/out, queue_size: 5, queue_policy: {policy}}}}}
    ",
        go_on.display()
    );
    let live = start(&yaml);
    let tap = live.probe.tap("reader", "out", 200).expect("an output");
    live.log.wait_for("source", "finished", 1);
    live.log.wait_for("reader", "blocks", 1);
    std::fs::write(&go_on, "").expect("a fresh folder can be written");
    let ended = live.end();
    let count = ended.input("reader", "in");
    assert_eq!(count.taken + count.dropped, 101, "{count:?}");
    assert_eq!(ended.node("reader").dropped(), count.dropped);
    (
        count.dropped,
        tap.messages
            .iter()
            .map(|message| number(&message))
            .collect(),
    )
}

#[test]
fn drop_oldest_keeps_the_newest_and_counts_the_others() {
    let (dropped, got) = after_a_flood("drop_oldest");
    assert_eq!(got[got.len() - 5..], [96, 97, 98, 99, 100], "{got:?}");
    assert_eq!(dropped, 101 - got.len() as u64);
    assert!(dropped >= 90, "{got:?}");
}

#[test]
fn drop_newest_keeps_the_oldest_and_counts_the_others() {
    let (dropped, got) = after_a_flood("drop_newest");
    assert_eq!(got[..5], [0, 1, 2, 3, 4], "{got:?}");
    assert_eq!(dropped, 101 - got.len() as u64);
    assert!(dropped >= 80, "{got:?}");
}

#[test]
fn backpressure_loses_nothing_between_a_fast_sender_and_a_slow_reader() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 2000, burst: 500}
            inputs: {tick: dora/timer/millis/1}
          - id: relay
            kind: relay
            inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 2}}
          - id: slow
            kind: slow
            config: {micros: 20}
            inputs: {in: {source: relay/out, queue_policy: backpressure, queue_size: 1}}
          - id: checker
            kind: checker
            inputs: {in: {source: slow/out, queue_policy: backpressure, queue_size: 1000}}
    ");
    assert_eq!(ended.checked("checker"), (2_000, 0));
    for (node, input) in [("relay", "in"), ("slow", "in"), ("checker", "in")] {
        assert_eq!(ended.input(node, input).taken, 2_000);
        assert_eq!(ended.input(node, input).dropped, 0);
    }
}

/// A sender with more for its reader than the queue holds; the reader waits for a file.
fn waiting(file: &std::path::Path) -> String {
    format!(
        "
        nodes:
          - id: source
            kind: source
            config: {{count: 1000, burst: 1000}}
            inputs: {{tick: dora/timer/millis/1}}
          - id: reader
            kind: stubborn
            config: {{until: '{}'}}
            inputs: {{in: {{source: source/out, queue_policy: backpressure}}}}
    ",
        file.display()
    )
}

#[test]
fn a_sender_that_waits_long_says_for_whom_and_wakes_on_a_stop() {
    let folder = fresh_dir();
    let go_on = folder.path().join("go on");
    let live = start_with(&waiting(&go_on), |plan| {
        plan.patience = Duration::from_millis(20);
    });
    live.log.wait_for(
        "source",
        "has been waiting 20ms for room in input `reader/in`",
        1,
    );
    live.stop(GRACE);
    live.log.wait_for("source", "stopped", 1);
    std::fs::write(&go_on, "").expect("a fresh folder can be written");
    let ended = live.end();
    assert_eq!(ended.endings(), ["source: stopped", "reader: stopped"]);
    // What waited in the queue, and the message that the sender had in hand. The queue was full, or full but for the
    // reader's first one: senders wake when half of it is free.
    let count = ended.input("reader", "in");
    assert_eq!(count.taken, 1);
    assert!((10..=11).contains(&count.discarded), "{count:?}");
    assert_eq!(
        ended.log.matching("source", "waiting").len(),
        1,
        "said once"
    );
}

#[test]
fn the_reader_of_a_waiting_sender_may_end() {
    for how in ["done", "error", "panic"] {
        let ended = run(&format!(
            "
            nodes:
              - id: source
                kind: source
                config: {{count: 500, burst: 500}}
                inputs: {{tick: dora/timer/millis/1}}
              - id: reader
                kind: failing
                config: {{how: {how}, at: 3}}
                inputs: {{in: {{source: source/out, queue_policy: backpressure}}}}
              - id: other
                kind: checker
                inputs: {{in: {{source: source/out, queue_policy: backpressure}}}}
        "
        ));
        assert_eq!(ended.endings()[0], "source: finished", "{how}");
        assert_eq!(ended.checked("other"), (500, 0), "{how}");
        let count = ended.input("reader", "in");
        assert_eq!((count.taken, count.discarded), (3, 497), "{how}");
    }
}
