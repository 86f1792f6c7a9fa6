//! `dora list`, `node list`, `status`, `topic list` and `clean`, as tables and as JSON.

use crate::cluster::{Cluster, assert_fails, endless, example, find};
use serde_json::json;

#[test]
fn everything_that_runs_is_listed_for_people_and_for_programs() {
    let cluster = Cluster::new(&["A", "B"]);
    let run = cluster.dora(&["list"]);
    assert!(run.stderr.contains("no dataflow has run"), "{run}");
    assert_eq!(run.success(), "");
    assert_eq!(cluster.json(&["list", "--json"]), json!([]));
    cluster.write("endless.yml", endless());
    let uuid = cluster.start("endless.yml", &["--name", "camera"]);
    let table = cluster.dora(&["list"]).success();
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().expect("a header").split_whitespace().collect();
    assert_eq!(
        header,
        [
            "uuid", "name", "status", "nodes", "machines", "started", "took"
        ]
    );
    let row = lines.next().expect("a row");
    assert!(
        row.starts_with(&format!("{uuid}  camera  running  3      A, B")),
        "{table}"
    );
    assert_eq!(lines.next(), None);
    let list = cluster.json(&["list", "--json"]);
    let found = find(&list, &uuid).expect("it runs");
    for (key, value) in [
        ("uuid", json!(uuid)),
        ("name", json!("camera")),
        ("status", json!("running")),
        ("nodes", json!(3)),
        ("running", json!(3)),
        ("failed", json!(0)),
        ("machines", json!({"A": "connected", "B": "connected"})),
        ("ended", json!(null)),
    ] {
        assert_eq!(found[key], value, "{key}: {found:#}");
    }
    nodes(&cluster, &uuid);
    topics(&cluster, &uuid);
    status(&cluster);
}

fn nodes(cluster: &Cluster, uuid: &str) {
    let node = |node: &str, machine: &str| {
        json!({"dataflow": uuid, "name": "camera", "node": node, "machine": machine, "state": "running", "error": null,
            "restarts": 0})
    };
    let expected = json!([
        node("rust-node", "A"),
        node("rust-status-node", "A"),
        node("rust-sink", "B")
    ]);
    assert_eq!(cluster.json(&["node", "list", "--json"]), expected);
    assert_eq!(
        cluster.json(&["ps", "--dataflow", "camera", "--json"]),
        expected
    );
    let table = cluster.dora(&["ps"]).success();
    assert!(
        table.contains("rust-sink         B        running         0  camera\n"),
        "{table}"
    );
    let run = cluster.dora(&["ps", "--dataflow", "camra"]);
    assert_fails(&run, &["there is no dataflow `camra`; running: `camera`"]);
}

fn topics(cluster: &Cluster, uuid: &str) {
    let topics = cluster.json(&["topic", "list", "--json"]);
    let expected = json!({"dataflow": uuid, "name": "camera", "node": "rust-status-node", "output": "status",
        "machine": "A", "type": "Utf8", "readers": [{"node": "rust-sink", "input": "message", "machine": "B"}]});
    assert_eq!(topics[1], expected);
    assert_eq!(topics.as_array().map(Vec::len), Some(2));
    let table = cluster.dora(&["topic", "list", "-d", uuid]).success();
    assert!(
        table.contains(
            "rust-node/random         A        UInt64  rust-status-node/random  camera\n"
        ),
        "{table}"
    );
    assert!(
        table.contains(
            "rust-status-node/status  A        Utf8    rust-sink/message (B)    camera\n"
        ),
        "{table}"
    );
}

fn status(cluster: &Cluster) {
    let status = cluster.json(&["status", "--json"]);
    assert_eq!(status["coordinator"]["address"], cluster.address());
    assert_eq!(status["coordinator"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["dataflows"], 1);
    for (index, machine, nodes) in [(0, "A", 2), (1, "B", 1)] {
        let daemon = &status["daemons"][index];
        assert_eq!(daemon["machine"], machine, "{status:#}");
        assert_eq!(daemon["state"], "connected", "{status:#}");
        assert_eq!(daemon["nodes"], nodes, "{status:#}");
        assert_eq!(daemon["pid"], cluster.daemon(machine).id(), "{status:#}");
    }
    let text = cluster.dora(&["system", "status"]).success();
    let first = format!(
        "coordinator at {}: dora {}, up ",
        cluster.address(),
        env!("CARGO_PKG_VERSION")
    );
    assert!(
        text.starts_with(&first) && text.contains("1 dataflow running"),
        "{text}"
    );
    assert!(text.contains("A        connected"), "{text}");
}

#[test]
fn clean_forgets_what_has_ended_and_nothing_else() {
    let cluster = Cluster::new(&["A", "B"]);
    assert_eq!(cluster.dora(&["clean"]).success(), "forgot 0 dataflows\n");
    cluster.write("dataflow.yml", example());
    cluster.write("endless.yml", endless());
    let over = cluster.start("dataflow.yml", &[]);
    let running = cluster.start("endless.yml", &[]);
    let found = cluster.until_status(&over, "finished");
    assert_eq!(found["ended"]["nodes"].as_array().map(Vec::len), Some(3));
    assert_eq!(cluster.dora(&["clean"]).success(), "forgot 1 dataflow\n");
    let list = cluster.json(&["list", "--json"]);
    assert!(
        find(&list, &over).is_none() && find(&list, &running).is_some(),
        "{list:#}"
    );
}
