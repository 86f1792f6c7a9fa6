//! Looking on at outputs of a running dataflow.

use crate::harness::{DEADLINE, GRACE, among_others, descriptor, launch_with, number, plan, start};
use std::sync::mpsc::RecvTimeoutError;

const FLOW: &str = "
    nodes:
      - id: source
        kind: own-thread
        config: {count: 12000, micros: 20}
      - id: relay
        kind: relay
        inputs: {in: {source: source/out, queue_policy: backpressure}}
      - id: checker
        kind: checker
        inputs: {in: {source: relay/out, queue_policy: backpressure}}
";

#[test]
fn taps_come_and_go_and_disturb_nobody() {
    let live = start(FLOW);
    for _ in 0..5 {
        let tap = live.probe.tap("relay", "out", 1_000).expect("an output");
        let first = tap.messages.recv_timeout(DEADLINE).expect("a message");
        for expected in number(&first) + 1..number(&first) + 20 {
            let next = tap.messages.recv_timeout(DEADLINE).expect("a message");
            assert_eq!(number(&next), expected, "nothing is left out");
        }
        // Goes with the end of this block.
    }
    // One that nobody reads costs its own messages only.
    let slow = live.probe.tap("relay", "out", 3).expect("an output");
    let ended = live.end();
    assert_eq!(ended.checked("checker"), (12_000, 0));
    assert_eq!(ended.node("relay").received, 12_000);
    let kept: Vec<_> = slow
        .messages
        .iter()
        .map(|message| number(&message))
        .collect();
    assert_eq!(kept.len(), 3);
    assert!(slow.dropped() > 0);
}

#[test]
fn a_tap_ends_with_its_output() {
    let live = start(FLOW);
    let (early, probe) = (live.probe.tap("checker", "total", 10), live.probe.clone());
    live.stop(GRACE);
    live.end();
    let early = early.expect("an output that is not in the descriptor is tapped all the same");
    let late = probe.tap("relay", "out", 10).expect("an output");
    for tap in [early, late] {
        let nothing = tap.messages.recv_timeout(DEADLINE);
        assert_eq!(nothing.err(), Some(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn only_outputs_can_be_tapped() {
    let live = start(FLOW);
    assert!(live.probe.tap("nobody", "out", 1).is_none());
    assert!(live.probe.tap("relay", "nothing", 1).is_none());
    live.stop(GRACE);
    live.end();
}

#[test]
fn readers_and_taps_share_the_data() {
    let _among = among_others();
    let descriptor = descriptor(
        "
        nodes:
          - id: source
            kind: source
            config: {count: 5, bytes: 1000000}
            inputs: {tick: dora/timer/millis/5}
          - id: reader
            kind: checker
            inputs: {in: {source: source/out, queue_size: 5}}
    ",
    );
    let mut taps = None;
    let plan = plan(&descriptor);
    let live = launch_with(descriptor, &plan, |dataflow| {
        let probe = dataflow.probe();
        taps = Some([1, 2].map(|_| probe.tap("source", "out", 5).expect("an output")));
    });
    let taps = taps.expect("they were made");
    let ended = live.end();
    assert_eq!(ended.checked("reader"), (5, 0));
    let [one, two] = taps.map(|tap| tap.messages.iter().collect::<Vec<_>>());
    assert_eq!(one.len(), 5);
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.as_ptr(), two.as_ptr());
        assert_eq!(one.references(), Some(2), "nobody else keeps it");
    }
}
