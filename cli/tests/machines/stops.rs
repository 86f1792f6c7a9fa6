//! `dora stop` and `dora restart`.

use crate::cluster::{Cluster, DEADLINE, assert_fails, endless, find};
use host_testing::fixtures;
use std::time::{Duration, Instant};

#[test]
fn by_name_by_uuid_or_the_only_one() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    assert_fails(&cluster.dora(&["stop"]), &["no dataflow runs"]);
    let camera = cluster.start("endless.yml", &["--name", "camera"]);
    let other = cluster.start("endless.yml", &[]);
    assert_fails(
        &cluster.dora(&["stop"]),
        &["name one of the dataflows `camera` and `", &other],
    );
    assert_fails(
        &cluster.dora(&["stop", "camra"]),
        &["there is no dataflow `camra`; running: `camera`"],
    );
    let run = cluster.dora(&["stop", "camera"]);
    for part in [
        format!("dataflow camera ({camera}) stopped after "),
        "rust-node         A        stopped".into(),
        "rust-sink         B        ".into(),
    ] {
        assert!(run.stderr.contains(&part), "{part}: {run}");
    }
    assert_eq!(run.success(), "");
    assert_fails(
        &cluster.dora(&["stop", "camera"]),
        &["dataflow `camera`", "does not run any more"],
    );
    let last = cluster.start("endless.yml", &[]);
    cluster.dora(&["stop", &other]).success();
    cluster.dora(&["stop"]).success();
    let list = cluster.json(&["list", "--json"]);
    for uuid in [&camera, &other, &last] {
        assert_eq!(find(&list, uuid).expect("history")["status"], "stopped");
    }
    let run = cluster.dora(&["stop", "--all"]);
    assert!(run.stderr.contains("no dataflow runs"), "{run}");
    run.success();
}

#[test]
fn nodes_that_do_not_stop_are_given_up() {
    let cluster = Cluster::new(&["A", "B"]);
    let until = cluster.path().join("until");
    let stubborn = format!(
        "\n  - id: stubborn\n    deploy: {{machine: B}}\n    path: '{}'\n    kind: stubborn\n    config: {{until: '{}'}}\n    \
         inputs: {{in: rust-node/random}}\n    outputs: [out]\n",
        fixtures::path("flow").display(),
        until.display()
    );
    cluster.write("stubborn.yml", endless() + &stubborn);
    let blocks = |name: &str| {
        let logs = cluster.background(&["logs", name, "stubborn", "--follow"]);
        logs.says("blocks", DEADLINE);
    };
    for (name, args) in [("one", &["--grace", "3s"][..]), ("two", &["--force"])] {
        cluster.start("stubborn.yml", &["--name", name]);
        blocks(name);
        let begin = Instant::now();
        let run = cluster.dora(&[&["stop", name], args].concat());
        // The default grace is 10 s.
        assert!(
            begin.elapsed() < Duration::from_secs(9),
            "{:?}: {run}",
            begin.elapsed()
        );
        for part in [
            "stubborn          B        did not stop",
            "error: node `stubborn` on machine `B` did not stop in time",
        ] {
            assert!(run.stderr.contains(part), "{part}: {run}");
        }
        // By force the others have a moment only, which may not be enough for them on a busy machine.
        let other = "rust-node         A        stopped";
        assert!(name == "two" || run.stderr.contains(other), "{run}");
        run.success();
        cluster.until_status(name, "failed");
    }
    // A stop that waits can be cut short by another.
    cluster.start("stubborn.yml", &["--name", "three"]);
    blocks("three");
    let waiting = cluster.background(&["stop", "three", "--grace", "10m"]);
    waiting.complains("waiting for machine", DEADLINE);
    cluster.dora(&["stop", "three", "--force"]).success();
    assert!(waiting.end(DEADLINE).stderr.contains("did not stop"));
    std::fs::write(until, "").expect("written");
}

#[test]
fn nodes_that_stop_when_told_are_not_called_stuck_by_force() {
    let cluster = Cluster::new(&["A", "B"]);
    cluster.write("endless.yml", endless());
    // On a busy machine the moment that they have may not be enough, but not each time.
    let all_have_stopped = (0..5).any(|_| {
        let uuid = cluster.start("endless.yml", &[]);
        let run = cluster.dora(&["stop", "--force"]);
        let none_is_stuck = run.stderr.contains("rust-node         A        stopped")
            && !run.stderr.contains("did not stop");
        eprintln!("{run}");
        run.success();
        let status = if none_is_stuck { "stopped" } else { "failed" };
        cluster.until_status(&uuid, status);
        none_is_stuck
    });
    assert!(all_have_stopped, "{cluster}");
}

#[test]
fn restarted_it_has_its_name_and_another_uuid() {
    let cluster = Cluster::new(&["A", "B"]);
    let file = cluster.write("endless.yml", endless());
    let first = cluster.start("endless.yml", &["--name", "camera"]);
    // The descriptor is that of the start.
    std::fs::remove_file(file).expect("removed");
    let run = cluster.dora(&["restart", "camera"]);
    assert!(run.stderr.contains("dataflow camera ("), "{run}");
    let second = run.success().trim().to_owned();
    assert_ne!(first, second);
    let list = cluster.json(&["list", "--json"]);
    assert_eq!(find(&list, &first).expect("history")["status"], "stopped");
    let found = find(&list, &second).expect("it runs");
    assert_eq!(
        (&found["status"], &found["name"]),
        (&"running".into(), &"camera".into())
    );
    let third = cluster
        .dora(&["restart", "--force"])
        .success()
        .trim()
        .to_owned();
    assert_ne!(second, third);
    cluster.dora(&["stop", &third]).success();
    assert_fails(&cluster.dora(&["restart"]), &["no dataflow runs"]);
}
