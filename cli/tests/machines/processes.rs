//! Nodes in processes on two machines: what they send reaches the other one, and what becomes of them is told.

use crate::cluster::{Cluster, DEADLINE};
use host_testing::python::{Python, node_script};
use host_testing::{fixtures, skipped};

/// A node of the fixture on a machine: keys that say how it runs, and what it reads.
fn node(id: &str, machine: &str, kind: &str, keys: &str, input: &str) -> String {
    let flow = fixtures::path("flow").display().to_string();
    of_file(
        &flow,
        id,
        machine,
        &format!("kind: {kind}\n    {keys}"),
        input,
    )
}

fn of_file(file: &str, id: &str, machine: &str, keys: &str, input: &str) -> String {
    format!(
        "  - id: {id}\n    path: '{file}'\n    deploy: {{machine: {machine}}}\n    {keys}\n    inputs: {{in: {input}}}\n"
    )
}

/// An input that waits for its reader.
fn waits(source: &str) -> String {
    format!("{{source: {source}, queue_size: 100, queue_policy: backpressure}}")
}

/// Sends so many messages, one each five milliseconds, on A.
fn source(count: u64, keys: &str) -> String {
    let keys = format!("config: {{count: {count}, bytes: 9000}}\n    outputs: [out]\n    {keys}");
    node("source", "A", "source", &keys, "dora/timer/millis/5")
}

/// A node of dora of this release that passes messages on; says so when there is none.
fn relay_of_dora(release: &str, id: &str, machine: &str, source: &str) -> Option<String> {
    match Python::with_dora(release) {
        Ok(python) => {
            let keys = format!(
                "outputs: [out]\n    env: {{KIND: relay, VIRTUAL_ENV: '{}'}}",
                python.folder().display()
            );
            let script = node_script().display().to_string();
            Some(of_file(&script, id, machine, &keys, &waits(source)))
        }
        Err(reason) => {
            skipped(&format!("no PyPI: dora-rs {release}: {reason}"));
            None
        }
    }
}

#[test]
fn a_host_process_on_one_machine_feeds_a_plugin_on_the_other() {
    let cluster = Cluster::new(&["A", "B"]);
    let nodes = [
        source(100, "process: own"),
        node(
            "shared",
            "A",
            "relay",
            "process: work\n    outputs: [out]",
            &waits("source/out"),
        ),
        node(
            "own",
            "B",
            "relay",
            "process: own\n    outputs: [out]",
            &waits("shared/out"),
        ),
        node("checker", "B", "checker", "", &waits("own/out")),
        node("back", "A", "checker", "process: work", &waits("own/out")),
    ];
    cluster.write("own.yml", format!("nodes:\n{}", nodes.concat()));
    let run = cluster.dora(&["start", "--attach", "own.yml"]);
    for line in [
        "checker@B: received 100 missing 0",
        "back@A: received 100 missing 0",
    ] {
        assert!(run.stderr.contains(line), "{line}: {run}");
    }
    run.success();
}

#[test]
fn a_node_of_dora_and_an_executable_on_two_machines_are_mixed() {
    let Some(python) = relay_of_dora("0.4.1", "py", "A", "source/out") else {
        return;
    };
    let Some(newer) = relay_of_dora("1.1.0", "newer", "B", "exe/out") else {
        return;
    };
    let cluster = Cluster::new(&["A", "B"]);
    let program = fixtures::executable("flow-node").display().to_string();
    let nodes = [
        source(100, ""),
        python,
        of_file(
            &program,
            "exe",
            "B",
            "kind: relay\n    outputs: [out]",
            &waits("py/out"),
        ),
        newer,
        node("checker", "A", "checker", "", &waits("newer/out")),
    ];
    cluster.write("mixed.yml", format!("nodes:\n{}", nodes.concat()));
    let run = cluster.dora(&["start", "--attach", "mixed.yml"]);
    let line = "checker@A: received 100 missing 0";
    assert!(run.stderr.contains(line), "{run}");
    run.success();
}

/// The processes whose node has this variable.
#[cfg(target_os = "linux")]
fn with_variable(variable: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("the processes");
    let found = processes.filter_map(|entry| {
        let entry = entry.ok()?;
        let id = entry.file_name().to_str()?.parse().ok()?;
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|it| it == variable.as_bytes()).then_some(id)
    });
    found.collect()
}

/// Also when the command names the descriptor from elsewhere, and there is such a folder where the daemon was started.
#[cfg(target_os = "linux")]
#[test]
fn a_node_works_where_its_descriptor_says_wherever_its_daemon_was_started() {
    let cluster = Cluster::new(&["A"]);
    for there in ["A/sub/work", "here/sub/work"] {
        std::fs::create_dir_all(cluster.path().join(there)).expect("a folder");
    }
    for (deploy, folder) in [
        ("", "sub"),
        ("deploy: {working_dir: work}\n", "sub/work"),
        ("deploy: {working_dir: ../sub/work}\n", "sub/work"),
    ] {
        let mark = format!("{}-{deploy:?}", cluster.path().display());
        let keys = format!("process: own\n    env: {{OF_TEST: '{mark}'}}");
        let text = format!("{deploy}nodes:\n{}", source(1_000_000, &keys));
        cluster.write("sub/works.yml", text);
        cluster
            .dora(&["start", "--detach", "sub/works.yml"])
            .success();
        let processes = with_variable(&format!("OF_TEST={mark}"));
        let [process] = processes[..] else {
            panic!("{deploy}: {processes:?}");
        };
        let works = std::fs::canonicalize(format!("/proc/{process}/cwd")).expect("a folder");
        let wanted = cluster.here().join(folder);
        assert_eq!(works, wanted.canonicalize().expect("a folder"), "{deploy}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_process_that_is_killed_is_told_to_who_is_attached() {
    use host_testing::{run, wait_until};
    let cluster = Cluster::new(&["A", "B"]);
    let mark = cluster.path().display().to_string();
    let keys = format!("process: own\n    outputs: [out]\n    env: {{OF_TEST: '{mark}'}}");
    let nodes = [
        source(1_000_000, ""),
        node("relay", "B", "inspect", &keys, &waits("source/out")),
        node("checker", "A", "checker", "", &waits("relay/out")),
    ];
    cluster.write("killed.yml", format!("nodes:\n{}", nodes.concat()));
    let attached = cluster.background(&["start", "--attach", "killed.yml"]);
    attached.complains("relay@B: on_input", DEADLINE);
    let variable = format!("OF_TEST={mark}");
    let processes = with_variable(&variable);
    assert_eq!(processes.len(), 1, "{attached}");
    let script = format!("kill -s KILL {}", processes[0]);
    run(
        std::process::Command::new("sh").args(["-c", &script]),
        DEADLINE,
    )
    .success();
    attached.complains("relay@B: failed: its process ended with SIGKILL", DEADLINE);
    attached.signal("TERM");
    let ended = attached.end(DEADLINE);
    let code = ended.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{ended}");
    let line = "error: node `relay` on machine `B` failed: its process ended with SIGKILL";
    assert!(ended.stderr.contains(line), "{ended}");
    wait_until("it is gone", DEADLINE, || {
        with_variable(&variable).is_empty()
    });
}

#[test]
fn nodes_of_other_versions_are_refused_in_the_words_of_dora() {
    let Some(python) = relay_of_dora("1.1.0", "py", "A", "source/out") else {
        return;
    };
    let mut cluster = Cluster::new(&[]);
    cluster.start_daemon("A", &["--strict-versions"]);
    cluster.connected("A");
    let nodes = [source(10, ""), python];
    cluster.write("strict.yml", format!("nodes:\n{}", nodes.concat()));
    let run = cluster.dora(&["start", "--attach", "--name", "strict", "strict.yml"]);
    let code = run.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{run}");
    let words = "version mismatch: message format v1.1.0 is not compatible with expected message format v0.7.0";
    assert!(run.stderr.contains(words), "{run}");
    let logs = cluster.dora(&["logs", "strict", "py"]);
    assert!(logs.stdout.contains(words), "{logs}\n{run}");
    // The node itself prints it; the daemon's own lines have it, too.
    let printed = |text: &str| {
        let mut lines = text.lines();
        lines.any(|line| line.contains("err   py") && line.contains(words))
    };
    assert!(printed(&logs.stdout), "{logs}");
    let daemon = cluster.daemon("A").stderr();
    assert!(daemon.contains(words), "{cluster}");
}

/// Options of a daemon lead to what they lead to on `dora run`.
#[cfg(unix)]
#[test]
fn plugins_of_a_daemon_run_where_its_default_process_says() {
    for (place, how) in [
        ("own", "its process ended with SIGABRT in its callback"),
        (
            "work",
            "its process ended with SIGABRT of its host process `work` in its callback",
        ),
    ] {
        let mut cluster = Cluster::new(&[]);
        cluster.start_daemon("A", &["--default-process", place]);
        cluster.connected("A");
        let nodes = [
            source(10, ""),
            node(
                "failing",
                "A",
                "failing",
                "config: {how: abort}\n    outputs: [out]",
                &waits("source/out"),
            ),
        ];
        cluster.write("crash.yml", format!("nodes:\n{}", nodes.concat()));
        let run = cluster.dora(&["start", "--attach", "crash.yml"]);
        let code = run.status.and_then(|status| status.code());
        assert_eq!(code, Some(1), "{run}");
        let line = format!("error: node `failing` on machine `A` failed: {how}");
        assert!(run.stderr.contains(&line), "{run}");
        // The daemon's worker is not what crashed.
        let daemon = cluster.daemon("A").stderr();
        assert!(!daemon.contains("the worker"), "{cluster}");
    }
}

#[cfg(unix)]
#[test]
fn a_daemon_runs_python_under_uv_and_waits_no_longer_than_it_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let mut cluster = Cluster::without_coordinator();
    let tools = cluster.path().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    let uv = tools.join("uv");
    // It says what it is asked for, and never becomes a node.
    std::fs::write(&uv, "#!/bin/sh\necho \"uv got: $*\"\nexec sleep 600\n").expect("written");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&uv, mode).expect("changed");
    let path = std::env::var("PATH").expect("a path");
    cluster.set("PATH", format!("{}:{path}", tools.display()));
    cluster.start_coordinator(&[]);
    cluster.start_daemon("A", &["--uv", "--start-timeout", "1s"]);
    cluster.connected("A");
    let script = node_script().display().to_string();
    let py = of_file(
        &script,
        "py",
        "A",
        "outputs: [out]",
        "dora/timer/millis/100",
    );
    cluster.write("uv.yml", format!("nodes:\n{py}"));
    let run = cluster.dora(&["start", "--attach", "--name", "uv", "uv.yml"]);
    let code = run.status.and_then(|status| status.code());
    assert_eq!(code, Some(1), "{run}");
    let late = "its process has not connected within 1s";
    assert!(run.stderr.contains(late), "{run}");
    let logs = cluster.dora(&["logs", "uv", "py"]);
    let asked = format!("uv got: run python -u {script}");
    assert!(logs.stdout.contains(&asked), "{logs}\n{run}");
}
