//! Log lines: from files, as they come, and between nodes of two machines.

use crate::harness::*;
use host::client::{LogEvent, LogsWanted};
use host::control::Target;
use std::time::Duration;

const TALKS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 30}
    inputs: {tick: dora/timer/millis/20}
    outputs: [out]
    deploy: {machine: A}
  - id: check
    kind: checker
    inputs: {in: {source: source/out, queue_size: 100}}
    deploy: {machine: B}
";

#[test]
fn what_nodes_say_can_be_followed_and_read_back() {
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(TALKS).await;
        let located = site.client.locate(Target::Id(dataflow)).await.unwrap();
        let wanted = LogsWanted {
            follow: true,
            ..LogsWanted::default()
        };
        let logs = site.client.logs(&located, &wanted).await.unwrap();
        let mut stream = logs.stream.unwrap();
        // What was said before comes first.
        let before = logs.history.into_iter();
        let mut said: Vec<String> = before.map(|record| record.message).collect();
        while let Some(event) = tokio::time::timeout(LONG, stream.next()).await.unwrap() {
            match event {
                LogEvent::Line(record) => {
                    assert_eq!(record.machine.as_deref(), Some("B"));
                    said.push(record.message);
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(
            said.contains(&"received 30 missing 0".to_owned()),
            "{said:?}"
        );
        let again = site.client.logs(&located, &LogsWanted::default()).await;
        let history: Vec<_> = again.unwrap().history.into_iter().collect();
        assert!(
            history
                .iter()
                .any(|it| it.message == "received 30 missing 0")
        );
        let tail = LogsWanted {
            tail: Some(1),
            node: Some("check".parse().unwrap()),
            ..LogsWanted::default()
        };
        let last = site.client.logs(&located, &tail).await.unwrap().history;
        assert_eq!(last.len(), 1);
        site.close().await;
    });
}

#[test]
fn a_node_reads_the_log_lines_of_another_machine() {
    const READS: &str = "
nodes:
  - id: source
    kind: source
    config: {count: 1000000}
    inputs: {tick: dora/timer/millis/10}
    outputs: [out]
    deploy: {machine: A}
  - id: brief
    kind: checker
    config: {expect: 300}
    inputs: {in: {source: source/out, queue_size: 100}}
    deploy: {machine: A}
  - id: reader
    kind: relay
    inputs: {lines: dora/logs/info/brief}
    outputs: [out]
    deploy: {machine: B}
";
    run(async {
        let site = Site::new(&["A", "B"]).await;
        let dataflow = site.start(READS).await;
        let topics = site
            .client
            .topics(Some(Target::Id(dataflow)))
            .await
            .unwrap();
        let lines = topics.iter().find(|it| it.node.as_str() == "reader");
        let mut tap = site.client.tap(lines.unwrap()).await.unwrap();
        let line = tokio::time::timeout(Duration::from_secs(20), tap.next())
            .await
            .unwrap();
        let Some(host::client::TapEvent::Message { message, .. }) = line else {
            panic!("{line:?}");
        };
        let text = message.text().unwrap();
        assert!(text.contains("\"node_id\":\"brief\""), "{text}");
        assert!(text.contains("received 300 missing 0"), "{text}");
        drop(tap);
        site.stop(dataflow).await;
        site.close().await;
    });
}
