//! Messages between machines: large ones, readers that are waited for, and losses that are counted.

use crate::cluster::Cluster;
use host_testing::fixtures;
use serde_json::Value;

/// A source on A and a reader of it on B; keys of the source's config, of the reader's input, and the reader itself.
fn pair(source: &str, input: &str, reader: &str) -> String {
    let flow = fixtures::path("flow").display().to_string();
    format!(
        "nodes:\n  - id: source\n    deploy: {{machine: A}}\n    path: '{flow}'\n    kind: source\n    config: {{{source}}}\n    \
         inputs: {{tick: dora/timer/millis/1}}\n    outputs: [out]\n  - id: reader\n    deploy: {{machine: B}}\n    path: \
         '{flow}'\n    {reader}\n    inputs: {{in: {{source: source/out, {input}}}}}\n"
    )
}

fn row<'a>(ended: &'a Value, node: &str) -> &'a Value {
    let rows = ended["ended"]["nodes"].as_array().expect("rows");
    rows.iter().find(|row| row["node"] == node).expect("a row")
}

#[test]
fn large_messages_arrive_whole_and_in_order() {
    let cluster = Cluster::new(&["A", "B"]);
    let waits = "queue_size: 4, queue_policy: backpressure";
    // 4 MiB each: they go through shared memory where there is room, in pieces where not.
    let text = pair(
        "count: 40, bytes: 4194304",
        waits,
        "kind: checker\n    config: {expect: 40}",
    );
    cluster.write("large.yml", text);
    let run = cluster.dora(&["start", "--attach", "large.yml"]);
    assert!(
        run.stderr.contains("reader@B: received 40 missing 0"),
        "{run}"
    );
    run.success();
}

#[test]
fn a_reader_on_another_machine_is_waited_for() {
    let cluster = Cluster::new(&["A", "B"]);
    let waits = "queue_size: 2, queue_policy: backpressure";
    let text = pair(
        "count: 300, burst: 100",
        waits,
        "kind: slow\n    config: {micros: 2000}\n    outputs: [out]",
    );
    cluster.write("slow.yml", text);
    let uuid = cluster.start("slow.yml", &[]);
    let ended = cluster.until_status(&uuid, "finished");
    let reader = row(&ended, "reader");
    assert_eq!(
        (&reader["received"], &reader["dropped"]),
        (&300.into(), &0.into()),
        "{ended:#}"
    );
}

#[test]
fn what_a_slow_reader_loses_is_counted() {
    let cluster = Cluster::new(&["A", "B"]);
    let text = pair(
        "count: 300, burst: 100",
        "queue_size: 1",
        "kind: slow\n    config: {micros: 2000}\n    outputs: [out]",
    );
    cluster.write("slow.yml", text);
    let uuid = cluster.start("slow.yml", &[]);
    let ended = cluster.until_status(&uuid, "finished");
    let (source, reader) = (row(&ended, "source"), row(&ended, "reader"));
    assert_eq!(source["sent"], 300, "{ended:#}");
    let number = |key: &str| reader[key].as_u64().expect("a number");
    assert!(number("dropped") > 0, "{ended:#}");
    assert_eq!(number("received") + number("dropped"), 300, "{ended:#}");
    // The user reads of it, too.
    let logs = cluster.dora(&["logs", &uuid]).success();
    assert!(logs.contains("dropped") || logs.contains("lost"), "{logs}");
}
