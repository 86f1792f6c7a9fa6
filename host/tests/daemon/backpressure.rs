//! Readers on other machines that are waited for, and readers that are not.

use crate::harness::*;
use std::time::{Duration, Instant};

#[test]
fn a_slow_reader_on_another_machine_holds_the_sender_and_loses_nothing() {
    const SLOW: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 500, burst: 500}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: A}
  - id: slow
    kind: slow
    config: {micros: 1000}
    inputs: {in: {source: source/out, queue_size: 4, queue_policy: backpressure}}
    outputs: [out]
    deploy: {machine: B}
  - id: check
    kind: checker
    inputs: {in: {source: slow/out, queue_size: 4, queue_policy: backpressure}}
    deploy: {machine: A}
";
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let began = Instant::now();
        let dataflow = site.start(SLOW).await;
        let ended = site.end(dataflow).await;
        assert_eq!(row(&ended, "check").received, 500, "{ended:?}");
        assert_eq!(row(&ended, "slow").dropped, 0);
        let said = site.host("A").line("received ").await;
        assert_eq!(said, "received 500 missing 0");
        assert!(began.elapsed() >= Duration::from_millis(500), "it was held");
        site.close().await;
    });
}

#[test]
fn what_a_slow_reader_does_not_wait_for_is_counted() {
    const DROPS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 400, burst: 400}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: A}
  - id: slow
    kind: slow
    config: {micros: 2000}
    inputs: {in: {source: source/out, queue_size: 4}}
    outputs: [out]
    deploy: {machine: B}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(DROPS).await;
        let ended = site.end(dataflow).await;
        let slow = row(&ended, "slow");
        assert!(slow.dropped > 0, "{slow:?}");
        assert_eq!(
            slow.received + slow.dropped + slow.discarded,
            400,
            "{slow:?}"
        );
        site.close().await;
    });
}

#[test]
fn a_reader_that_has_ended_holds_nobody() {
    const ENDS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 2000, burst: 10}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
    deploy: {machine: A}
  - id: brief
    kind: checker
    config: {expect: 5}
    inputs: {in: {source: source/out, queue_size: 2, queue_policy: backpressure}}
    deploy: {machine: B}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ENDS).await;
        let ended = site.end(dataflow).await;
        assert_eq!(row(&ended, "source").sent, 2000, "{ended:?}");
        assert_eq!(row(&ended, "brief").received, 5);
        site.close().await;
    });
}

#[test]
fn a_stop_wakes_a_sender_that_waits_for_another_machine() {
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let until = site.folder().join("released");
        let text = format!(
            "
nodes:
  - id: source
    kind: source
    config: {{count: 100000, burst: 1000}}
    inputs: {{tick: dora/timer/millis/5}}
    outputs: [out]
    deploy: {{machine: A}}
  - id: stuck
    kind: stubborn
    config: {{until: '{}'}}
    inputs: {{in: {{source: source/out, queue_size: 1, queue_policy: backpressure}}}}
    outputs: [out]
    deploy: {{machine: B}}
",
            until.display()
        );
        let dataflow = site.start(&text).await;
        site.host("B").line("blocks").await;
        std::fs::write(&until, "").unwrap();
        let ended = site.stop(dataflow).await;
        assert!(!ended.is_failure(), "{ended:?}");
        site.close().await;
    });
}
