//! Dataflows from their first message to their end.

use crate::harness::{number, run, start_with};
use std::time::Duration;

#[test]
fn a_chain_runs_to_its_end_by_itself() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 20}
            inputs: {tick: dora/timer/millis/1}
          - id: relay
            kind: relay
            inputs: {in: {source: source/out, queue_size: 20}}
          - id: checker
            kind: checker
            inputs: {in: {source: relay/out, queue_size: 20}}
            outputs: [total]
    ");
    assert_eq!(
        ended.endings(),
        ["source: finished", "relay: finished", "checker: finished"]
    );
    assert_eq!(ended.checked("checker"), (20, 0));
    assert_eq!(ended.node("relay").sent(), 20);
    assert_eq!(ended.node("relay").received, 20);
    assert_eq!(ended.node("checker").outputs["total"], 1);
    assert_eq!(ended.log.matching("checker", "closed in").len(), 1);
    assert_eq!(ended.report.failures().count(), 0);
}

#[test]
fn every_reader_of_an_output_gets_every_message() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 300, burst: 50}
            inputs: {tick: dora/timer/millis/1}
          - id: one
            kind: checker
            inputs: {in: {source: source/out, queue_policy: backpressure}}
          - id: two
            kind: checker
            inputs: {in: {source: source/out, queue_policy: backpressure, queue_size: 1}}
          - id: twice
            kind: checker
            inputs:
              left: {source: source/out, queue_policy: backpressure, queue_size: 3}
              right: {source: source/out, queue_size: 300}
    ");
    assert_eq!(ended.checked("one"), (300, 0));
    assert_eq!(ended.checked("two"), (300, 0));
    assert_eq!(ended.checked("twice"), (600, 0));
}

#[test]
fn many_inputs_of_one_node_keep_their_order() {
    let ended = run("
        nodes:
          - id: a
            kind: source
            config: {count: 200, burst: 10, origin: 1}
            inputs: {tick: dora/timer/millis/1}
          - id: b
            kind: own-thread
            config: {count: 200, origin: 2}
          - id: merge
            kind: relay
            inputs:
              a: {source: a/out, queue_policy: backpressure, queue_size: 4}
              b: {source: b/out, queue_policy: backpressure}
          - id: checker
            kind: checker
            inputs:
              merged: {source: merge/out, queue_policy: backpressure, queue_size: 7}
              straight: {source: a/out, queue_policy: backpressure}
    ");
    assert_eq!(ended.checked("checker"), (600, 0));
}

#[test]
fn what_is_sent_while_nodes_are_made_arrives_first() {
    let ended = run("
        nodes:
          - id: checker
            kind: checker
            inputs: {in: {source: source/out, queue_size: 30}}
          - id: source
            kind: source
            config: {count: 30, in_create: 8}
            inputs: {tick: dora/timer/micros/100}
          - id: inline
            kind: checker
            thread: sender
            inputs: {in: {source: source/out, queue_size: 30}}
    ");
    assert_eq!(ended.checked("checker"), (30, 0));
    assert_eq!(ended.checked("inline"), (30, 0));
}

#[test]
fn a_source_may_have_ended_before_its_readers_begin() {
    let ended = run("
        nodes:
          - id: source
            kind: own-thread
            config: {count: 5}
          - id: checker
            kind: checker
            inputs: {in: source/out}
    ");
    assert_eq!(ended.endings(), ["source: finished", "checker: finished"]);
    assert_eq!(ended.checked("checker"), (5, 0));
}

#[test]
fn an_output_that_nobody_reads_takes_everything() {
    let ended = run("
        nodes:
          - id: listed
            kind: own-thread
            outputs: [out]
            config: {count: 100}
          - id: left-out
            kind: own-thread
            outputs: []
            config: {count: 100}
    ");
    assert_eq!(ended.endings(), ["listed: finished", "left-out: finished"]);
    assert_eq!(ended.node("listed").sent(), 100);
    assert_eq!(ended.node("left-out").sent(), 0);
}

#[test]
fn a_cycle_runs_until_it_is_stopped() {
    let live = crate::harness::start(
        "
        nodes:
          - id: seed
            kind: own-thread
            config: {count: 1}
          - id: left
            kind: relay
            inputs: {seed: seed/out, back: right/out}
          - id: right
            kind: relay
            inputs: {in: left/out}
    ",
    );
    let tap = live.probe.tap("right", "out", 10).expect("an output");
    for _ in 0..3 {
        let round = tap.messages.recv_timeout(crate::harness::DEADLINE);
        assert_eq!(number(&round.expect("it goes round")), 0);
    }
    live.stop(crate::harness::GRACE);
    let ended = live.end();
    assert_eq!(ended.endings()[1..], ["left: stopped", "right: stopped"]);
}

#[test]
fn the_dataflow_ends_with_its_last_reader_when_it_is_told_to() {
    let yaml = "
        exit_when_nodes_finish: true
        nodes:
          - id: ticking
            kind: source
            config: {count: 1000000000}
            inputs: {tick: dora/timer/millis/1}
          - id: reader
            kind: checker
            config: {expect: 3}
            inputs: {in: ticking/out}
    ";
    let ended = run(yaml);
    assert_eq!(ended.endings(), ["ticking: stopped", "reader: finished"]);
    // The nodes that are stopped then have the plan's grace period.
    let ended = start_with(yaml, |plan| plan.grace = Duration::from_secs(40)).end();
    assert_eq!(ended.report.failures().count(), 0);
}
