//! Ends: by order, by Ctrl-C, by a kill.

use crate::harness::*;
use host::control::{NodeEnd, Phase, Reach, Target};
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
    inputs: {in: {source: source/out, queue_size: 1000}}
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
fn a_daemon_that_is_dropped_without_a_word_holds_nobody_up() {
    const BOTH_WAYS: &str = "
nodes:
  - id: a
    kind: source
    config: {count: 100000, burst: 100}
    inputs: {tick: dora/timer/millis/1}
    outputs: [out]
    deploy: {machine: A}
  - id: b
    kind: slow
    config: {micros: 1000}
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
        site.daemons.remove("B").unwrap().vanish().await;
        site.host("A").line("closed in").await;
        assert!(began.elapsed() < Duration::from_secs(10));
        let state = async |node: &str| {
            let nodes = site.client.nodes(Some(Target::Id(dataflow))).await;
            let nodes = nodes.unwrap().into_iter();
            let mut nodes = nodes.filter(|it| it.node.as_str() == node);
            nodes.next().map(|it| it.state.to_string())
        };
        until("the lost are marked", async || {
            (state("c").await.as_deref() == Some("unreachable")).then_some(())
        })
        .await;
        // It would take minutes if anybody still waited for B.
        until("the sender goes on to its end", async || {
            (state("a").await.as_deref() == Some("finished")).then_some(())
        })
        .await;
        let target = Target::Id(dataflow);
        let stopped = site
            .client
            .stop(target, GRACE, false, |_| ())
            .await
            .unwrap();
        if let Ok(ended) = stopped {
            assert_eq!(row(&ended, "a").end, NodeEnd::Finished);
        }
        site.close().await;
    });
}

#[test]
fn a_dataflow_outlives_its_coordinator() {
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ENDLESS).await;
        site.kill_coordinator().await;
        for name in ["A", "B"] {
            site.host(name)
                .news("does not answer; what runs goes on")
                .await;
        }
        let began = Instant::now();
        site.restart_coordinator().await;
        until("it runs as before", async || {
            let listed = site.client.list().await.unwrap();
            let found = listed.iter().find(|it| it.dataflow == dataflow)?;
            (found.phase == Phase::Running && found.running == 2).then_some(())
        })
        .await;
        assert!(
            began.elapsed() < Duration::from_secs(8),
            "{:?}",
            began.elapsed()
        );
        let ended = site.stop(dataflow).await;
        assert_eq!(row(&ended, "source").end, NodeEnd::Stopped, "{ended:?}");
        let check = row(&ended, "check");
        assert_eq!((check.restarts, check.dropped), (0, 0), "{check:?}");
        site.close().await;
    });
}
