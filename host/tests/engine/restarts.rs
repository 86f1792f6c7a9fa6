//! Instances that are made again while their readers and senders stay connected.

use crate::harness::{GRACE, number, run, start};

#[test]
fn a_relay_is_made_again_until_it_works() {
    for how in ["error", "panic", "reported"] {
        let ended = run(&format!(
            "
            nodes:
              - id: source
                kind: source
                config: {{count: 60, burst: 20}}
                inputs: {{tick: dora/timer/millis/1}}
              - id: relay
                kind: failing
                config: {{how: {how}, at: 10, times: 3}}
                restart_policy: on-failure
                inputs: {{in: {{source: source/out, queue_policy: backpressure, queue_size: 20}}}}
              - id: checker
                kind: checker
                inputs: {{in: {{source: relay/out, queue_policy: backpressure}}}}
        "
        ));
        assert_eq!(
            ended.endings(),
            ["source: finished", "relay: finished", "checker: finished"]
        );
        assert_eq!(ended.node("relay").restarts, 3, "{how}");
        let counts = ended.log.matching("relay", "restart_count");
        assert_eq!(
            counts,
            (0..4)
                .map(|i| format!("restart_count {i}"))
                .collect::<Vec<_>>()
        );
        // Only the messages that it failed on are lost; one that it reported only is passed on.
        let lost = if how == "reported" { 0 } else { 3 };
        assert_eq!(ended.checked("checker"), (60 - lost, lost), "{how}");
        assert_eq!(
            ended
                .log
                .matching("relay", "restarting now (restart 3)")
                .len(),
            1
        );
        assert_eq!(ended.log.matching("checker", "closed in").len(), 1);
    }
}

#[test]
fn a_source_is_made_again_and_its_reader_stays() {
    let ended = run("
        nodes:
          - id: source
            kind: own-thread
            config: {count: 10, then: fail}
            restart_policy: always
            max_restarts: 2
            restart_delay: 0.01
          - id: checker
            kind: checker
            inputs: {in: {source: source/out, queue_size: 100}}
    ");
    assert_eq!(
        ended.endings(),
        [
            "source: failed: the thread has failed (-)",
            "checker: finished"
        ]
    );
    assert_eq!(ended.node("source").restarts, 2);
    assert_eq!(ended.checked("checker"), (30, 0));
    assert_eq!(
        ended
            .log
            .matching("source", "restarting in 10ms (restart 1)")
            .len(),
        1
    );
    assert_eq!(
        ended
            .log
            .matching("source", "restarting in 20ms (restart 2)")
            .len(),
        1
    );
}

#[test]
fn a_node_that_finishes_is_made_again_only_while_something_can_come() {
    let ended = run("
        nodes:
          - id: source
            kind: source
            config: {count: 30}
            inputs: {tick: dora/timer/millis/1}
          - id: again
            kind: failing
            config: {how: done, at: 10}
            restart_policy: always
            inputs: {in: {source: source/out, queue_size: 30}}
    ");
    assert_eq!(ended.endings(), ["source: finished", "again: finished"]);
    assert_eq!(ended.node("again").received, 30);
    assert_eq!(ended.node("again").restarts, 3);
}

#[test]
fn a_new_instance_hears_what_has_closed_before() {
    let ended = run("
        nodes:
          - id: short
            kind: own-thread
            config: {count: 1}
          - id: long
            kind: source
            config: {count: 60}
            inputs: {tick: dora/timer/millis/2}
          - id: relay
            kind: failing
            config: {at: 40, times: 1}
            restart_policy: on-failure
            inputs: {short: short/out, long: {source: long/out, queue_size: 60}}
    ");
    assert_eq!(ended.node("relay").restarts, 1);
    let closed = ended.log.matching("relay", "closed");
    assert_eq!(closed, ["closed short", "closed short", "closed long"]);
}

#[test]
fn a_thread_that_outlives_its_instance_sends_no_more_and_ends_no_other() {
    let live = start(
        "
        nodes:
          - id: source
            kind: own-thread
            config: {count: 2000, micros: 500, fails: true, outlives: true, then: fail}
            restart_policy: on-failure
            max_restarts: 1
            inputs: {trigger: {source: dora/timer/millis/200}}
          - id: checker
            kind: checker
            inputs: {in: {source: source/out, queue_size: 1000}}
    ",
    );
    // A number of the first instance after one of the second would be out of order.
    let tap = live.probe.tap("source", "out", 4_000).expect("an output");
    let ended = live.end();
    assert_eq!(ended.node("source").restarts, 1);
    assert_eq!(ended.endings()[1], "checker: finished");
    let restarts: Vec<_> = tap
        .messages
        .iter()
        .map(|message| number(&message) >> 40)
        .collect();
    assert!(restarts.is_sorted(), "{restarts:?}");
    assert_eq!(restarts.last(), Some(&1));
    ended.log.wait_for("source", "instance 0: ", 1);
    ended.log.wait_for("source", "instance 1: ", 1);
    ended.log.wait_for(
        "source",
        "failed after its restart: the thread has failed",
        1,
    );
}

#[test]
fn a_stop_ends_a_wait_for_a_restart() {
    let live = start(
        "
        nodes:
          - id: bad
            kind: failing
            restart_policy: on-failure
            restart_delay: 1000
            inputs: {tick: dora/timer/millis/1}
    ",
    );
    live.log
        .wait_for("bad", "restarting in 1000s (restart 1)", 1);
    live.stop(GRACE);
    assert_eq!(live.end().endings(), ["bad: stopped"]);
}
