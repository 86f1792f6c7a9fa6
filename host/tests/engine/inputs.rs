//! How inputs close: with their source, or because nothing comes.

use crate::harness::{GRACE, run, start};

#[test]
fn an_input_closes_with_its_source_and_the_last_one_ends_the_node() {
    let ended = run("
        nodes:
          - id: short
            kind: own-thread
            config: {count: 3, origin: 1}
          - id: long
            kind: source
            config: {count: 30, origin: 2}
            inputs: {tick: dora/timer/millis/1}
          - id: reader
            kind: checker
            inputs: {short: short/out, long: {source: long/out, queue_size: 30}}
    ");
    let closed = ended.log.matching("reader", "closed");
    assert_eq!(closed, ["closed short", "closed long"]);
    assert_eq!(ended.checked("reader"), (33, 0));
}

#[test]
fn an_input_that_hears_nothing_for_too_long_closes() {
    let ended = run("
        exit_when_nodes_finish: true
        nodes:
          - id: silent
            kind: own-thread
            config: {count: 3, then: stay}
          - id: reader
            kind: checker
            inputs: {in: {source: silent/out, input_timeout: 0.1}}
    ");
    assert_eq!(ended.endings(), ["silent: stopped", "reader: finished"]);
    assert_eq!(ended.checked("reader"), (3, 0));
    let said = "input `in` is closed: no message within its input_timeout";
    assert_eq!(ended.log.matching("reader", said).len(), 1);
}

#[test]
fn it_closes_also_on_a_thread_that_is_never_idle() {
    let live = start(
        "
        nodes:
          - id: silent
            kind: own-thread
            config: {count: 0, then: stay}
          - id: flood
            kind: own-thread
            config: {count: 1000000000}
          - id: reader
            kind: slow
            config: {micros: 100}
            inputs:
              silent: {source: silent/out, input_timeout: 0.1}
              flood: flood/out
    ",
    );
    live.log.wait_for("reader", "input `silent` is closed", 1);
    live.stop(GRACE);
    assert_eq!(live.end().report.failures().count(), 0);
}

#[test]
fn an_input_that_hears_in_time_stays_open() {
    let ended = run("
        nodes:
          - id: regular
            kind: source
            config: {count: 40}
            inputs: {tick: dora/timer/millis/5}
          - id: busy
            kind: slow
            config: {micros: 3000}
            inputs: {in: {source: regular/out, queue_size: 40, input_timeout: 20}}
          - id: checker
            kind: checker
            inputs: {in: {source: busy/out, queue_size: 40, input_timeout: 20}}
    ");
    assert_eq!(ended.checked("checker"), (40, 0));
    assert_eq!(ended.log.matching("busy", "input_timeout"), [""; 0]);
}

#[test]
fn what_comes_after_an_input_has_closed_is_discarded_and_its_sender_does_not_wait() {
    let ended = run("
        nodes:
          - id: late
            kind: own-thread
            config: {count: 30, micros: 20000}
          - id: reader
            kind: checker
            inputs:
              late: {source: late/out, input_timeout: 0.005, queue_policy: backpressure, queue_size: 1}
              all: {source: late/out, queue_size: 30}
    ");
    assert_eq!(ended.endings(), ["late: finished", "reader: finished"]);
    let count = ended.input("reader", "late");
    assert_eq!(count.taken + count.discarded, 30);
    assert!(count.discarded > 0, "{count:?}");
}
