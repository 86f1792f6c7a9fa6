//! Ends: by order, by Ctrl-C, by a kill.

use crate::harness::*;
use host::control::{NodeEnd, Reach, Target};
use std::time::{Duration, Instant};

const ENDLESS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: A}
  - id: check
    kind: checker
    inputs: {in: source/out}
    deploy: {machine: B}
";

#[test]
fn a_stop_stops_the_nodes_of_all_machines() {
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ENDLESS).await;
        let ended = site.stop(dataflow).await;
        assert!(ended.stopped && !ended.is_failure(), "{ended:?}");
        assert_eq!(row(&ended, "source").end, NodeEnd::Stopped);
        site.close().await;
    });
}

#[test]
fn a_daemon_that_is_told_to_end_stops_its_nodes_and_says_farewell() {
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ENDLESS).await;
        let host = site.daemons.remove("A").unwrap();
        host.shut_down(GRACE).await;
        host.news("Stopping 1 dataflow; nodes have 10s to end")
            .await;
        host.ended().await.unwrap();
        // The sink's only input is closed.
        let ended = site.end(dataflow).await;
        assert_eq!(row(&ended, "source").end, NodeEnd::Stopped, "{ended:?}");
        let status = site.client.status().await.unwrap();
        let connected = status
            .daemons
            .iter()
            .filter(|it| it.reach == Reach::Connected);
        assert_eq!(connected.count(), 1);
        site.close().await;
    });
}

#[test]
fn a_second_word_ends_at_once_what_does_not_stop() {
    run(async {
        let mut site = Site::new(&["A"]).await;
        let until = site.folder().join("released");
        let text = format!(
            "
nodes:
  - id: stuck
    kind: stubborn
    config: {{until: '{}'}}
    inputs: {{tick: dora/timer/millis/5}}
    outputs: [out]
",
            until.display()
        );
        site.start(&text).await;
        site.host("A").line("blocks").await;
        let host = site.daemons.remove("A").unwrap();
        let began = Instant::now();
        host.shut_down(Duration::from_secs(600)).await;
        host.shut_down(Duration::from_secs(600)).await;
        host.ended().await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(20));
        std::fs::write(&until, "").unwrap();
        site.close().await;
    });
}

#[test]
fn readers_of_a_killed_daemon_are_closed_and_its_waiting_senders_freed() {
    const BOTH_WAYS: &str = "
nodes:
  - id: a
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: A}
  - id: b
    kind: checker
    inputs: {in: {source: a/out, queue_size: 4, queue_policy: backpressure}}
    deploy: {machine: B}
  - id: c
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
    deploy: {machine: B}
  - id: d
    kind: checker
    inputs: {in: c/out}
    deploy: {machine: A}
";
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(BOTH_WAYS).await;
        let began = Instant::now();
        site.daemons.remove("B").unwrap().kill().await;
        site.host("A").line("closed in").await;
        assert!(began.elapsed() < Duration::from_secs(10));
        site.host("A")
            .news("Machine `B` is not heard of any more")
            .await;
        let sent = async || {
            let nodes = site.client.nodes(Some(Target::Id(dataflow))).await.unwrap();
            nodes
                .iter()
                .map(|node| node.state.to_string())
                .collect::<Vec<_>>()
        };
        until("the lost are marked", async || {
            let states = sent().await;
            states.contains(&"unreachable".to_owned()).then_some(())
        })
        .await;
        let target = Target::Id(dataflow);
        let stopped = site
            .client
            .stop(target, GRACE, false, |_| ())
            .await
            .unwrap();
        if let Ok(ended) = stopped {
            assert_eq!(row(&ended, "a").end, NodeEnd::Stopped);
        }
        site.close().await;
    });
}
