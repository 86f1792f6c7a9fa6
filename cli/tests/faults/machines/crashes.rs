//! A plugin takes the worker of its daemon along: it is named wherever one looks, and what becomes of the other nodes.
//!
//! Linux only, where the guard promises that.

use super::until_nodes;
use crate::cluster::{Cluster, DEADLINE, find};
use host_testing::fixtures::{self, Profile};
use host_testing::{fault, run, wait_until};
use std::path::PathBuf;

/// A node of the fixture.
fn node(id: &str, kind: &str, machine: &str, rest: &str) -> String {
    let plugin = fixtures::library("flow", Profile::Debug);
    format!(
        "  - id: {id}\n    path: '{}'\n    kind: {kind}\n    deploy: {{machine: {machine}}}\n    {rest}\n",
        plugin.display()
    )
}

const TICK: &str = "inputs: {tick: dora/timer/millis/20}";

/// A source and a node that crashes at the tenth message, when it is known that all has started, and more.
fn flow(how: &str, keys: &str, more: &str) -> String {
    let source = format!("config: {{count: 1000000}}\n    outputs: [out]\n    {TICK}");
    let failing = format!(
        "config: {{how: {how}, at: 10, times: 1}}\n    inputs: {{in: source/out}}\n    outputs: [out]\n{keys}"
    );
    format!(
        "nodes:\n{}{}{more}",
        node("source", "source", "A", &source),
        node("subject", "failing", "A", &failing)
    )
}

/// The report of the crash.
fn report(cluster: &Cluster, dataflow: &str) -> (PathBuf, String) {
    let path = cluster.path().join("A/out").join(dataflow);
    let path = path.join("crash_subject.txt");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}\n{cluster}", path.display()));
    (path, text)
}

#[test]
fn the_node_that_crashes_a_daemon_is_named_everywhere() {
    let checked = "named by start, list and logs; a report is left; the others are told to be lost";
    let _row = fault(
        "crash of a daemon's worker: 3 ways",
        "a dataflow on machines A and B",
        checked,
    );
    let cluster = Cluster::new(&["A", "B"]);
    for (how, died) in [
        ("segfault", "SIGSEGV"),
        ("exit", "exit code 0"),
        ("overflow", "SIGABRT (stack overflow)"),
    ] {
        let far = "inputs: {in: subject/out}";
        cluster.write(
            "crash.yml",
            flow(how, "", &node("far", "checker", "B", far)),
        );
        let start = cluster.background(&["start", "crash.yml", "--name", how, "--attach"]);
        let ended = start.end(DEADLINE);
        assert_eq!(ended.status.and_then(|it| it.code()), Some(1), "{ended}");
        let crash =
            format!("crashed the daemon of machine `A`: {died} in its callback for input `in`");
        let line = format!("error: node `subject` on machine `A` failed: {crash}");
        assert!(ended.stderr.contains(&line), "{ended}");
        let lost = "error: node `source` on machine `A` was lost with the daemon of machine `A`, which node `subject` \
                    crashed\n";
        assert!(ended.stderr.contains(lost), "{ended}");
        let guard = format!("error: node `subject` {crash}");
        cluster.daemon("A").complains(&guard, DEADLINE);

        let list = cluster.json(&["list", "--json"]);
        let dataflow = find(&list, how).expect("it is listed");
        assert_eq!(dataflow["status"], "failed", "{dataflow:#}");
        let nodes = dataflow["ended"]["nodes"].as_array().expect("nodes");
        let subject = nodes.iter().find(|it| it["node"] == "subject");
        let error = subject
            .and_then(|it| it["error"].as_str())
            .expect("an error");
        assert!(error.contains(&crash), "{error}");
        let id = dataflow["uuid"].as_str().expect("an id");
        let (path, report) = report(&cluster, id);
        assert!(
            error.contains(&format!(": see {}", path.display())),
            "{error}"
        );
        for part in [
            "node: subject\n",
            "machine: A\n",
            "plugin version: flow ",
            "last message: on input `in`, 2 values, sent at 1",
            &format!("crash: {crash}"),
        ] {
            assert!(report.contains(part), "`{part}` is missing: {report}");
        }
        let logs = run(
            &mut cluster.command("here", &["logs", how, "subject"]),
            DEADLINE,
        );
        assert!(logs.stdout.contains(&crash), "{logs}");
    }
}

#[test]
fn the_nodes_of_other_machines_go_on_and_hear_of_those_that_start_again() {
    let checked =
        "they start again, and get and send as before; the other machine's nodes are never stopped";
    let _row = fault(
        "crash of a daemon's worker: segfault",
        "nodes with a restart_policy on A, others on B",
        checked,
    );
    let cluster = Cluster::new(&["A", "B"]);
    let again = "restart_policy: always";
    let reads = |source: &str| {
        format!("inputs: {{in: {{source: {source}, queue_size: 20, queue_policy: backpressure}}}}")
    };
    let sends = format!("config: {{count: 1000000}}\n    outputs: [out]\n    {TICK}");
    let failing = format!(
        "config: {{how: segfault, at: 30, times: 1}}\n    outputs: [out]\n    {again}\n    {}",
        reads("camera/out")
    );
    let text = [
        node("camera", "source", "B", &sends),
        node("subject", "failing", "A", &failing),
        node("ticker", "source", "A", &format!("{sends}\n    {again}")),
        node("looks", "inspect", "B", &reads("subject/out")),
        node("checks", "checker", "B", &reads("ticker/out")),
    ];
    cluster.write("far.yml", format!("nodes:\n{}", text.concat()));
    let dataflow = cluster.start("far.yml", &["--name", "far"]);
    let daemon = cluster.daemon("A");
    daemon.complains(
        "error: node `subject` crashed the daemon of machine `A`: SIGSEGV",
        DEADLINE,
    );
    let logs = |node: &str| {
        run(
            &mut cluster.command("here", &["logs", "far", node]),
            DEADLINE,
        )
        .stdout
    };
    wait_until("it goes on", DEADLINE, || {
        logs("subject").contains("restart_count 1")
    });
    until_nodes(
        &cluster,
        &dataflow,
        &[
            "camera@B: running",
            "checks@B: running",
            "looks@B: running",
            "subject@A: running",
            "ticker@A: running",
        ],
    );
    // What goes from B to A and comes back.
    let seen = || logs("looks").matches("on_input on ThreadId").count();
    let before = seen();
    wait_until("messages go both ways again", DEADLINE, || {
        seen() > before + 60
    });
    // Looked at before the stop, which closes inputs, too.
    let checks = logs("checks");
    assert!(!checks.contains("closed in"), "{checks}");
    cluster.dora(&["stop", "far"]).success();
    let ended = cluster.until_status("far", "stopped");
    let checks = logs("checks");
    let said = checks.lines().find(|line| line.contains("received "));
    let said = said.unwrap_or_else(|| panic!("{checks}\n{ended:#}"));
    assert!(said.contains(" missing 0"), "{said}");
}

#[test]
fn those_that_may_start_again_do_and_the_culprit_is_kept_apart() {
    let checked = "they start again, the culprit in a process of its own; the others are lost";
    let _row = fault(
        "crash of a daemon's worker: segfault",
        "nodes with a restart_policy",
        checked,
    );
    let cluster = Cluster::new(&["A"]);
    let keys = "    restart_policy: on-failure\n";
    let text = flow("segfault", keys, "");
    // The source too; one that may not is lost.
    let text = text.replace(
        "    outputs: [out]\n    inputs: {tick",
        "    outputs: [out]\n    restart_policy: always\n    inputs: {tick",
    );
    let witness = node("witness", "checker", "A", "inputs: {in: source/out}");
    cluster.write("again.yml", text + &witness);
    let dataflow = cluster.start("again.yml", &["--name", "again"]);
    let daemon = cluster.daemon("A");
    daemon.complains(
        "error: node `subject` crashed the daemon of machine `A`: SIGSEGV",
        DEADLINE,
    );
    until_nodes(
        &cluster,
        &dataflow,
        &["source@A: running", "subject@A: running", "witness@A: lost"],
    );
    // Its process is a child of the worker's.
    let logs = ["logs", "again", "subject"];
    wait_until("it goes on in a process of its own", DEADLINE, || {
        let logs = run(&mut cluster.command("here", &logs), DEADLINE).stdout;
        logs.contains("restart_count 1")
            && logs.contains("gets a process of its own now, as with `process: own`")
    });
    let nodes = cluster.json(&["node", "list", "--json"]);
    let restarts = nodes.as_array().expect("an array").iter();
    let restarts: Vec<_> = restarts.map(|node| node["restarts"].as_u64()).collect();
    assert_eq!(restarts, [Some(1), Some(1), Some(0)], "{nodes:#}");
    cluster.dora(&["stop", "again"]).success();
    let ended = cluster.until_status("again", "failed");
    let nodes = ended["ended"]["nodes"].as_array().expect("nodes");
    let of = |id: &str| {
        let found = nodes.iter().find(|node| node["node"] == id);
        found
            .and_then(|node| node["ended"].as_str())
            .expect("a row")
    };
    assert_eq!(
        [of("source"), of("subject"), of("witness")],
        ["stopped", "stopped", "lost"]
    );
}
