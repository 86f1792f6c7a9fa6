//! Dataflows over two machines: started together, nothing lost at the start, several at once.

use crate::harness::*;
use host::control::{NodeEnd, Target};

/// A source on A, a checker on B; the source sends some messages while it is made.
const ACROSS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 300, burst: 30, in_create: 20}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
    deploy: {machine: A}
  - id: check
    kind: checker
    inputs: {in: {source: source/out, queue_size: 1000}}
    deploy: {machine: B}
";

#[test]
fn a_dataflow_over_two_machines_loses_not_even_its_first_message() {
    run(async {
        let mut site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ACROSS).await;
        let ended = site.end(dataflow).await;
        let said = site.host("B").line("received ").await;
        assert_eq!(said, "received 300 missing 0", "{ended:?}");
        assert_eq!(row(&ended, "source").sent, 300);
        let check = row(&ended, "check");
        assert_eq!((check.received, check.dropped), (300, 0));
        assert_eq!(check.end, NodeEnd::Finished);
        assert_eq!(check.machine, machine("B"));
        for host in ["A", "B"] {
            let id = dataflow.to_string();
            site.host(host)
                .news(&format!("Dataflow {id} runs 1 node here"))
                .await;
            site.host(host)
                .news(&format!("Dataflow {id} has ended here"))
                .await;
        }
        site.close().await;
    });
}

#[test]
fn one_descriptor_twice_and_an_output_with_readers_on_both_machines() {
    const BOTH: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 200, burst: 5}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
    deploy: {machine: A}
  - id: near
    kind: checker
    inputs: {in: {source: source/out, queue_size: 1000}}
    deploy: {machine: A}
  - id: far
    kind: checker
    inputs:
      one: {source: source/out, queue_size: 1000}
      two: {source: source/out, queue_size: 1000}
    deploy: {machine: B}
  - id: farther
    kind: checker
    inputs: {in: {source: source/out, queue_size: 1000}}
    deploy: {machine: B}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let both = [site.start(BOTH).await, site.start(BOTH).await];
        let listed = site.client.list().await.unwrap();
        assert_eq!(listed.len(), 2);
        for dataflow in both {
            let ended = site.end(dataflow).await;
            let received = ["near", "far", "farther"].map(|node| row(&ended, node).received);
            assert_eq!(received, [200, 400, 200]);
            assert!(!ended.is_failure(), "{ended:?}");
        }
        site.close().await;
    });
}

#[test]
fn nodes_of_two_machines_may_read_each_other() {
    const ROUND: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 100}
    inputs: {tick: dora/timer/millis/2}
    outputs: [out]
    deploy: {machine: A}
  - id: relay
    kind: relay
    inputs: {in: {source: source/out, queue_size: 1000}}
    outputs: [out]
    deploy: {machine: B}
  - id: check
    kind: checker
    inputs: {in: {source: relay/out, queue_size: 1000}}
    deploy: {machine: A}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(ROUND).await;
        let ended = site.end(dataflow).await;
        assert_eq!(row(&ended, "check").received, 100, "{ended:?}");
        site.close().await;
    });
}

#[test]
fn large_messages_arrive_whole() {
    const LARGE: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 20, bytes: 4000000}
    inputs: {tick: dora/timer/millis/20}
    outputs: [out]
    deploy: {machine: A}
  - id: check
    kind: checker
    inputs: {in: {source: source/out, queue_size: 20, queue_policy: backpressure}}
    deploy: {machine: B}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(LARGE).await;
        let ended = site.end(dataflow).await;
        assert_eq!(row(&ended, "check").received, 20, "{ended:?}");
        site.close().await;
    });
}

#[test]
fn dataflows_go_on_while_a_daemon_comes_and_is_listed() {
    run(async {
        let mut site = Site::new(&["A"]).await;
        const ALONE: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/5}
    outputs: [out]
";
        let dataflow = site.start(ALONE).await;
        site.add("B").await;
        let status = site.client.status().await.unwrap();
        let machines: Vec<_> = status
            .daemons
            .iter()
            .map(|it| it.machine.to_string())
            .collect();
        assert_eq!(machines, ["A", "B"]);
        assert!(
            status
                .daemons
                .iter()
                .all(|it| it.info.address.starts_with("tcp/127.0.0.1:"))
        );
        let nodes = site.client.nodes(Some(Target::Id(dataflow))).await.unwrap();
        assert_eq!(nodes.len(), 1);
        let ended = site.stop(dataflow).await;
        assert_eq!(row(&ended, "source").end, NodeEnd::Stopped);
        site.close().await;
    });
}
